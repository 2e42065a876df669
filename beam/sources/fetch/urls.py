"""Parses URLs, and refuses odd ones.

One parser (yarl) reads each URL, and its result is what the client connects to: a second parser could see another host.
"""

import ipaddress
import re
import unicodedata

import yarl

from beam.masking import mask, shown
from beam.sources.fetch.errors import FetchError

_MAX_CHARACTERS = 8192
_ODD = frozenset({"Cc", "Cf", "Cs", "Zs", "Zl", "Zp"})  # control and format characters, lone surrogates, white space
_NAME = re.compile(r"(?=.{1,253}$)[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*\.?")
_PORT = re.compile(r"(\[.*\]|[^:\[\]]*)(:[0-9]*)?")
_NUMBER = re.compile(r"\d+|0x[0-9a-f]*")  # the C library reads 127.1, 0177.0.0.1, 0x7f.1 and 2130706433 as addresses

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def parse(text: object, base: yarl.URL | None = None) -> yarl.URL:
    """Returns a URL that may be connected to, without its fragment.

    Args:
      text: the URL, absolute, or relative to `base`.
      base: the URL that redirects to `text`.

    Raises:
      FetchError: it is no URL of HTTP or HTTPS, or it is odd: it has a login, a backslash, white space, a control
        character, or a host that parsers read in different ways.
    """
    if not isinstance(text, str) or not text:
        raise _invalid(text, "it must be a URL")
    if len(text) > _MAX_CHARACTERS:
        raise _invalid(text, f"it has {len(text)} characters, but may have {_MAX_CHARACTERS}")
    odd = next((one for one in text if one == "\\" or unicodedata.category(one) in _ODD), None)
    if odd is not None:
        raise _invalid(text, f"it contains {odd!r}; write it percent-encoded")
    try:
        url = yarl.URL(text)
        url = (base.join(url) if base else url).with_fragment(None)
        authority, host, port = url.raw_authority, url.raw_host, url.port
    except Exception as error:  # whatever the parser raises, one row must not stop the run
        raise _invalid(text, f"{type(error).__name__}: {mask(str(error)):.200}") from error
    if url.scheme not in ("http", "https") or not host:
        raise _invalid(text, "it must start with http:// or https:// and a host")
    written = re.split("[/?#]", text.partition("//")[2])[0]
    if "@" in authority or "@" in written:
        raise _invalid(text, "it contains a login, which is never sent; remove it")
    if not port or not _PORT.fullmatch(written):
        raise _invalid(text, "its port must be between 1 and 65535")
    if address_of(host) is None and ("[" in written or not _NAME.fullmatch(host) or _ends_in_number(host)):
        raise _invalid(text, f"{host[:80]!r} is no host name and no address in the usual form")
    return url


def address_of(host: str) -> Address | None:
    """Returns the address that a host is written as, such as 192.0.2.1 or 2001:db8::1; None for a name."""
    try:
        return None if "%" in host else ipaddress.ip_address(host)
    except ValueError:
        return None


def _ends_in_number(host: str) -> bool:
    return bool(_NUMBER.fullmatch(host.rstrip(".").rpartition(".")[2]))


def _invalid(text: object, why: str) -> FetchError:
    return FetchError("invalid_url", f"{shown(text)}: {why}")
