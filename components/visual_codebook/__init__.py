"""VisualCodebook: patches of the train split -> centres of visual codes."""
