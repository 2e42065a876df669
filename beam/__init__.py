"""The data plane: Beam transforms from source rows to TFRecord shards (no TFX, no gin; plain arguments only).

Stages: source (reads rows), filter (keeps a row or drops it with a reason), dedupe, augment, writer.
"""
