"""Tells faults of the machine from damaged files: disk, network and permissions are no reason to drop rows."""

import errno

_OF_CONTENT = (None, errno.EINVAL, errno.EOVERFLOW, errno.EFBIG)
"""Error numbers that damage gives too: a decoder's own errors have none, and a wrong offset is an invalid argument."""


def raise_if_of_machine(error: Exception, file: str) -> None:
    """Raises OSError with the name of the file if the operating system could not read it.

    A run that went on would depend on the weather: the same input would give other rows. Engines try again.
    """
    if isinstance(error, OSError) and error.errno not in _OF_CONTENT:
        reason = error.strerror or str(error)
        raise OSError(
            error.errno,
            f"{file} cannot be read ({reason}); mend the disk, the network or the permissions, or remove it",
        ) from error
