"""Secrets of URLs are masked in messages, and the rest of a URL stays readable."""

import random
import urllib.parse

import pytest

from beam.masking import mask, shown
from beam.records import Rejected

NAMES = [
    "ak",
    "q-ak",
    "sk",
    "_csrf",
    "\uff54\uff4f\uff4b\uff45\uff4e",
    "sig",
    "signature",
    "Signature",
    "X-Amz-Signature",
    "X-Amz-Credential",
    "X-Amz-Security-Token",
    "X-Goog-Signature",
    "X-Goog-Credential",
    "GoogleAccessId",
    "AWSAccessKeyId",
    "OSSAccessKeyId",
    "x-oss-signature",
    "Key-Pair-Id",
    "Policy",
    "token",
    "access_token",
    "id_token",
    "refresh_token",
    "accessToken",
    "authToken",
    "auth_token",
    "csrf-token",
    "key",
    "api_key",
    "apikey",
    "api-key",
    "apiKey",
    "x-api-key",
    "subscription-key",
    "subscriptionKey",
    "private_key",
    "client_secret",
    "clientSecret",
    "secret",
    "password",
    "passwd",
    "pwd",
    "pass",
    "user[password]",
    "pw",
    "auth",
    "oauth_token",
    "authorization",
    "credential",
    "credentials",
    "session",
    "sessionid",
    "session_id",
    "PHPSESSID",
    "jsessionid",
    "sid",
    "sess",
    "code",
    "jwt",
    "hmac",
    "hash",
    "md5",
    "ssig",
    "lsig",
    "sas_token",
    "__token__",
    "hdnts",
    "hdnea",
    "otp",
    "pin",
    "ticket",
    "assertion",
    "bearer",
    "_signature",
    "url_sig",
    "sharedkey",
    "ig_cache_key",
]
HARMLESS = [
    "w",
    "width",
    "height",
    "h",
    "q",
    "quality",
    "id",
    "page",
    "v",
    "format",
    "fit",
    "crop",
    "author",
    "keyword",
    "keywords",
    "design",
    "assign",
    "monkey",
    "passage",
    "compass",
    "se",
    "sp",
    "expires",
    "Expires",
    "X-Amz-Date",
    "X-Amz-Expires",
    "X-Amz-Algorithm",
    "lang",
    "sort",
    "encoded",
    "category",
    "signal",
    "tokyo",
    "authority",
    "zip",
]


@pytest.mark.parametrize("name", NAMES)
def test_secret_values_are_masked(name):
    quoted = urllib.parse.quote(name, safe="[]")
    every = "".join(f"%{byte:02x}" for byte in name.encode())
    for written in (quoted, every, urllib.parse.quote(every), name.upper()):
        for text in (f"http://h/x?w=1&{written}=HIDDEN&n=2", f"http://h/x?{written}=HIDDEN",
        f"http://h/#{written}=HIDDEN",
                     f"/x;{written}=HIDDEN", f"{{'url': 'http://h/?{written}=HIDDEN'}}", f"a ?{written}=HIDDEN b",
                     f"http://h/?{written}=HIDDEN%26more;HIDDEN",
                     "http://h/?u=" + urllib.parse.quote(f"http://g/?{written}=HIDDEN"),
                     f"&amp;{written}=HIDDEN"):  # fmt: skip
            assert "HIDDEN" not in mask(text), text
            assert "***" in mask(text)
    assert mask(f"http://h/x?w=1&{quoted}=HIDDEN&n=2") == f"http://h/x?w=1&{quoted}=***&n=2"


@pytest.mark.parametrize("name", HARMLESS)
def test_other_values_stay(name):
    url = f"http://h/x?{name}=640&a={name}#{name}=b;{name}=c"
    assert mask(url) == url


