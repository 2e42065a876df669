"""Studies: a grid of gin variants, several seeds, one table with intervals (docs/studies.md)."""
