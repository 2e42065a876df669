"""RunReport: one self-contained page on a run, and the same facts for programs."""
