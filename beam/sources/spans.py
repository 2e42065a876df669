"""Data that comes in spans: folders or files that are numbered, the newest with the highest number."""

import re

from apache_beam.io.filesystems import FileSystems

SPAN = "{SPAN}"


def newest(path: str) -> str:
    """The path with the number of the newest span that has files in place of {SPAN}; any other path is itself.

    Raises:
      ValueError: no span has files.
    """
    if SPAN not in path:
        return path
    before, *rest = path.split(SPAN)
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
