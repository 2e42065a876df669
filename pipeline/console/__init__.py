"""What all commands share: the command line, common flags, the terminal, the summary of a run."""
