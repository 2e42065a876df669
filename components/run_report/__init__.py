"""RunReport: one self-contained page about a run, and a JSON file with the same facts for programs."""
