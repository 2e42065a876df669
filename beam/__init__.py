"""The data plane: Beam transforms from source rows to TFRecord shards (no TFX, no gin; plain arguments only).

Vocabulary of stages: source (rows in), filter (keep, or a named reason), writer.
"""
