"""Lists of addresses, such as Conceptual Captions': each picture is fetched, politely."""

import csv
import dataclasses
import io
import time
import urllib.parse
from collections.abc import Iterable, Iterator
from typing import ClassVar

import apache_beam as beam
import requests
import urllib3
from apache_beam.io.filesystems import FileSystems

from beam.records import Outcome, Rejected
from beam.sources import fields

_REFUSES = ("noai", "noimageai", "noindex", "none")  # values of X-Robots-Tag
_RETRIED = (429, 500, 502, 503, 504)
_CHUNK = 1 << 16


@dataclasses.dataclass(frozen=True)
class UrlListSource(fields.Files):
    """Each line is a caption, a tab and an address, without a header, as in Conceptual Captions.

    One host's pictures are fetched by one worker, one after another, with a pause between them. A server that answers
    with X-Robots-Tag noai, noimageai, noindex or none is heard: the picture is rejected as "robots".

    Attributes:
      agent: what servers are told who asks; name yourself and an address where you can be reached.
      pause: seconds between two requests to a host.
      retries: after the first try, on network errors and the answers 429 and 5xx, each after twice the pause of the
        last.
      timeout: seconds to connect, and between two parts of an answer.
      max_bytes: largest picture.
    """

    name: ClassVar[str] = "url"
    agent: str = ""
    pause: float = 0.5
    retries: int = 3
    timeout: float = 20.0
    max_bytes: int = 20_000_000

    def __post_init__(self) -> None:
        if self.path and len(self.agent) < 5:
            raise ValueError(
                f"UrlListSource.agent is {self.agent!r}, but must tell servers who asks; set it to a name and an "
                "address (gin: UrlListSource.agent = 'our-bot/1.0 (+https://example.org/bot)')"
            )

    def read(self) -> beam.PTransform:
        return _Read(self)


class _Read(beam.PTransform):
    def __init__(self, source: UrlListSource) -> None:
        super().__init__()
        self._source = source

    def expand(self, pipeline: beam.Pipeline) -> beam.PCollection:
        lines = pipeline | beam.Create(self._source.paths()) | beam.Reshuffle() | "Lines" >> beam.FlatMap(_lines)
        bad = lines | "Bad" >> beam.Filter(lambda line: isinstance(line, Rejected))
        good = lines | "Good" >> beam.Filter(lambda line: not isinstance(line, Rejected))
        by_host = good | "Host" >> beam.Map(
            lambda line: (urllib.parse.urlsplit(line[2]).netloc, line)
        ).with_output_types(tuple[str, tuple[str, str, str]])
        fetched = by_host | beam.GroupByKey() | "Fetch" >> beam.ParDo(_Fetch(self._source))
        return (fetched, bad) | beam.Flatten()


def _lines(path: str) -> Iterator[tuple[str, str, str] | Rejected]:
    """(position, caption, address)."""
    with FileSystems.open(path) as file:
        text = io.TextIOWrapper(file, encoding="utf-8-sig", errors="surrogateescape", newline="")
        for number, row in enumerate(csv.reader(text, delimiter="\t", quoting=csv.QUOTE_NONE), start=1):
            position = f"{path}:{number}"
            if len(row) != 2:
                yield Rejected("", position, "invalid_line", f"{len(row)} fields, but a caption and an address are two")
            elif urllib.parse.urlsplit(row[1].strip()).scheme not in ("http", "https"):
                yield Rejected("", position, "invalid_address", f"{row[1]!r} is no http or https address")
            else:
                yield position, row[0], row[1].strip()


class _Refused(Exception):
    """Why a picture was not taken."""


class _Fetch(beam.DoFn):
    """(host, its lines) -> rows."""

    def __init__(self, source: UrlListSource) -> None:
        self._source = source

    def setup(self) -> None:
        source = self._source
        retry = urllib3.Retry(
            source.retries, backoff_factor=source.pause, status_forcelist=_RETRIED, respect_retry_after_header=True
        )
        self._session = requests.Session()
        self._session.headers["User-Agent"] = source.agent
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, requests.adapters.HTTPAdapter(max_retries=retry))

    def process(self, group: tuple[str, Iterable[tuple[str, str, str]]]) -> Iterator[Outcome]:
        for number, (position, caption, address) in enumerate(sorted(group[1])):
            if number:
                time.sleep(self._source.pause)
            try:
                image = self._get(address)
            except _Refused as error:
                yield Rejected("", position, "robots", f"{address}: {error}")
            except (requests.RequestException, urllib3.exceptions.HTTPError, ValueError) as error:
                yield Rejected("", position, "image_missing", f"{address}: {type(error).__name__}: {error}")
            else:
                values = {"image_bytes": image, "caption": caption}
                yield fields.to_row(values, {}, position, UrlListSource.name)

    def _get(self, address: str) -> bytes:
        source = self._source
        with self._session.get(address, timeout=source.timeout, stream=True) as answer:
            answer.raise_for_status()
            robots = answer.headers.get("X-Robots-Tag", "").lower()
            if any(word.strip() in _REFUSES for part in robots.split(",") for word in part.split(":")):
                raise _Refused(f"the server says X-Robots-Tag: {robots}")
            parts, size = [], 0
            for part in answer.iter_content(_CHUNK):
                size += len(part)
                if size > source.max_bytes:
                    raise ValueError(f"the picture has more than UrlListSource.max_bytes = {source.max_bytes} bytes")
                parts.append(part)
        return b"".join(parts)
