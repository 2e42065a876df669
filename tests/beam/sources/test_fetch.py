"""URL lists with a server on this machine: retries, limits, and X-Robots-Tag."""

import collections
import contextlib
import http.server
import itertools
import pathlib
import threading
import time

import pytest

from beam.sources.delimited.source import CsvSource
from beam.sources.fetch.lanes import in_threads
from beam.sources.url_list import UrlListSource
from tests.beam.sources.test_sources import read


class Handler(http.server.BaseHTTPRequestHandler):
    """Behaves as the path says; counts requests and records user agents."""

    def do_GET(self) -> None:
        server = self.server
        with server.lock:
            server.asked[self.path] += 1
            server.agents.add(self.headers["User-Agent"])
        self.answer(self.path.partition("?")[0].strip("/"))

    def answer(self, name: str) -> None:
        tags = {"noai": "noai", "bot": "otherbot: noai, noimageai", "own": "siglip-tfx: noimageai", "index": "noindex"}
        if name == "flaky" and self.server.asked["/flaky"] < 3:
            self.send_response(503)
            self.send_header("Retry-After", "0.01")
            self.end_headers()
        elif name in ("gone", "busy"):
            self.send_error(404 if name == "gone" else 503)
        elif name == "moved":
            self.send_response(302)
            self.send_header("Location", "/ok-moved")
            self.end_headers()
        elif name == "circle":
            self.send_response(302)
            self.send_header("Location", "/circle")
            self.end_headers()
        elif name == "hang":
            time.sleep(1.5)
        else:
            self.send_response(200)
            if name in tags:
                self.send_header("X-Robots-Tag", tags[name])
            length = 1000 if name == "cut" else 2000 if name == "large" else len(b"bytes of " + name.encode())
            self.send_header("Content-Length", str(length))
            self.end_headers()
            if name == "slow":
                # Counted before the answer is sent: the client may ask again before this thread goes on.
                with self.server.lock:
                    self.server.open += 1
                    self.server.most = max(self.server.most, self.server.open)
                time.sleep(0.02)
                with self.server.lock:
                    self.server.open -= 1
            if name == "drip":
                for _ in range(20):
                    self.wfile.write(b".")
                    time.sleep(0.1)
            self.wfile.write(bytes(2000) if name == "large" else b"bytes of " + name.encode())

    def log_message(self, *_) -> None:
        pass


@pytest.fixture
def server():
    made = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made.handle_error = lambda *_: None  # the tests make clients hang up
    made.lock, made.asked, made.agents = threading.Lock(), collections.Counter(), set()
    made.open = made.most = 0
    threading.Thread(target=made.serve_forever, daemon=True).start()
    yield made
    made.shutdown()
    made.server_close()


def url_list(folder: pathlib.Path, server, names: list[str], *others: str, **settings) -> UrlListSource:
    lines = [f"a {name}\thttp://127.0.0.1:{server.server_port}/{name}" for name in names]
    (folder / "list.tsv").write_text("\n".join([*lines, *others]) + "\n")
    default = UrlListSource().rows
    rows = CsvSource(
        str(folder / "list.tsv"), default.columns, default.captions, delimiter="\t", quote="", header=default.header
    )
    return UrlListSource(
        rows, **{"private_hosts": ("127.0.0.1",), "host_pause": 0.0, "timeout": 0.5, "max_bytes": 1500, **settings}
    )


def test_each_url_gives_a_picture_or_a_reason(tmp_path, server):
    names = ["ok", "flaky", "gone", "busy", "moved", "circle", "hang", "noai", "bot", "own", "index"]
    names += ["cut", "large", "drip"]
    others = ["no url\t", "a file\tfile:///etc/hostname", 'a "quote\tnot a url', "one field", "x\thttp://127.0.0.1:1/x"]
    pairs, rejected = read(url_list(tmp_path, server, names, *others, host_connections=8))
    assert {pair.caption: pair.image for pair in pairs} == {
        "a ok": b"bytes of ok", "a flaky": b"bytes of flaky", "a moved": b"bytes of ok-moved",
        "a bot": b"bytes of bot", "a index": b"bytes of index",
    }  # fmt: skip
    assert {pair.source for pair in pairs} == {"url_list"}
    reasons = {int(row.position.rpartition(":")[2]): row.reason for row in rejected}
    by_name = dict(zip([*names, "none", "file", "quote", "field", "refused"], range(1, 20), strict=True))
    expected = {
        "fetch_failed": ["gone", "busy", "circle", "hang", "cut", "drip", "refused"],
        "image_too_large": ["large"],
        "fetch_forbidden": ["noai", "own"],
        "invalid_url": ["none", "file", "quote"],
        "invalid_csv": ["field"],
    }
    assert reasons == {by_name[name]: reason for reason, some in expected.items() for name in some}
    assert server.asked["/gone"] == 1  # no retry
    assert server.asked["/busy"] == server.asked["/flaky"] == 3
    assert server.agents == {"siglip-tfx"}