@pytest.mark.parametrize("text", [
    "http://me:HIDDEN@h/x", "http://HIDDEN@h/x", "https://me:SEC/HIDDEN@h", "//me:HIDDEN@h",
    "http://HIDDEN\\@INTERNAL/x",
    "http:\\\\me:HIDDEN@h", "http:me:HIDDEN@h", "ftp://me:HIDDEN@h/x and s3://HIDDEN@b/k", "http://a:HIDDEN@b@h/x",
    "http://a@b:HIDDEN/x@c", f"http://me:{'x' * 600}HIDDEN{'x' * 600}@h",
    "http://h/?u=http%3A%2F%2Fme%3AHIDDEN%40h%2Fx", "http://h/?u=http%253A%252F%252Fme%253AHIDDEN%2540h",
])  # fmt: skip
def test_logins_are_masked(text):
    assert "HIDDEN" not in mask(text)
    assert "***" in mask(text)


@pytest.mark.parametrize("text", ["me:HIDDEN@h/x", ":HIDDEN@h", "me:HID DEN@h", "me:a/HIDDEN@h", "me:8080HIDDEN@h/x"])
def test_login_of_a_url_without_a_scheme_is_masked(text):
    assert "DEN" not in shown(text)


@pytest.mark.parametrize("text", [
    "", "a cat", "a = b & c", "me@example.test", "https://h/@user/x", "https://h:8080/@user/x", "http://h/x?y",
    "50% off?",
    "the caption is 'what? a=b'", "s3://bucket/a@b", "folder/pairs.jsonl:7",
])  # fmt: skip
def test_text_without_secrets_stays(text):
    assert mask(text) == text


def test_masking_twice_changes_nothing():
    once = mask("http://me:word@h/?sig=HIDDEN: HTTP 404, //me@h")
    assert mask(once) == once


def test_values_that_look_random_are_masked():
    assert mask("http://h/?x=eyJhbGciOiJIUzI1NiJ9.eyJz.c2ln&n=1") == "http://h/?x=***&n=1"
    assert mask("http://h/?x=0a1b2c3d4e5f60718293a4b5c6d7e8f9") == "http://h/?x=***"
    assert mask("http://h/?x=a-title-of-a-picture-that-is-long") == "http://h/?x=a-title-of-a-picture-that-is-long"


def test_shown_url_is_one_short_line():
    assert shown("http://me:SEC RET\n@h/\x1b[31m") == "http://***@h/%1B[31m"
    assert len(shown("http://h/" + "x" * 9000)) < 210
    assert shown({"u": "http://h/?sig=HIDDEN"}) == "{'u':%20'http://h/?sig=***'}"


def test_rejects_hide_secrets_in_all_their_texts():
    row = Rejected(
        "http://h/?sig=HIDDEN", "a.tar:http://h/?token=HIDDEN", "invalid_field", "'http://me:HIDDEN@h' is wrong"
    )
    assert "HIDDEN" not in repr(row)


def test_mutated_urls_keep_their_secret_hidden(record_property):
    draw, count = random.Random(26), 20_000
    for _ in range(count):
        pairs = [f"{draw.choice(HARMLESS)}={draw.randrange(100)}" for _ in range(draw.randint(0, 3))]
        pairs.insert(
            draw.randint(0, len(pairs)), f"{draw.choice(NAMES)}={draw.choice(['', 'a%2F', 'b+', '=', ','])}HIDDEN"
        )
        login = draw.choice(["", "", "me:HIDDEN@", "HIDDEN@", "me:a%40HIDDEN@"])
        separator = draw.choice(["&", "&", "&amp;"])
        scheme, port = draw.choice(["http", "HTTPS", "ftp"]), draw.choice(["", ":80"])
        url = f"{scheme}://{login}h{port}/x{draw.choice('?#;')}{separator.join(pairs)}"
        if draw.random() < 0.3:
            url = f"http://h/?u={urllib.parse.quote(url, safe='')}"
        text = draw.choice(["{}", "'{}'", '{{"u": "{}"}}', "see {}, please", "({})", "<{}>"]).format(url)
        assert "HIDDEN" not in mask(text), text
        assert "HIDDEN" not in shown(url), url
    record_property("urls", count)


@pytest.mark.parametrize("piece", ["\\", "://a:", "?a", "%3f", "http:", "%3a%2f%2fx", "'", "?sig='", "a", "?a=", "%"])
def test_long_texts_are_cut(piece):
    assert len(mask("http://h/?sig=" + piece * 1_000_000)) < 11_000
