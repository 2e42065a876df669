"""Bodies that are endless, oversized, cut or coded. Nothing leaves the loopback addresses."""

import gzip
import itertools
import zlib

import pytest

from beam.sources.fetch.errors import FetchError
from tests.beam.sources.hostile_server import OK, PICTURE, PUBLIC, answer_of

GIGABYTE = 1 << 30


def test_body_of_a_redirect_is_never_read(server):
    head = b"HTTP/1.1 302 Found\r\nLocation: /ok\r\nContent-Length: %d\r\n\r\n" % GIGABYTE
    assert answer_of(
        server, lambda opened: server.drip(opened, itertools.chain([head], itertools.repeat(bytes(1 << 20))))
    ) == (b"picture")
    assert server.sent < 32 << 20  # the buffers of the sockets


@pytest.mark.parametrize("answer", [b"HTTP/1.1 404 Not Found\r\n", OK + b"X-Robots-Tag: noai\r\n"])
def test_body_of_a_refused_answer_is_never_read(server, answer):
    head = answer + b"Content-Length: %d\r\n\r\n" % GIGABYTE
    error = answer_of(
        server, lambda opened: server.drip(opened, itertools.chain([head], itertools.repeat(bytes(1 << 20))))
    )
    assert isinstance(error, FetchError)
    assert server.sent < 32 << 20


def test_redirects_are_limited(server):
    error = answer_of(server, b"HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n")
    assert "more than 5 redirects" in error.detail
    assert len(server.requests[PUBLIC]) == 6


