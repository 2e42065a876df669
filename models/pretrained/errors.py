"""What goes wrong with other people's files."""


class PretrainedError(ValueError):
    """A checkpoint cannot be used or written; the message names the file, the tensor or field, and the fix."""
