"""Lists of URLs and captions, such as Conceptual Captions and LAION: the source fetches the pictures."""

import hashlib
from collections.abc import Iterable, Iterator
from typing import Any, ClassVar

import apache_beam as beam

from beam import shuffle, stages
from beam.masking import shown
from beam.records import Rejected, Skipped, salted_hash
from beam.sources.delimited.source import CsvSource
from beam.sources.fetch.addresses import AddressPolicy
from beam.sources.fetch.client import Connections, HttpClient
from beam.sources.fetch.errors import FetchError
from beam.sources.fetch.lanes import in_threads
from beam.sources.fetch.urls import parse
from beam.sources.rows.raw import RawRow
from beam.sources.rows.source import RowSource
from models.settings.checks import settings_class

_GROUPS = 64  # of hosts; one worker fetches a group, so that the limits of a host hold over all workers


@settings_class("UrlListSource")
class UrlListSource:
    """Reads rows of another source whose `image` is a URL, and fetches the pictures.

    The web changes, so a later run may give other rows. The source connects to public addresses only, because the list
    comes from outside. It sends no login and no cookie, and reads no proxy from the environment.

    Attributes:
      rows: the source of the list; the default has Conceptual Captions' layout: caption, tab, URL, and no header.
      timeout: limit for one attempt, from the lookup of the name to the last byte, redirects included (seconds).
      retries: number of further attempts after a transient failure. 0 tries once.
      threads: number of threads of each worker. Raise it if the network is idle.
      host_connections: largest number of requests to one host at a time, over all workers. Keep it low, so that sites
        do not block you.
      host_pause: pause between two requests on one connection to a host (seconds). 0 does not pause.
      max_bytes: largest size of a picture (bytes).
      user_agent: name of the client. Add an address at which a site can reach you.
      refuse: directives of X-Robots-Tag that forbid a picture; its row is dropped as "fetch_forbidden". () accepts all
        pictures.
      private_hosts: hosts that may have an address that is not public, such as ("pictures.intranet", "10.0.0.7"); case
        does not count. The list, and every site in it, may then read from these hosts, at any port.
      proxy: URL of an HTTP proxy for all requests, such as "http://proxy.intranet:3128". The proxy resolves names. So
        the proxy must refuse names that have a private address; the source refuses only URLs with such an address.
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
    private_hosts: tuple[str, ...] = ()
    proxy: str = ""

    def __post_init__(self) -> None:
        for name, least in {"retries": 0, "threads": 1, "host_connections": 1, "host_pause": 0, "max_bytes": 1}.items():
            if getattr(self, name) < least:
                raise ValueError(
                    f"UrlListSource.{name} is {getattr(self, name)!r}, but must be {least} or more; raise it"
                )
        if self.timeout <= 0:
            raise ValueError(f"UrlListSource.timeout is {self.timeout!r}, but must be above 0; try 10")
        for host in self.private_hosts:
            _host(host)
        if self.proxy:
            try:
                parse(self.proxy)
            except FetchError as error:
                raise ValueError(
                    f"UrlListSource.proxy is {shown(self.proxy)!r}, but must be a URL without a login, such as "
                    f"'http://proxy.intranet:3128' ({error.detail})"
                ) from error

    def client(self) -> HttpClient:
        """Returns the client that these settings describe."""
        return HttpClient(
            retries=self.retries,
            timeout=self.timeout,
            max_bytes=self.max_bytes,
            user_agent=self.user_agent,
            refuse=tuple(self.refuse),
            policy=AddressPolicy(frozenset(_host(host) for host in self.private_hosts)),
            proxy=self.proxy,
        )

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
            hosts | "Group" >> beam.Map(lambda one: (salted_hash(one[0], "host") % _GROUPS, one)) | shuffle.GroupByKey()
        )
        # A second shuffle, so that the failure of a later stage does not fetch again.
        fetched = groups | beam.Values() | "Fetch" >> beam.ParDo(_FetchRows(source)) | shuffle.Spread()
        return fetched | "Pair" >> source.rows.to_pairs(source.name)


def _host(written: str) -> str:
    """Returns a private host in the form of `parse`; raises ValueError."""
    try:
        bare = written.strip("[]")
        url = parse(f"http://[{bare}]/" if ":" in bare else f"http://{written}/")
        if url.path != "/" or url.explicit_port is not None:
            raise FetchError("invalid_url", "it has more than a host")
        return url.raw_host or ""
    except FetchError as error:
        raise ValueError(
            f"UrlListSource.private_hosts has {written!r}, but must have hosts without scheme, port or path, such as "
            f"'pictures.intranet' or '10.0.0.7' ({error.detail})"
        ) from error


def _with_host(row: RawRow | Rejected | Skipped, rows: RowSource) -> tuple[str, RawRow | Rejected | Skipped]:
    if not isinstance(row, RawRow):
        return "", row
    column = rows.columns.get("image", "image")
    url = row.content.get(column)
    try:
        if not isinstance(url, str):
            raise FetchError("invalid_url", f"{column} is {shown(url)}, but must be a URL")
        return parse(url.strip()).raw_host or "", row
    except FetchError as error:
        return "", Rejected("", row.position, error.reason, error.detail)


class _FetchRows(beam.DoFn):
    def __init__(self, source: UrlListSource) -> None:
        self._source = source
        self._client = source.client()

    def setup(self) -> None:
        self._progress = stages.Progress("fetched")

    def process(self, group: Iterable[tuple[str, RawRow | Rejected | Skipped]]) -> Iterator[Any]:
        source = self._source
        limits = (source.threads, source.host_connections, source.host_pause)
        for outcome in in_threads(group, self._client.connect, self._fetch, *limits):
            self._progress.add(1)
            yield outcome

    def _fetch(self, connections: Connections, row: RawRow | Rejected | Skipped) -> RawRow | Rejected | Skipped:
        if not isinstance(row, RawRow):
            return row
        column = self._source.rows.columns.get("image", "image")
        try:
            image = connections.get(row.content[column].strip())
        except FetchError as error:
            return Rejected("", row.position, error.reason, error.detail)
        return row._replace(content={**row.content, column: image})