def test_refuse_sets_the_directives_that_forbid(tmp_path, server):
    pairs, rejected = read(url_list(tmp_path, server, ["noai", "index"], refuse=("noindex",)))
    assert [pair.caption for pair in pairs] == ["a noai"]
    assert [row.reason for row in rejected] == ["fetch_forbidden"]


@pytest.mark.parametrize("connections", [1, 3])
def test_requests_to_a_host_at_a_time_are_limited(tmp_path, server, connections):
    names = ["slow"] * 24
    pairs, _ = read(url_list(tmp_path, server, names, host_connections=connections, threads=16))
    assert len(pairs) == 24
    assert server.most == connections


def test_pause_between_two_requests_to_a_host():
    at: list[float] = []
    work = lambda _, i: at.append(time.monotonic())  # noqa: E731
    list(in_threads([("h", i) for i in range(4)], contextlib.nullcontext, work, 8, 1, 0.05))
    assert len(at) == 4
    assert min(later - sooner for sooner, later in itertools.pairwise(at)) >= 0.05


def test_results_that_are_not_taken_do_not_accumulate():
    done: list[int] = []
    items = [(str(i), i) for i in range(500)]
    results = in_threads(items, contextlib.nullcontext, lambda _, i: done.append(i), 2, 1, 0.0)
    next(results)
    time.sleep(0.3)
    assert len(done) < 20
    results.close()


def test_error_in_a_thread_is_raised():
    def fail(_, item):
        raise RuntimeError("a bug")

    with pytest.raises(RuntimeError, match="a bug"):
        list(in_threads([("h", 1)], contextlib.nullcontext, fail, 2, 1, 0.0))


@pytest.mark.parametrize(("settings", "message"), [
    ({"threads": 0}, "UrlListSource.threads is 0, but must be 1 or more"),
    ({"timeout": 0.0}, r"UrlListSource.timeout is 0\.0, but must be above 0"),
    ({"private_hosts": ("http://intranet/",)}, "UrlListSource.private_hosts has 'http://intranet/', but must"),
    ({"private_hosts": ("10.0.0.7:80",)}, r"UrlListSource.private_hosts has '10\.0\.0\.7:80', but must have hosts"),
    ({"proxy": "http://me:word@proxy:3128"}, r"UrlListSource.proxy is 'http://\*\*\*@proxy:3128', but must be a URL"),
    ({"rows": "list.tsv"}, "UrlListSource.rows is 'list.tsv', but must be of type RowSource; correct"),
])  # fmt: skip
def test_errors_for_wrong_limits_say_the_fix(settings, message):
    with pytest.raises(ValueError, match=message):
        UrlListSource(**settings)


def test_secrets_of_urls_are_masked_in_rejects(tmp_path, server):
    base = f"http://127.0.0.1:{server.server_port}"
    others = [
        f"a\t{base}/gone?w=640&sig=HIDDEN", f"b\t{base}/gone?X-Amz-Signature=HIDDEN#access_token=HIDDEN",
        f"c\t{base}/noai?%74oken=HIDDEN", f"d\t{base}/large?apikey=HIDDEN&n=1", "e\thttp://me:HIDDEN@127.0.0.1/x",
        "f\thttp://127.0.0.1:1/x?password=HIDDEN", "g\tftp://me:HIDDEN@host/x?key=HIDDEN",
        "h\thttp://HIDDEN@\\b/x y?sig=HIDDEN",
        "i\thttp://192.168.0.1/x?session=HIDDEN",
    ]  # fmt: skip
    pairs, rejected = read(url_list(tmp_path, server, [], *others, retries=0))
    assert not pairs
    assert len(rejected) == 9
    assert not [row for row in rejected if "HIDDEN" in repr(row)]
    assert [row.detail for row in rejected if "***" not in row.detail] == []
    assert "/gone?w=640&sig=***: HTTP 404" in rejected[0].detail