@pytest.mark.parametrize("early", [b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"])
def test_informational_answers_are_skipped(server, early):
    assert answer_of(server, early * 3 + PICTURE) == b"picture"


def _deflate(data: bytes, bits: int) -> bytes:
    made = zlib.compressobj(9, zlib.DEFLATED, bits)
    return made.compress(data) + made.flush()


CODED = {
    "gzip": gzip.compress(b"picture"), "x-gzip": gzip.compress(b"picture"), "deflate": _deflate(b"picture", 15),
    "Deflate": _deflate(b"picture", -15), "identity": b"picture", " identity , gzip": gzip.compress(b"picture"),
}  # fmt: skip


@pytest.mark.parametrize("coding", CODED)
@pytest.mark.parametrize("framing", ["length", "chunks", "close"])
def test_one_content_coding_is_undone(server, coding, framing):
    body = CODED[coding]
    head = OK + f"Content-Encoding: {coding}\r\n".encode()
    if framing == "length":
        answer = head + b"Content-Length: %d\r\n\r\n" % len(body) + body
    elif framing == "chunks":  # each byte by itself
        pieces = b"".join(b"1\r\n%c\r\n" % one for one in body)
        answer = head + b"Transfer-Encoding: chunked\r\n\r\n" + pieces + b"0\r\n\r\n"
    else:
        answer = head + b"Connection: close\r\n\r\n" + body
    assert answer_of(server, answer) == b"picture"


REFUSED = {
    "gzip twice": (OK + b"Content-Encoding: gzip, gzip\r\n", gzip.compress(gzip.compress(b"x")), "gzip, gzip"),
    "two headers": (OK + b"Content-Encoding: gzip\r\nContent-Encoding: gzip\r\n", gzip.compress(b"x"), "once"),
    "gzip and deflate": (OK + b"Content-Encoding: deflate, gzip\r\n", b"x", "once"),
    "brotli": (OK + b"Content-Encoding: br\r\n", b"x", "'br'"),
    "no gzip": (OK + b"Content-Encoding: gzip\r\n", b"picture", "no gzip stream"),
    "gzip cut": (OK + b"Content-Encoding: gzip\r\n", gzip.compress(b"picture")[:-3], "broke off"),
    "bytes after gzip": (OK + b"Content-Encoding: gzip\r\n", gzip.compress(b"picture") + b"more", "bytes follow"),
    "gzip bomb": (OK + b"Content-Encoding: gzip\r\n", gzip.compress(bytes(50_000_000)), "more than 100000"),
    "deflate bomb": (OK + b"Content-Encoding: deflate\r\n", _deflate(bytes(50_000_000), 15), "more than 100000"),
    "raw deflate bomb": (OK + b"Content-Encoding: deflate\r\n", _deflate(bytes(50_000_000), -15), "more than 100000"),
    "large": (OK, bytes(100_001), "100001 bytes are more than 100000"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_bodies_beyond_the_limits_are_refused(server, case):
    head, body, message = REFUSED[case]
    error = answer_of(server, head + b"Content-Length: %d\r\n\r\n" % len(body) + body)
    assert isinstance(error, FetchError)
    assert message in error.detail
    assert error.reason == ("image_too_large" if "more than 1000" in message else "fetch_failed")


def test_announced_size_is_refused_before_the_body_is_read(server):
    head = OK + b"Content-Length: %d\r\n\r\n" % GIGABYTE
    error = answer_of(
        server, lambda opened: server.drip(opened, itertools.chain([head], itertools.repeat(bytes(1 << 20))))
    )
    assert error.reason == "image_too_large"
    assert server.sent < 32 << 20


ENDLESS = {
    "chunks": (OK + b"Transfer-Encoding: chunked\r\n\r\n", b"10000\r\n" + bytes(1 << 16) + b"\r\n"),
    "no length": (OK + b"Connection: close\r\n\r\n", bytes(1 << 16)),
    "header": (OK + b"X: ", b"y" * (1 << 16)),
    "status line": (b"HTTP/1.1 200 ", b"O" * (1 << 16)),
    "folded header": (OK + b"X: y\r\n", b" y\r\n" * (1 << 14)),
    "empty members of gzip": (
        OK + b"Content-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"14\r\n" + gzip.compress(b"") + b"\r\n",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", ENDLESS)
def test_endless_answers_end_at_a_limit(server, case):
    head, piece = ENDLESS[case]
    error = answer_of(
        server, lambda opened: server.drip(opened, itertools.chain([head], itertools.repeat(piece))), timeout=5
    )
    assert isinstance(error, FetchError)
    assert "not whole" not in error.detail
    assert error.reason == ("image_too_large" if case in ("chunks", "no length") else "fetch_failed")
    assert server.sent < 32 << 20


WRONG = {
    "short": (OK + b"Content-Length: 100\r\n\r\npicture", True),
    "chunks cut": (OK + b"Transfer-Encoding: chunked\r\n\r\n7\r\npic", True),
    "no answer": (b"", True),
    "length and chunks": (OK + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n7\r\npicture\r\n0\r\n\r\n",
    False),
    "two lengths": (OK + b"Content-Length: 3\r\nContent-Length: 7\r\n\r\npicture", False),
    "length no number": (OK + b"Content-Length: -1\r\n\r\npicture", False),
    "no HTTP": (b"SSH-2.0-OpenSSH_9\r\n\r\n", False),
    "null in a header": (OK + b"X: \0\r\n\r\npicture", False),
    "switching protocols": (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", False),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_wrong_answers_are_errors_and_lost_connections_are_tried_again(server, case):
    answer, transient = WRONG[case]
    error = answer_of(server, answer)
    assert isinstance(error, FetchError)
    assert error.reason == "fetch_failed"
    assert (error.retry_after is not None) == transient


def test_retry_after_is_bounded_by_the_timeout(server):
    answer = b"HTTP/1.1 503 Busy\r\nRetry-After: 1e9\r\nContent-Length: 0\r\n\r\n"
    assert "HTTP 503" in answer_of(server, answer, timeout=0.3, retries=2).detail
    assert len(server.requests[PUBLIC]) == 3


def test_one_robots_tag_does_not_hide_another(server):
    tags = b"X-Robots-Tag: otherbot: noindex\r\nX-Robots-Tag: noai\r\n"
    assert answer_of(server, OK + tags + b"Content-Length: 0\r\n\r\n").reason == "fetch_forbidden"
