"""From stored rows to batches on the device: TFRecord, decoding, crops, RandAugment, tokens."""
