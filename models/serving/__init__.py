"""The exported SavedModel: its signatures, label sets, and weights in fewer bits."""
