"""Fetches pictures from the web: an HTTP client with retries, and threads that keep limits for each host."""

import dataclasses
import queue
import threading
import time
import urllib.parse
from collections.abc import Callable, Iterable, Iterator
from concurrent import futures
from typing import Any, TypeVar

import requests

_PAGE = 1 << 16
_TRANSIENT = {408, 429, 500, 502, 503, 504}
_MAX_REDIRECTS = 5
Item = TypeVar("Item")
Result = TypeVar("Result")


class FetchError(Exception):
    """A picture could not be fetched, or must not be; `reason` and `detail` say why its row is dropped.

    `retry_after` is the pause before another attempt (seconds), or None if another attempt is useless.
    """

    def __init__(self, reason: str, detail: str, retry_after: float | None = None) -> None:
        super().__init__(reason, detail)
        self.reason, self.detail, self.retry_after = reason, detail, retry_after


@dataclasses.dataclass(frozen=True)
class HttpClient:
    """Fetches one picture at a time.

    Attributes:
      retries: further attempts after a transient failure (no connection, 408, 429, 5xx), with growing pauses.
      timeout: limit for one attempt, from the first byte sent to the last byte received (seconds).
      max_bytes: largest size of a picture (bytes).
      user_agent: name of the client; it should tell a site how to reach you.
      refuse: directives of X-Robots-Tag that forbid a picture.
    """

    retries: int
    timeout: float
    max_bytes: int
    user_agent: str
    refuse: tuple[str, ...]

    def get(self, session: requests.Session, url: str) -> bytes:
        """Returns the bytes at a URL.

        Raises:
          FetchError: the URL gives no bytes, or its X-Robots-Tag forbids their use.
        """
        for attempt in range(self.retries + 1):
            try:
                return self._attempt(session, url)
            except FetchError as error:
                if error.retry_after is None or attempt == self.retries:
                    raise
                time.sleep(min(max(error.retry_after, 0.2 * 2**attempt), self.timeout))
        raise AssertionError("unreachable: the last attempt returns or raises")

    def _attempt(self, session: requests.Session, url: str) -> bytes:
        end = time.monotonic() + self.timeout
        headers = {"User-Agent": self.user_agent, "Accept": "image/*"}
        try:
            with session.get(url, headers=headers, timeout=self.timeout, stream=True) as response:
                forbidden = _robots_directives(response, self.user_agent) & set(self.refuse)
                if forbidden:
                    raise FetchError("fetch_forbidden", f"{url}: X-Robots-Tag says {', '.join(sorted(forbidden))}")
                if response.status_code != 200:
                    transient = response.status_code in _TRANSIENT
                    retry_after = _seconds(response.headers.get("Retry-After")) if transient else None
                    raise FetchError("fetch_failed", f"{url}: HTTP {response.status_code}", retry_after)
                return self._body(response, url, end)
        except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError) as error:
            raise FetchError("fetch_failed", f"{url}: {type(error).__name__}: {error}", retry_after=0.0) from error
        except FetchError:
            raise
        except Exception as error:  # no response of a server may stop the run
            raise FetchError("fetch_failed", f"{url}: {type(error).__name__}: {error}") from error

    def _body(self, response: requests.Response, url: str, end: float) -> bytes:
        body = bytearray()
        for piece in response.iter_content(_PAGE):
            body += piece
            if len(body) > self.max_bytes:
                raise FetchError("image_too_large", f"{url}: more than {self.max_bytes} bytes")
            if time.monotonic() > end:
                raise FetchError("fetch_failed", f"{url}: not whole after {self.timeout} s", retry_after=0.0)
        announced = response.headers.get("Content-Length", "")
        if announced.isdecimal() and response.raw.tell() < int(announced):  # requests does not check this
            raise FetchError("fetch_failed", f"{url}: broke off before {announced} bytes", retry_after=0.0)
        return bytes(body)


def new_session() -> requests.Session:
    """Returns a session for one thread, with a limit on redirects."""
    session = requests.Session()
    session.max_redirects = _MAX_REDIRECTS
    return session


def host_of(url: str) -> str:
    """Returns the host of a URL, to which limits apply; FetchError if it has none."""
    try:
        parts = urllib.parse.urlsplit(url)
        host = parts.hostname
    except ValueError as error:
        raise FetchError("invalid_url", f"{url!r}: {error}") from error
    if parts.scheme not in ("http", "https") or not host:
        raise FetchError("invalid_url", f"{url!r} must start with http:// or https:// and a host")
    return host


def in_threads(
    items: Iterable[tuple[str, Item]],
    work: Callable[[requests.Session, Item], Result],
    threads: int,
    host_connections: int,
    host_pause: float,
) -> Iterator[Result]:
    """Processes (host, item) pairs in threads, and yields each result as soon as it is ready.

    Memory stays bounded: threads wait if the caller does not take their results.

    Args:
      items: (host, item) pairs.
      work: makes the result of an item.
      threads: number of threads.
      host_connections: largest number of items of one host that are processed at a time.
      host_pause: pause between two items on one connection to a host (seconds).
    """
    lanes: dict[tuple[str, int], list[Item]] = {}
    seen: dict[str, int] = {}
    for host, item in items:
        number = seen[host] = seen.get(host, -1) + 1
        lanes.setdefault((host, number % host_connections), []).append(item)
    results: queue.Queue[Result] = queue.Queue(maxsize=4 * threads)
    stop = threading.Event()

    def run(lane: list[Item]) -> None:
        with new_session() as session:
            for number, item in enumerate(lane):
                if number and host_pause:
                    stop.wait(host_pause)
                if stop.is_set():
                    return
                _put(results, work(session, item), stop)

    count = sum(map(len, lanes.values()))
    with futures.ThreadPoolExecutor(threads) as pool:
        running = {pool.submit(run, lane) for lane in lanes.values()}
        try:
            while count:
                try:
                    yield results.get(timeout=0.5)
                    count -= 1
                except queue.Empty:
                    _raise_failed(running)
        finally:
            stop.set()


def _put(results: "queue.Queue[Any]", result: Any, stop: threading.Event) -> None:
    while not stop.is_set():
        try:
            results.put(result, timeout=0.5)
            return
        except queue.Full:
            continue


def _raise_failed(running: set["futures.Future[None]"]) -> None:
    for one in running:
        if one.done():
            one.result()


def _robots_directives(response: requests.Response, user_agent: str) -> set[str]:
    """Returns the directives of X-Robots-Tag for all clients or for this one (the first word of its user agent)."""
    own = user_agent.split("/")[0].split()[0].casefold() if user_agent.split() else ""
    directives: set[str] = set()
    applies = True
    for part in response.headers.get("X-Robots-Tag", "").casefold().split(","):
        name, colon, rest = part.strip().partition(":")
        if colon and name.strip() not in ("unavailable_after", "max-snippet", "max-image-preview", "max-video-preview"):
            applies = name.strip() in (
                "*",
                own,
            )  # "googlebot: noindex, nofollow": the name applies to all directives after it
            part = rest
        if applies:
            directives.add(part.strip())
    return directives


def _seconds(retry_after: str | None) -> float:
    try:
        return max(0.0, float(retry_after or 0))
    except ValueError:  # a date; the growing pauses are enough
        return 0.0
