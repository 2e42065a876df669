"""Which addresses are connected to: public ones only, whatever the URL, the redirect or the name server says."""

import contextlib
import datetime
import itertools
import re
import socket
import ssl
import tempfile
import threading

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from beam.sources.fetch.addresses import AddressPolicy, is_public
from beam.sources.fetch.errors import FetchError
from tests.beam.sources.hostile_server import PICTURE, PRIVATE, PUBLIC, client, fetch, public_in_tests
from tests.beam.sources.test_fetch import url_list
from tests.beam.sources.test_sources import read


def test_public_host_is_fetched_and_private_host_is_not(server):
    assert fetch(server.url("public.test")) == b"picture"
    error = fetch(server.url("private.test"))
    assert error.reason == "private_address"
    assert error.retry_after is None
    assert "private.test is at 127.0.0.1" in error.detail
    assert "UrlListSource.private_hosts" in error.detail
    assert not server.requests[PRIVATE]


def test_only_the_public_addresses_of_a_host_are_used(server):
    assert fetch(server.url("mixed.test")) == b"picture"
    assert server.requests.keys() == {PUBLIC}


@pytest.mark.parametrize("target", [
    "http://private.test:{port}/ok", "//private.test:{port}/ok", "http://127.0.0.1:{port}/ok", "http://[::1]:{port}/ok",
    "http://2130706433:{port}/ok", "http://[::ffff:127.0.0.1]:{port}/ok", "http:\\\\private.test:{port}\\ok",
    "file:///etc/hostname", "ftp://127.0.0.1:{port}/ok", "gopher://127.0.0.1:{port}/_x", "data:image/png;base64,AAAA",
    "http://me:word@public.test:{port}/ok", "http://public.test\\@private.test:{port}/ok", "javascript:1", "",
])  # fmt: skip
def test_redirects_are_checked_as_the_url_is(server, target):
    location = target.format(port=server.port)
    server.answers["/x"] = f"HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n".encode()
    error = fetch(server.url("public.test", "/x"))
    assert isinstance(error, FetchError)
    assert error.reason in ("invalid_url", "private_address", "fetch_failed")
    assert "word" not in error.detail
    assert not server.requests[PRIVATE]
    assert len(server.requests[PUBLIC]) == 1


def test_relative_redirect_is_followed(server):
    server.answers["/a/x"] = b"HTTP/1.1 307 Moved\r\nLocation: ../ok?y=\xc3\xbc\r\nContent-Length: 0\r\n\r\n"
    assert fetch(server.url("public.test", "/a/x")) == b"picture"


def test_name_is_not_resolved_again_after_the_check(server):
    answers = itertools.chain([[PUBLIC]], itertools.repeat([PRIVATE]))
    asked = []

    def rebinding(host):
        asked.append(host)
        return next(answers)

    with client(lookup=rebinding).connect() as connections:
        assert connections.get(server.url("public.test")) == b"picture"
    assert asked == ["public.test"]
    assert not server.requests[PRIVATE]
    server.answers["/x"] = b"HTTP/1.1 302 Found\r\nLocation: http://other.test:%d/ok\r\n\r\n" % server.port
    assert fetch(
        server.url("public.test", "/x"), lookup=lambda h: [PUBLIC if h == "public.test" else PRIVATE]
    ).reason == ("private_address")
    assert not server.requests[PRIVATE]


@pytest.mark.parametrize(("named", "host"), [
    ("private.test", "PRIVATE.test"), ("127.0.0.1", "127.0.0.1"), ("Bücher.test", "xn--bcher-kva.test"),
])  # fmt: skip
def test_named_private_hosts_are_allowed(server, named, host, monkeypatch, tmp_path):
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (PRIVATE, 0))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    lines = [f"a\t{server.url(host)}", f"b\t{server.url('another.test')}"]
    pairs, rejected = read(url_list(tmp_path, None, [], *lines, private_hosts=(named,), timeout=5.0))
    assert [pair.image for pair in pairs] == [b"picture"]
    assert [row.reason for row in rejected] == ["private_address"]
    assert "'another.test' to UrlListSource.private_hosts" in rejected[0].detail


def test_no_login_no_cookie_and_no_proxy_of_the_environment(server, monkeypatch, tmp_path):
    for host in ("public.test", "other.test", "private.test"):
        with (tmp_path / ".netrc").open("a") as file:
            file.write(f"machine {host} login me password word\n")
    (tmp_path / ".netrc").chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://{PRIVATE}:{server.port}")
    server.answers["/x"] = (
        b"HTTP/1.1 302 Found\r\nSet-Cookie: a=b; Path=/\r\nLocation: http://other.test:%d/ok\r\n\r\n" % server.port
    )
    with client().connect() as connections:
        assert connections.get(server.url("public.test", "/x")) == b"picture"
        assert connections.get(server.url("public.test")) == b"picture"
    assert fetch(f"http://EVIL\\@private.test:{server.port}/x").reason == "invalid_url"
    assert fetch(f"http://public.test:{server.port}\\@private.test:{server.port}/x").reason == "invalid_url"
    assert not server.requests[PRIVATE]
    sent = b"".join(server.requests[PUBLIC]).lower()
    assert not [name for name in (b"authorization", b"cookie", b"referer") if name in sent]


def test_proxy_is_used_if_it_is_asked_for(server):
    server.answers["http://far.test/ok"] = PICTURE
    proxied = {"proxy": f"http://private.test:{server.port}"}
    assert fetch("http://far.test/ok", **proxied) == b"picture"
    assert fetch("http://10.0.0.1/ok", **proxied).reason == "private_address"
    assert len(server.requests[PRIVATE]) == 1


def test_certificates_are_verified(server):
    with socket.create_server((PUBLIC, 0)) as listening:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*_self_signed())

        def serve():
            opened, _ = listening.accept()
            with opened, contextlib.suppress(OSError):
                context.wrap_socket(opened, server_side=True)

        threading.Thread(target=serve, daemon=True).start()
        error = fetch(f"https://public.test:{listening.getsockname()[1]}/", timeout=5)
    assert error.reason == "fetch_failed"
    assert "certificate" in error.detail.lower()
    assert error.retry_after is None


def test_policy_of_the_tests_differs_from_the_product_in_the_addresses_only():
    assert client().policy == AddressPolicy(public=public_in_tests)
    assert AddressPolicy().public is is_public
    assert re.match("127", PUBLIC)
    assert re.match("127", PRIVATE)


def _self_signed() -> tuple[str, str]:
    """Returns the paths of a certificate for public.test that nobody vouches for, and of its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "public.test")])
    now = datetime.datetime.now(datetime.timezone.utc)
    made = (
        x509.CertificateBuilder(
            name, name, key.public_key(), x509.random_serial_number(), now, now + datetime.timedelta(1)
        )
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("public.test")]), False)
        .sign(key, hashes.SHA256())
    )
    folder = tempfile.mkdtemp()
    pem = serialization.Encoding.PEM
    with open(f"{folder}/certificate", "wb") as file:
        file.write(made.public_bytes(pem))
    with open(f"{folder}/key", "wb") as file:
        file.write(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    return f"{folder}/certificate", f"{folder}/key"
