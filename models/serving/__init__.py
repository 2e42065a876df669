"""The exported SavedModel: its signatures, its label sets, and the compression of its weights."""
