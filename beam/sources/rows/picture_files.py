"""Reads the picture that a row names by its path or URI."""

import urllib.request

from apache_beam.io.filesystems import FileSystems

from beam.sources.files import compressed, local_files
from beam.sources.limits import Limits
from beam.sources.rows.raw import InvalidRow, shown

_SHOWN_ERROR = 300  # characters; an error of the operating system quotes the path


def read(path: str, row_file: str, limits: Limits) -> bytes:
    """Returns the bytes of a picture.

    Args:
      path: an absolute path, a path relative to the folder of `row_file`, or a URI that Beam knows.
      row_file: path of the file that holds the row.
      limits: `RowSource.limits`.

    Raises:
      InvalidRow: there is no such file, it is no regular file, or it has more than `limits.member_bytes` bytes.
    """
    if path.lower().startswith(("http://", "https://")):
        detail = f"{shown(path)} is on the web, but this source does not fetch; use UrlListSource"
        raise InvalidRow("image_missing", detail)
    try:
        image = _read(path, row_file, limits)
    except InvalidRow:
        raise
    except Exception as error:  # whatever a file system raises, one row must not stop the run
        raise InvalidRow("image_missing", f"{type(error).__name__}: {str(error)[:_SHOWN_ERROR]}") from error
    _require_size(len(image), path, limits)
    return image


def _read(path: str, row_file: str, limits: Limits) -> bytes:
    if path.startswith("file://"):
        path = urllib.request.url2pathname(path.removeprefix("file://"))
    is_complete = path.startswith("/") or FileSystems.get_scheme(path)
    full = path if is_complete else FileSystems.join(FileSystems.split(row_file)[0], path)
    if not FileSystems.get_scheme(full):
        size = local_files.size(full)
        _require_size(size, path, limits)
        if size == 0:  # such as a file in /proc, whose read could wait
            return b""
    with compressed.opened(full, limits) as file:
        return file.read(limits.member_bytes + 1)


def _require_size(size: int, path: str, limits: Limits) -> None:
    if size > limits.member_bytes:
        detail = f"{shown(path)} has {size} bytes or more, but may have {limits.member_bytes} (Limits.member_bytes)"
        raise InvalidRow("image_too_large", detail)
