"""Finds picture files below a folder, by the same suffixes for every command."""

import os
import stat
from collections import Counter
from typing import NamedTuple

FORMATS = "JPEG, PNG, GIF, BMP, WebP, TIFF or PPM"
"""The formats that the commands read."""
SUFFIXES = (
    ".apng", ".bmp", ".gif", ".jfif", ".jpe", ".jpeg", ".jpg", ".mpo", ".pbm", ".pgm", ".png", ".pnm", ".ppm", ".tif",
    ".tiff", ".webp",
)  # fmt: skip
_KINDS = 5  # reasons that a text lists


class Found(NamedTuple):
    """The files below a folder.

    Attributes:
      pictures: sorted paths below the folder, of files with one of SUFFIXES in small or capital letters.
      left_out: {reason: number of other files}.
    """

    pictures: list[str]
    left_out: Counter[str]

    def left_out_text(self) -> str:
        """How many files are left out and why, such as "3 other files left out (2 end with .txt, 1 ...)"."""
        total = sum(self.left_out.values())
        if not total:
            return "no other file left out"
        reasons = [f"{count:,} {reason}" for reason, count in self.left_out.most_common(_KINDS)]
        more = [f"{len(self.left_out) - _KINDS} more kinds"] if len(self.left_out) > _KINDS else []
        return f"{total:,} other files left out ({', '.join(reasons + more)})"


def find(folder: str) -> Found:
    """Lists the files of a folder and of all folders below it."""
    found = Found([], Counter())
    for parent, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(parent, name)
            suffix = os.path.splitext(name)[1].lower()
            if name.startswith("."):  # such as ._0.jpg, which macOS writes beside 0.jpg
                found.left_out["begin with a dot"] += 1
            elif suffix not in SUFFIXES:
                found.left_out[f"end with {suffix}" if suffix else "have no suffix"] += 1
            elif not _may_be_read(path):
                found.left_out["are no regular files"] += 1
            else:
                found.pictures.append(os.path.relpath(path, folder))
    found.pictures.sort()
    return found


def _may_be_read(path: str) -> bool:
    """Whether opening the file ends; a pipe or a device could wait or give bytes for ever."""
    try:
        return stat.S_ISREG(os.stat(path).st_mode)
    except OSError:
        return True  # whoever opens it gets the reason
