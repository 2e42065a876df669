"""Odd URLs and addresses that are not public, in all their spellings."""

import ipaddress
import random
import socket

import aiohttp
import pytest

from beam.sources.fetch.addresses import AddressPolicy, is_public
from beam.sources.fetch.errors import FetchError
from beam.sources.fetch.urls import parse
from tests.beam.sources.hostile_server import client

PRIVATE_ADDRESSES = [
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.1",
    "100.64.0.1",
    "100.100.100.200",
    "127.0.0.1",
    "127.255.255.254",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.1",
    "192.0.0.192",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.1.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.1.1.1",
    "240.0.0.1",
    "255.255.255.255",
    "168.63.129.16",
    "::",
    "::1",
    "::127.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:0:127.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::1",
    "100::1",
    "2001::1",
    "2001:0:4136:e378:8000:63bf:3fff:fdd2",
    "2001:db8::1",
    "2001:10::1",
    "2001:20::1",
    "2002:7f00:1::1",
    "2002:a00:1::1",
    "2002:808:808::1",
    "3ffe::1",
    "3fff::1",
    "5f00::1",
    "fc00::1",
    "fd00:ec2::254",
    "fd12::1",
    "fe80::1",
    "fec0::1",
    "ff02::1",
    "2606:4700::5efe:7f00:1",
    "2606:4700::200:5efe:a00:1",
    "4000::1",
]


@pytest.mark.parametrize("address", PRIVATE_ADDRESSES)
def test_addresses_that_are_not_public(address):
    assert not is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize(
    "address", ["1.1.1.1", "8.8.8.8", "172.32.0.1", "2606:4700::1111", "64:ff9b::808:808", "::ffff:8.8.8.8"]
)
def test_addresses_that_are_public(address):
    assert is_public(ipaddress.ip_address(address))


ODD = [
    "", " ", "x", "http:", "http://", "http:///x", "http:/h/x", "http:h/x", "//h/x", "/x", "ftp://h/x", "file:///x",
    "h:80/x",
    "http://h:0/", "http://h:65536/", "http://h:-1/", "http://h:+80/", "http://h:8 0/", "http://h:\uff18\uff10/",
    "http://h:80:80/",
    "http://u@h/", "http://u:p@h/", "http://@h/", "http://:@h/", "http://h\\@g/", "http://h/\\", "http:\\\\h/",
    "http://h\n/",
    "http://h/\r\nX: y", "http://h\0/", "http://h/a b", "http://h\u00a0/", "http://h/\u2028", "http://h/\ud800",
    "http://h\x7f/",
    "http://h\u202e/", "http://h\u200b/", "http://a..b/", "http://.a/", "http://" + "a" * 64 + ".test/",
    "http://" + "a." * 130,
    "http://[::1/", "http://::1/", "http://[::1]x/", "http://[h]/", "http://[v1.h]/", "http://[fe80::1%25lo]/",
    "http://[fe80::1%lo]/",
    "http://%31.test/", "http://h%00/", "http://h%2fg/", "http://h%40g/", "http://h?@g:80@/\\", "http://a_b.0x1/",
    "http://h.1./",
    "http://h<g/", "http://h,g/", "http://h;g/", "http://h'g/", "http://h|g/", "http://h^g/", "http://h`g/",
    "http://*/", "http://{h}/",
    "http://xn--\x80/", "http://" + "h" * 9000, None, 7, b"http://h/", ["http://h/"], float("nan"),
]  # fmt: skip


@pytest.mark.parametrize("odd", ODD)
def test_odd_urls_are_refused(odd):
    with pytest.raises(FetchError) as caught:
        parse(odd)
    assert caught.value.reason == "invalid_url"
    assert len(caught.value.detail) < 600
    assert "\n" not in caught.value.detail


@pytest.mark.parametrize(("url", "host"), [
    ("http://h/a@b", "h"), ("HTTP://H.test:80/?x=@#y@z", "h.test"), ("http://ex_am-ple.test/ü?ö", "ex_am-ple.test"),
    ("http://bücher.test/", "xn--bcher-kva.test"), ("http://1.1.1.1/", "1.1.1.1"), ("http://[2606:4700::1]:8080/",
    "2606:4700::1"),
    ("http://h.test./", "h.test."), ("https://h/%20%2f", "h"), ("http://1.test/", "1.test"), ("http://-a.test/",
    "-a.test"),
])  # fmt: skip
def test_usual_urls_are_parsed(url, host):
    assert parse(url).raw_host == host


