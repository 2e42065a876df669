"""Turns stored rows into batches on the device: TFRecord, decoding, crops, RandAugment, tokens."""
