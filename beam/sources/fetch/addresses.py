"""Decides which hosts the client may connect to, and resolves their names.

The resolver gives only allowed addresses, and the client connects to these very addresses. So a name whose address
changes after the check (DNS rebinding) gains nothing.
"""

import asyncio
import contextlib
import dataclasses
import ipaddress
import socket
import threading
from collections.abc import Callable
from typing import Any

import yarl
from aiohttp.abc import AbstractResolver, ResolveResult

from beam.masking import shown
from beam.sources.fetch.errors import FetchError
from beam.sources.fetch.urls import Address, address_of

_LOOKUPS = threading.BoundedSemaphore(64)  # of names at a time; a lookup that hangs keeps its place
_GLOBAL_UNICAST = ipaddress.ip_network("2000::/3")
_EMBEDS_IPV4 = ipaddress.ip_network("64:ff9b::/96")  # NAT64: the usual way to IPv4 in a network of IPv6 only
# Networks that `is_global` of some Python versions calls global, and addresses of clouds that are not what they seem.
_NEVER = tuple(
    ipaddress.ip_network(one)
    for one in (
        "192.0.0.0/24",  # protocol assignments, with Oracle's metadata at .192
        "192.88.99.0/24",  # relays of 6to4
        "168.63.129.16/32",  # Azure's host, whose address looks public
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved
        "2001::/23",  # protocol assignments, with Teredo, which embeds IPv4
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4, which embeds IPv4
        "3ffe::/16",  # given back
        "3fff::/20",  # documentation
    )
)


def is_public(address: Address) -> bool:
    """Whether an address belongs to the public internet; one that embeds an IPv4 address is judged by that."""
    if isinstance(address, ipaddress.IPv6Address):
        embedded = address.ipv4_mapped
        if address in _EMBEDS_IPV4:
            embedded = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if embedded is not None:
            return is_public(embedded)
        if address not in _GLOBAL_UNICAST or (int(address) >> 32) & 0xFDFFFFFF == 0x5EFE:  # ISATAP embeds IPv4
            return False
    return address.is_global and not any(address in network for network in _NEVER if network.version == address.version)


@dataclasses.dataclass(frozen=True)
class AddressPolicy:
    """Says which addresses the client may connect to.

    Attributes:
      private_hosts: hosts, as `parse` writes them, that may have any address.
      public: whether an address is public.
    """

    private_hosts: frozenset[str] = frozenset()
    public: Callable[[Address], bool] = is_public

    def check_literal(self, url: yarl.URL) -> None:
        """Raises FetchError if the host of the URL is an address that is not allowed."""
        host = url.raw_host or ""
        address = address_of(host)
        if address is not None:
            self.allowed(host, [str(address)])

    def allowed(self, host: str, addresses: list[str]) -> list[str]:
        """Returns the addresses of a host that the client may connect to.

        If a host has public and other addresses, only the public ones are allowed.

        Raises:
          FetchError: none is.
        """
        if host in self.private_hosts:
            return addresses
        public = [one for one in addresses if (address := address_of(one)) is not None and self.public(address)]
        if public:
            return public
        raise FetchError(
            "private_address",
            f"{host} is at {', '.join(addresses[:3]) or 'no address'}, which is not public; if you trust it, add "
            f"{host!r} to UrlListSource.private_hosts",
        )


def look_up(host: str) -> list[str]:
    """Returns the addresses of a name; it may wait as long as the C library does. Raises OSError or UnicodeError."""
    infos = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(info[4][0]) for info in infos))


class Resolver(AbstractResolver):
    """Resolves names for aiohttp, in threads that the end of the process does not wait for."""

    def __init__(self, allowed: Callable[[str, list[str]], list[str]], lookup: Callable[[str], list[str]]) -> None:
        """Keeps its arguments.

        Args:
          allowed: `AddressPolicy.allowed`.
          lookup: gives the addresses of a name, such as `look_up`.
        """
        self._allowed, self._lookup = allowed, lookup

    async def resolve(self, host: str, port: int = 0, family: int = 0) -> list[ResolveResult]:  # noqa: ARG002 (aiohttp's)
        """Returns the allowed addresses of a host; raises FetchError or OSError."""
        while not _LOOKUPS.acquire(blocking=False):
            await asyncio.sleep(0.02)
        loop = asyncio.get_running_loop()
        found: asyncio.Future[list[str]] = loop.create_future()
        threading.Thread(target=self._look_up, args=(host, loop, found), daemon=True).start()
        addresses = self._allowed(host, await found)
        return [
            ResolveResult(
                hostname=host,
                host=one,
                port=port,
                family=socket.AF_INET6 if ":" in one else socket.AF_INET,
                proto=socket.IPPROTO_TCP,
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for one in addresses
        ]

    async def close(self) -> None:
        """Does nothing: lookups that still run end by themselves."""

    def _look_up(self, host: str, loop: asyncio.AbstractEventLoop, found: "asyncio.Future[list[str]]") -> None:
        result: Any
        try:
            result = self._lookup(host)
        except Exception as error:
            unknown = f"{shown(host)} has no address: {type(error).__name__}: {error}"
            result = error if isinstance(error, OSError) else OSError(unknown)
        finally:
            _LOOKUPS.release()
        with contextlib.suppress(RuntimeError):  # the loop is closed: the deadline has passed
            loop.call_soon_threadsafe(_set, found, result)


def _set(found: "asyncio.Future[list[str]]", result: list[str] | OSError) -> None:
    if found.done():
        return
    if isinstance(result, OSError):
        found.set_exception(result)
    else:
        found.set_result(result)
