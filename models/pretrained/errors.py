"""The error of all readers and writers of checkpoints."""

import os


class PretrainedError(ValueError):
    """A checkpoint cannot be read, used or written; the message names the file, the tensor or field, and the fix."""


def require_absent(path: str) -> None:
    """Raises PretrainedError if something is at `path`: nothing is ever overwritten."""
    if os.path.lexists(path):
        raise PretrainedError(f"{path} is there already; remove it, or name another")
