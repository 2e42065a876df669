"""Reads the body of a response, and undoes one content coding, within a limit of bytes."""

import zlib

import aiohttp

from beam.sources.fetch.errors import FetchError

_CODINGS = {"gzip": 31, "x-gzip": 31, "deflate": 15}  # the window bits of zlib


async def read_body(response: aiohttp.ClientResponse, max_bytes: int) -> bytes:
    """Returns the decoded body.

    Args:
      response: a response whose body aiohttp does not decompress.
      max_bytes: largest size, as sent and as decoded (bytes).

    Raises:
      FetchError: the body is too large, is cut off, or has an unknown content coding or more than one.
    """
    coding = _coding(response)
    announced = response.content_length
    if announced is not None and announced > max_bytes:
        raise FetchError("image_too_large", f"{announced} bytes are more than {max_bytes}")
    decoder = _Decoder(coding) if coding else None
    body, received = bytearray(), 0
    async for piece in response.content.iter_any():
        received += len(piece)
        body += decoder.decode(piece, max_bytes + 1 - len(body)) if decoder else piece
        if max(received, len(body)) > max_bytes:
            raise FetchError("image_too_large", f"more than {max_bytes} bytes")
    if decoder and received and not decoder.ended:
        raise FetchError("fetch_failed", f"the {coding} stream broke off", retry_after=0.0)
    return bytes(body)


def _coding(response: aiohttp.ClientResponse) -> str:
    said = ",".join(response.headers.getall("Content-Encoding", []))
    codings = [one for one in (part.strip().casefold() for part in said.split(",")) if one not in ("", "identity")]
    if len(codings) > 1 or any(one not in _CODINGS for one in codings):
        raise FetchError("fetch_failed", f"Content-Encoding is {said[:200]!r}, but may be gzip or deflate, once")
    return codings[0] if codings else ""


class _Decoder:
    """Undoes gzip or deflate; never makes more bytes than there is room for."""

    def __init__(self, coding: str) -> None:
        self._coding = coding
        self._zlib = zlib.decompressobj(_CODINGS[coding])
        self._head = b""

    @property
    def ended(self) -> bool:
        return self._zlib.eof

    def decode(self, piece: bytes, room: int) -> bytes:
        """Returns the decoded bytes of the next piece, at most `room`."""
        if self._coding == "deflate" and len(self._head) < 2:
            piece, self._head = self._head + piece, (self._head + piece)[:2]
            if len(self._head) < 2:
                return b""
            if self._head[0] & 15 != 8 or int.from_bytes(self._head, "big") % 31:
                self._zlib = zlib.decompressobj(-15)  # some servers send the stream without zlib's header
        made = bytearray()
        try:
            while piece and len(made) < room and not self._zlib.eof:
                made += self._zlib.decompress(piece, room - len(made))
                piece = self._zlib.unconsumed_tail
        except zlib.error as error:
            raise FetchError("fetch_failed", f"no {self._coding} stream: {error}") from error
        if self._zlib.unused_data or (self._zlib.eof and piece):
            raise FetchError("fetch_failed", f"bytes follow the {self._coding} stream")
        return bytes(made)
