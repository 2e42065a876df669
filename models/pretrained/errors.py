"""The error of all readers and writers of checkpoints."""


class PretrainedError(ValueError):
    """A checkpoint cannot be read, used or written; the message names the file, the tensor or field, and the fix."""
