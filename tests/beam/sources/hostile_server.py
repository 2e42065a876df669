"""A server on loopback addresses that breaks HTTP, and a client whose resolver knows only the hosts of the tests."""

import collections
import contextlib
import ipaddress
import socket
import threading
import time
from collections.abc import Callable, Iterator

from beam.sources.fetch.addresses import AddressPolicy
from beam.sources.fetch.client import HttpClient
from beam.sources.fetch.errors import FetchError

PUBLIC, PRIVATE = "127.0.1.1", "127.0.0.1"  # how the tests' policy sees these addresses
HOSTS = {"public.test": [PUBLIC], "other.test": [PUBLIC], "private.test": [PRIVATE], "mixed.test": [PRIVATE, PUBLIC]}
OK = b"HTTP/1.1 200 OK\r\n"
PICTURE = OK + b"Content-Length: 7\r\n\r\npicture"


def public_in_tests(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    return address in ipaddress.ip_network("127.0.1.0/24")


def look_up(host: str) -> list[str]:
    if host not in HOSTS:
        raise socket.gaierror(f"{host} is unknown")
    return HOSTS[host]


class HostileServer:
    """Answers as `answers[path]` does with the socket; an answer of bytes is sent, then the connection is closed.

    Attributes:
      port: its port, on both addresses.
      requests: the head of each request, by the address that it came to.
      sent: bytes that a stream was able to send.
    """

    def __init__(self) -> None:
        self.answers: dict[str, bytes | Callable[[socket.socket], None]] = {"/ok": PICTURE}
        self.requests: dict[str, list[bytes]] = collections.defaultdict(list)
        self.sent = 0
        self._stop = threading.Event()
        first = socket.create_server((PUBLIC, 0))
        self.port = first.getsockname()[1]
        self._sockets = [first, socket.create_server((PRIVATE, self.port))]
        for address, listening in zip((PUBLIC, PRIVATE), self._sockets, strict=True):
            threading.Thread(target=self._listen, args=(address, listening), daemon=True).start()

    def url(self, host: str, path: str = "/ok") -> str:
        return f"http://{host}:{self.port}{path}"

    def drip(self, opened: socket.socket, pieces: Iterator[bytes], pause: float = 0.0) -> None:
        """Sends pieces until the client hangs up."""
        for piece in pieces:
            if self._stop.is_set():
                return
            opened.sendall(piece)
            self.sent += len(piece)
            time.sleep(pause)

    def close(self) -> None:
        self._stop.set()
        for one in self._sockets:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def _listen(self, address: str, listening: socket.socket) -> None:
        while not self._stop.is_set():
            try:
                opened, _ = listening.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(address, opened), daemon=True).start()

    def _answer(self, address: str, opened: socket.socket) -> None:
        with opened, contextlib.suppress(OSError):
            opened.settimeout(20)
            head = b""
            while b"\r\n\r\n" not in head:
                piece = opened.recv(4096)
                if not piece:
                    return
                head += piece
            self.requests[address].append(head)
            path = head.split()[1].decode()
            answer = self.answers.get(path.partition("?")[0], b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
            if isinstance(answer, bytes):
                opened.sendall(answer)
            else:
                answer(opened)


def client(**changes) -> HttpClient:
    settings = {"retries": 0, "timeout": 1.0, "max_bytes": 100_000, "user_agent": "tests", "refuse": ("noai",)}
    settings |= {"policy": AddressPolicy(public=public_in_tests), "lookup": look_up}
    return HttpClient(**(settings | changes))


def fetch(url: str, **changes) -> bytes | FetchError:
    """Returns the bytes at a URL, or the error."""
    with client(**changes).connect() as connections:
        try:
            return connections.get(url)
        except FetchError as error:
            return error


def answer_of(
    server: HostileServer, answer: bytes | Callable[[socket.socket], None], timeout: float = 1.0, **changes
) -> bytes | FetchError:
    """Fetches what the server answers; fails if the deadline does not hold."""
    server.answers["/x"] = answer
    result: list[bytes | FetchError] = []
    thread = threading.Thread(
        target=lambda: result.append(fetch(server.url("public.test", "/x"), timeout=timeout, **changes)), daemon=True
    )
    thread.start()
    thread.join(15 * timeout)
    assert result, "the deadline does not hold"
    return result[0]
