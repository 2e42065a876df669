"""Spans: numbered folders or files of data, where the highest number is the newest."""

import re

from apache_beam.io.filesystems import FileSystems

SPAN = "{SPAN}"


def newest(path: str) -> str:
    """Returns the path with {SPAN} replaced by the number of the newest span that has files.

    A path without {SPAN} is returned as it is.

    Raises:
      ValueError: no span has files.
    """
    if SPAN not in path:
        return path
    before, *rest = path.split(SPAN)
    if strange := re.search(r"[?\[\]]", before):
        raise ValueError(f"the source's path is {path!r}, but {strange[0]!r} must not be before {SPAN}; use * there")
    number = re.compile(re.escape(before).replace(r"\*", "[^/]*") + r"(\d+)")
    found = FileSystems.match([path.replace(SPAN, "*")])[0].metadata_list
    spans = {match.group(1) for file in found if (match := number.match(file.path))}
    for span in sorted(spans, key=int, reverse=True):
        candidate = span.join([before, *rest])
        if FileSystems.match([candidate])[0].metadata_list:
            return candidate
    raise ValueError(
        f"the source's path is {path!r}, but no span has files; name them such as "
        f"{path.replace(SPAN, '1').replace('*', '0')}"
    )
