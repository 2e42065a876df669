"""The files of a source's path."""

import os
from typing import Any

from apache_beam.io.filesystems import FileSystems


def match(path: str, setting: str, example: str) -> list[Any]:
    """Returns the metadata of all files that match, sorted by path; it leaves out folders, FIFOs and devices.

    Args:
      path: a path or a glob pattern, on any file system of Beam.
      setting: name of the setting in gin, for messages.
      example: example of a path, for messages.

    Raises:
      ValueError: no file matches.
    """
    found = FileSystems.match([path])[0].metadata_list if path else []
    files = [file for file in found if os.path.isfile(file.path) or not os.path.exists(file.path)]
    if not files:
        problem = "no such file exists"
        if os.path.isdir(path):
            pattern = os.path.join(path, os.path.basename(example))
            problem = f"that is a folder, and must be a file or a pattern, such as {pattern!r}"
        elif found:
            problem = f"it matches only folders, FIFOs or devices, such as {found[0].path!r}"
        raise ValueError(
            f"{setting} is {path!r}, but {problem}; name a file or a glob pattern (gin: {setting} = '{example}')"
        )
    return sorted(files, key=lambda file: file.path)
