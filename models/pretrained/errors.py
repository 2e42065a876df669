"""What goes wrong with other people's files."""

import os


class PretrainedError(ValueError):
    """A checkpoint cannot be used or written; the message names the file, the tensor or field, and the fix."""


def require_absent(path: str) -> None:
    """Raises PretrainedError if something is at `path`: nothing is ever overwritten."""
    if os.path.lexists(path):
        raise PretrainedError(f"{path} is there already; remove it, or name another")
