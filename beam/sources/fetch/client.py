"""`HttpClient` fetches one picture at a time, with a deadline, retries and limits.

It uses aiohttp. Each wait of aiohttp can be cancelled, so that one deadline holds over all of an attempt: names,
connections, headers, redirects and body. (requests and httpx limit the pause between two bytes only.) aiohttp takes a
resolver, and connects to the very addresses that the resolver gives. It bounds headers, can leave the body compressed,
and by default reads no proxy and no login from the environment or from ~/.netrc.
"""

import asyncio
import dataclasses
import functools
import ssl
from collections.abc import Callable
from types import TracebackType

import aiohttp
import certifi
import yarl

from beam.masking import mask, shown
from beam.sources.fetch.addresses import AddressPolicy, Resolver, look_up
from beam.sources.fetch.body import read_body
from beam.sources.fetch.errors import FetchError
from beam.sources.fetch.robots import directives
from beam.sources.fetch.urls import parse

_TRANSIENT = {408, 429, 500, 502, 503, 504}
_REDIRECTS = {301, 302, 303, 307, 308}
_MAX_REDIRECTS = 5
_MAX_LINE = 8190  # bytes of the status line, and of each header
_MAX_HEADERS = 100


@dataclasses.dataclass(frozen=True)
class HttpClient:
    """Fetches one picture at a time.

    Attributes:
      retries: further attempts after a transient failure (no connection, 408, 429, 5xx), with growing pauses.
      timeout: limit for one attempt, from the lookup of the name to the last byte, redirects included (seconds).
      max_bytes: largest size of a picture (bytes).
      user_agent: name of the client; it should tell a site how to reach you.
      refuse: directives of X-Robots-Tag that forbid a picture.
      policy: the addresses that the client may connect to.
      proxy: URL of an HTTP proxy, or "". It resolves names itself, so that only hosts that are written as addresses
        are checked.
      lookup: gives the addresses of a name.
    """

    retries: int
    timeout: float
    max_bytes: int
    user_agent: str
    refuse: tuple[str, ...]
    policy: AddressPolicy = AddressPolicy()
    proxy: str = ""
    lookup: Callable[[str], list[str]] = look_up

    def connect(self) -> "Connections":
        """Returns a context for one thread, which keeps connections open between pictures."""
        return Connections(self)

    async def get(self, session: aiohttp.ClientSession, text: str) -> bytes:
        """Returns the bytes at a URL.

        Raises:
          FetchError: the URL gives no bytes, or its X-Robots-Tag forbids their use.
        """
        url, where = parse(text), shown(text)
        for attempt in range(self.retries + 1):
            try:
                return await self._in_time(session, url, where)
            except FetchError as error:
                if error.retry_after is None or attempt == self.retries:
                    raise
                await asyncio.sleep(min(max(error.retry_after, 0.2 * 2**attempt), self.timeout))
        raise AssertionError("unreachable: the last attempt returns or raises")

    async def _in_time(self, session: aiohttp.ClientSession, url: yarl.URL, where: str) -> bytes:
        try:
            return await asyncio.wait_for(self._attempt(session, url), self.timeout)
        except asyncio.TimeoutError as error:
            raise FetchError("fetch_failed", f"{where}: not whole after {self.timeout} s", retry_after=0.0) from error
        except FetchError as error:
            raise FetchError(error.reason, f"{where}: {error.detail}", error.retry_after) from error
        except Exception as error:  # no response of a server may stop the run
            lost = isinstance(error, aiohttp.ClientConnectionError | aiohttp.ClientPayloadError)
            transient = lost and not isinstance(error, aiohttp.ClientConnectorCertificateError)
            detail = f"{where}: {type(error).__name__}: {mask(str(error)):.300}"
            raise FetchError("fetch_failed", detail, retry_after=0.0 if transient else None) from error

    async def _attempt(self, session: aiohttp.ClientSession, url: yarl.URL) -> bytes:
        for _ in range(_MAX_REDIRECTS + 1):
            self.policy.check_literal(url)
            response = await session.get(url, allow_redirects=False, proxy=self.proxy or None)
            try:
                if response.status not in _REDIRECTS or "Location" not in response.headers:
                    return await self._answer(response)
                url = _target(response, url)
            finally:
                response.close()  # closes the connection unless the whole body was read: a redirect's never is
        raise FetchError("fetch_failed", f"more than {_MAX_REDIRECTS} redirects")

    async def _answer(self, response: aiohttp.ClientResponse) -> bytes:
        tags = response.headers.getall("X-Robots-Tag", [])
        forbidden = set().union(*(directives(tag, self.user_agent) for tag in tags)) & set(self.refuse)
        if forbidden:
            raise FetchError("fetch_forbidden", f"X-Robots-Tag says {', '.join(sorted(forbidden))}")
        if response.status != 200:
            retry_after = _seconds(response.headers.get("Retry-After")) if response.status in _TRANSIENT else None
            raise FetchError("fetch_failed", f"HTTP {response.status}", retry_after)
        return await read_body(response, self.max_bytes)


class Connections:
    """The connections of one thread: an event loop, and aiohttp's session in it. It is a context manager."""

    def __init__(self, client: HttpClient) -> None:
        self._client = client

    def __enter__(self) -> "Connections":
        self._loop = asyncio.new_event_loop()
        self._session = self._loop.run_until_complete(_new_session(self._client))
        return self

    def get(self, url: str) -> bytes:
        """Returns the bytes at a URL; raises FetchError."""
        return self._loop.run_until_complete(self._client.get(self._session, url))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            self._loop.run_until_complete(_close(self._session))
        finally:
            self._loop.close()


async def _new_session(client: HttpClient) -> aiohttp.ClientSession:
    policy = client.policy
    # With a proxy, its own name is the only one that is resolved here.
    allowed = (lambda _, addresses: addresses) if client.proxy else policy.allowed
    connector = aiohttp.TCPConnector(resolver=Resolver(allowed, client.lookup), ssl=_trusted())
    return aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"User-Agent": client.user_agent, "Accept": "image/*", "Accept-Encoding": "identity"},
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=None),  # the deadline is around the whole attempt
        auto_decompress=False,
        trust_env=False,
        max_line_size=_MAX_LINE,
        max_field_size=_MAX_LINE,
        max_headers=_MAX_HEADERS,
    )


async def _close(session: aiohttp.ClientSession) -> None:
    await session.close()
    left = asyncio.all_tasks() - {asyncio.current_task()}
    for task in left:  # lookups that the deadline has left behind
        task.cancel()
    if left:
        await asyncio.wait(left, timeout=1)


@functools.cache
def _trusted() -> ssl.SSLContext:
    """Trusts the certificates of the system, and Mozilla's, because some images have no store of their own."""
    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    context.set_alpn_protocols(["http/1.1"])
    return context


def _target(response: aiohttp.ClientResponse, url: yarl.URL) -> yarl.URL:
    try:
        return parse(response.headers["Location"], base=url)
    except FetchError as error:
        raise FetchError(error.reason, f"it redirects to {error.detail}") from error


def _seconds(retry_after: str | None) -> float:
    try:
        return max(0.0, float(retry_after or 0))
    except ValueError:  # a date; the growing pauses are enough
        return 0.0
