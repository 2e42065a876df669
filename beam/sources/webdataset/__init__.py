"""WebDataset: `WebDatasetSource`, and a bounded reader of tar files."""
