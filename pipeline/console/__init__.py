"""What commands share on a terminal: flags, progress, the summary of a run."""