def _parts(number: int, count: int) -> list[int]:
    """A 32-bit number as the C library reads `count` parts: the last part has the remaining bits."""
    return [number >> 24 - 8 * i & 255 for i in range(count - 1)] + [number & (1 << 8 * (5 - count)) - 1]


def _spellings(draw: random.Random) -> str:
    """One of the ways to write an address that is not public."""
    address = draw.choice([one for one in PRIVATE_ADDRESSES if "." in one and ":" not in one])
    number = int(ipaddress.ip_address(address))
    forms = [
        str,
        hex,
        lambda n: f"0{n:o}",
        lambda n: f"0X{n:X}",
        lambda n: f"{n:04}",
        lambda n: f"0x{n:08x}",
        lambda n: f"000{n:o}",
    ]
    host = ".".join(draw.choice(forms)(part) for part in _parts(number, draw.randint(1, 4)))
    if draw.random() < 0.2:
        host = draw.choice([f"[::ffff:{address}]", f"[::{address}]", f"[64:ff9b::{address}]", f"[::ffff:0:{address}]",
                            f"[2002:{number >> 16:x}:{number & 0xffff:x}::]", f"[0:0:0:0:0:ffff:{address}]",
                            address])  # fmt: skip
    wide = str.maketrans({**{str(d): chr(0xFF10 + d) for d in range(10)}, ".": draw.choice("\u3002\uff0e\uff61")})
    circled = str.maketrans({str(d): chr(0x245F + d) if d else "⓪" for d in range(10)})
    changes = [
        lambda h: h + ".", lambda h: h.translate(wide), lambda h: h.translate(circled), str.upper,
        lambda h: "".join(f"%{ord(c):02x}" if draw.random() < 0.3 else c for c in h), lambda h: f" {h}",
        lambda h: f"{h}%00",
        lambda h: f"x@{h}", lambda h: f"public.test\\@{h}", lambda h: f"public.test#@{h}",
        lambda h: f"{h}\\.public.test",
        lambda h: f"\u00ad{h}", lambda h: f"{h}\u200b", lambda h: f"{h}\t", lambda h: f"public.test:80@{h}",
        lambda h: f"{h}%2f",
    ]  # fmt: skip
    return draw.choice(changes)(host) if draw.random() < 0.4 else host


def _libc(host: str) -> list[str]:
    """What a name server that knows nothing but the C library's numbers answers."""
    if host == "public.test":
        return ["1.1.1.1"]
    try:
        return [socket.inet_ntoa(socket.inet_aton(host))]
    except OSError as error:
        raise socket.gaierror(f"{host!r} is unknown") from error


@pytest.mark.parametrize("policy", [AddressPolicy(), AddressPolicy(public=lambda _: True)], ids=["default", "careless"])
def test_no_spelling_of_a_private_address_is_connected_to(monkeypatch, policy, record_property):
    connected: list[str] = []

    async def record(addr_infos, **_):
        connected.extend(info[4][0] for info in addr_infos)
        raise OSError("the test connects to nothing")

    monkeypatch.setattr(aiohttp.connector.aiohappyeyeballs, "start_connection", record)
    draw = random.Random(26)
    count = 3000 if policy == AddressPolicy() else 300
    reasons: dict[str, int] = {}
    with client(policy=policy, lookup=_libc).connect() as connections:
        for _ in range(count):
            url = f"http://{_spellings(draw)}{draw.choice(['', ':8080'])}/x"
            with pytest.raises(FetchError) as caught:
                connections.get(url)
            reasons[caught.value.reason] = reasons.get(caught.value.reason, 0) + 1
    record_property("urls", count)
    print(f"{count} URLs: {reasons}; connected to {sorted(set(connected))[:5]}")
    private = {one for one in connected if one != "1.1.1.1"}
    if policy == AddressPolicy():
        assert not private
        assert reasons["private_address"] > 100
        assert reasons["invalid_url"] > 1000
    else:  # the test itself sees what a careless policy lets through
        assert private


def test_every_address_of_a_network_is_judged_alike_by_python_and_by_the_policy(record_property):
    draw = random.Random(26)
    count = 20_000
    for _ in range(count):
        address = ipaddress.IPv4Address(draw.getrandbits(32))
        if not address.is_global or address.is_multicast or address.is_reserved or address.is_link_local:
            assert not is_public(address)
            assert not is_public(ipaddress.ip_address(f"::ffff:{address}"))
            assert not is_public(ipaddress.ip_address(f"64:ff9b::{address}"))
        assert not is_public(ipaddress.ip_address((0x2002 << 112) | int(address) << 80))
        assert not is_public(ipaddress.IPv6Address(int(address)))
    record_property("addresses", count)
