"""Lists of URLs and captions, such as Conceptual Captions and LAION: the source fetches the pictures."""

import hashlib
from collections.abc import Iterable, Iterator
from typing import Any, ClassVar

import apache_beam as beam

from beam import stages
from beam.records import Rejected, salted_hash
from beam.sources import fetch
from beam.sources.columns import RawRow
from beam.sources.delimited import CsvSource
from beam.sources.rows import RowSource
from models.settings.checks import settings_class

_GROUPS = 64  # of hosts; one worker fetches a group, so that the limits of a host hold over all workers


@settings_class("UrlListSource")
class UrlListSource:
    """Reads rows of another source whose `image` is a URL, and fetches the pictures.

    The web changes, so a later run may give other rows.

    Attributes:
      rows: the source of the list; the default has Conceptual Captions' layout: caption, tab, URL, and no header.
      timeout: limit for one attempt (seconds).
      retries: number of further attempts after a transient failure. 0 tries once.
      threads: number of threads of each worker. Raise it if the network is idle.
      host_connections: largest number of requests to one host at a time, over all workers. Keep it low, so that sites
        do not block you.
      host_pause: pause between two requests on one connection to a host (seconds). 0 does not pause.
      max_bytes: largest size of a picture (bytes).
      user_agent: name of the client. Add an address at which a site can reach you.
      refuse: directives of X-Robots-Tag that forbid a picture; its row is dropped as "fetch_forbidden". () accepts all
        pictures.
    """

    name: ClassVar[str] = "url_list"

    rows: RowSource = CsvSource(
        columns={"image": "url"}, captions=("caption",), delimiter="\t", quote="", header=("caption", "url")
    )
    timeout: float = 10.0
    retries: int = 2
    threads: int = 32
    host_connections: int = 2
    host_pause: float = 0.1
    max_bytes: int = 1 << 25
    user_agent: str = "siglip-tfx"
    refuse: tuple[str, ...] = ("noai", "noimageai")

    def __post_init__(self) -> None:
        for name, least in {"retries": 0, "threads": 1, "host_connections": 1, "host_pause": 0, "max_bytes": 1}.items():
            if getattr(self, name) < least:
                raise ValueError(
                    f"UrlListSource.{name} is {getattr(self, name)!r}, but must be {least} or more; raise it"
                )
        if self.timeout <= 0:
            raise ValueError(f"UrlListSource.timeout is {self.timeout!r}, but must be above 0; try 10")

    def fingerprint(self) -> str:
        return hashlib.sha256(f"{self.rows.fingerprint()} {self}".encode()).hexdigest()

    def read(self) -> beam.PTransform:
        return _Fetch(self)


class _Fetch(beam.PTransform):
    def __init__(self, source: UrlListSource) -> None:
        super().__init__()
        self._source = source

    def expand(self, pipeline: beam.Pipeline) -> beam.PCollection:
        source = self._source
        hosts = pipeline | "List" >> source.rows.read_columns() | "Host" >> beam.Map(_with_host, source.rows)
        groups = (
            hosts | "Group" >> beam.Map(lambda one: (salted_hash(one[0], "host") % _GROUPS, one)) | beam.GroupByKey()
        )
        # A second shuffle, so that the failure of a later stage does not fetch again.
        fetched = groups | beam.Values() | "Fetch" >> beam.ParDo(_FetchRows(source)) | beam.Reshuffle()
        return fetched | "Pair" >> source.rows.to_pairs(source.name)


def _with_host(row: RawRow | Rejected, rows: RowSource) -> tuple[str, RawRow | Rejected]:
    if isinstance(row, Rejected):
        return "", row
    column = rows.columns.get("image", "image")
    url = row.content.get(column)
    try:
        if not isinstance(url, str):
            raise fetch.FetchError("invalid_url", f"{column} is {url!r}, but must be a URL")
        return fetch.host_of(url), row
    except fetch.FetchError as error:
        return "", Rejected("", row.position, error.reason, error.detail)


class _FetchRows(beam.DoFn):
    def __init__(self, source: UrlListSource) -> None:
        self._source = source
        self._client = fetch.HttpClient(
            source.retries, source.timeout, source.max_bytes, source.user_agent, tuple(source.refuse)
        )

    def setup(self) -> None:
        self._progress = stages.Progress("fetched")

    def process(self, group: Iterable[tuple[str, RawRow | Rejected]]) -> Iterator[Any]:
        source = self._source
        found = fetch.in_threads(group, self._fetch, source.threads, source.host_connections, source.host_pause)
        for outcome in found:
            self._progress.add(1)
            yield outcome

    def _fetch(self, session: Any, row: RawRow | Rejected) -> RawRow | Rejected:
        if isinstance(row, Rejected):
            return row
        column = self._source.rows.columns.get("image", "image")
        try:
            image = self._client.get(session, row.content[column].strip())
        except fetch.FetchError as error:
            return Rejected("", row.position, error.reason, error.detail)
        return row._replace(content={**row.content, column: image})
