"""TFX components of our own: one folder each, component.py (spec) and executor.py (work)."""
