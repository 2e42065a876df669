"""The report's page: hostile texts stay text, its policy blocks scripts and requests, and it has fonts of its own."""

import datetime
import html.parser
import http.server
import pathlib
import re
import threading
from typing import Any

import pytest
from PIL import Image

from beam import thumbnails
from components.run_report import executor, fonts, times, training_views
from components.run_report.composed_queries import ComposedQueries, ComposedQuery, Found
from components.run_report.heat_maps import HeatMap
from models.evaluation import metrics
from tests.pictures import encode
from tests.pipeline.demo.browser import CHROMIUM, Browser, wait_for

PIXEL = thumbnails.data_address(encode(Image.new("RGB", (2, 2))))
DATA = PIXEL.partition(",")[2]
MOMENT = datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc)
HOSTILE = [
    "<script>window.hacked = 1</script>",
    "\"><img src=x onerror='window.hacked = 1'>",
    "'><svg/onload=window.hacked=1>",
    "</title><script>window.hacked = 1</script>",
    "</pre></style><script>window.hacked = 1</script>",
    "</style><style>body { background: url(URL/css) }</style>",
    "<link rel=stylesheet href=URL/link><iframe src=URL/frame></iframe>",
    "<meta http-equiv=refresh content='0; url=URL/refresh'>",
    "<base href=URL/><form action=URL/form><button autofocus></form>",
    "<a href='javascript:window.hacked=1'>x</a>",
    "{{ 7 * 7 }}{% raw %}",
    "&lt;script&gt;window.hacked=1&lt;/script&gt;",
    "\u202e<img src=URL/bidi>\u202c \x00 \x1b[31m",
]


def page(text: str, calibrated: bool = True) -> str:
    """A page in which every text of the run is `text`."""
    shares = dict.fromkeys(metrics.NAMES, 0.5)
    values = {**shares, "example_count": 10.0, "pictures": 10.0}
    line = {"place": text, "metric": "image_to_text_recall_at_1", "value": 0.5, "low": 0.4, "high": 0.6, "chance": 0.1}
    line |= {"min_value": 0.1, "last_blessed": None, "change_low": None, "change_high": None, "max_drop": None}
    line |= {"max_value": None}
    rows = {"read": 9, "written": 8, "splits": {"train": 6, text: 2}, "dropped": {text: 1}}
    rows["captions_in_several_splits"] = 0
    clusters = {"clusters": 1, "sizes": {"2": 1}, "evaluation_sets": {text: {"found": 1, "rows": 2}}}
    summary: dict[str, Any] = {
        "title": text, "pushed": text, "failures": [text], "gate": [{**line, "failures": [text]}],
        "evaluation_sets": {text: {"rows": 3, "dropped": {text: 1}, "classes": 2}},
        "confidence": {"overall": 0.9, "slices": 0.99}, "slices": {text: values},
        "test": {"rows": 5, "metrics": shares, "chance": shares}, "image_text_gen": rows, "dedupe": rows,
        "clusters": clusters, "augment": rows, "anomalies": [text],
        "serving_check": {"problem": text, "request_seconds": {text: 0.1}, "rows": 2},
        "training": {"steps": 3, "loss": 1.0, "examples_per_second": 2.0}, "versions": {text: text},
        "reranked": [{"depth": 8, **shares, "seconds": 0.01}],
    }  # fmt: skip
    shown = {"image": PIXEL, "caption": text}
    shown_page = {
        "curves": PIXEL, "bars": PIXEL, "packaging_cost": text, "gin": text, "asked_steps": 3, "source": text,
        "codebook": {"codes": 4, "asked_codes": 9, "rows": 90, "used": 0.5, "perplexity": 3.0, "error": 0.1,
                     "error_of_mean": 0.9, "pictures": [{"picture": DATA, "rebuilt": DATA}]},
        "gallery": [
            {**shown, "nearest": [{"caption": text, "score": 0.5, "right": True}], "keywords": [(text, 0.5)]}
        ],
        "calibrated": calibrated, "modalities": PIXEL,
        "heat_maps": [HeatMap(PIXEL, text, right) for right in (True, False)],
        "queries": ComposedQueries(
            3, 4, text, {text: {1: {"value": 0.5, "low": 0.4, "high": 0.6}}}, {1: 0.1},
            [ComposedQuery(PIXEL, text, text, text, [Found(PIXEL, text, right=True)])],
        ),
        "pairs": [{"kept": shown, "dropped": shown, "reason": text, "detail": f"a;{text}"}],
        "seen": [training_views.Seen(PIXEL, text, [training_views.Visit(text, PIXEL, text)])],
        "variants": [{**shown, "variants": [{**shown, "variant": text}]}],
        "attribution": text, "timings": [times.Made(text, MOMENT, 1.5)], "time_bars": PIXEL, "written_at": "now",
    }  # fmt: skip
    return executor.render(summary, shown_page)


class Elements(html.parser.HTMLParser):
    """Collects the elements of a page, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_adds_no_element_and_no_attribute(text):
    plain, hostile = Elements(page("plain")), Elements(page(text))
    assert [tag for tag, _ in hostile.found] == [tag for tag, _ in plain.found]
    assert [sorted(attributes) for _, attributes in hostile.found] == [sorted(one) for _, one in plain.found]
    assert all(
        attributes["src"].startswith("data:image/png;base64,")
        for tag, attributes in hostile.found
        if "src" in attributes
    )
    assert re.sub(r"\s", "", text.replace("\x00", "")) in re.sub(r"\s", "", hostile.text.replace("\x00", ""))


def test_an_objective_without_calibrated_probabilities_has_no_calibration_error():
    assert "<td>0.5000</td><td>0.5000</td>" in page("plain")
    assert "<td>0.5000</td>" not in page("plain", calibrated=False)


def test_policy_comes_first_and_allows_data_only():
    found = Elements(page("plain")).found
    policies = [attributes["content"] for _, attributes in found if attributes.get("http-equiv")]
    assert policies == [
        "default-src 'none'; style-src 'unsafe-inline'; img-src data:; font-src data:; base-uri 'none'; "
        "form-action 'none'"
    ]
    assert [tag for tag, _ in found[:5]] == ["html", "head", "meta", "meta", "meta"]
    assert not {tag for tag, _ in found} & {"script", "link", "iframe", "object", "embed", "form", "base"}


@pytest.mark.parametrize(
    "text", ["כלב חום", "كلب بني", "一只狗", "茶色の犬", "갈색 개", "สุนัขสีน้ำตาล", "কুকুর", "நாய்", "🐶"]
)
def test_page_has_a_font_for_each_script(text):
    faces = re.findall(
        r"@font-face \{ font-family: captions; src: url\(data:font/woff;.*?unicode-range: ([^;]*)", page(text)
    )
    covered = {int(code.removeprefix("U+"), 16) for face in faces for code in face.split(", ")}
    assert {ord(one) for one in text if one != " "} <= covered


def test_page_in_latin_letters_has_no_font():
    assert fonts.faces("a café, Ελληνικά, Русский \N{EN DASH} and “more”") == ""


class Requests(http.server.BaseHTTPRequestHandler):
    """Serves one page, and notes every other request."""

    content = ""
    others: list[str]

    def do_GET(self) -> None:
        if self.path != "/page":
            self.others.append(self.path)
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(self.content.encode())

    def log_message(self, *_: object) -> None:
        pass


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="needs chromium: apt-get install chromium")
def test_policy_blocks_scripts_and_requests_even_of_elements(tmp_path: pathlib.Path):
    """Puts the hostile texts into the page unescaped, as a fault of the template would."""
    handler = type("Handler", (Requests,), {"others": []})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}"
    # A policy in a page cannot forbid a refresh, so only the escaping does.
    raw = "\n".join(text for text in HOSTILE if "refresh" not in text).replace("URL", address)
    handler.content = page("plain 一只狗").replace("<h1>", f"{raw}<h1>")
    try:
        with Browser(tmp_path / "profile") as browser:
            browser.open(f"{address}/page", 1000)
            wait_for(lambda: browser.run("document.fonts.status") == "loaded")
            assert browser.run("window.hacked") is None
            assert [path for path in handler.others if path != "/favicon.ico"] == []
            assert browser.run(
                "[...document.images].filter((one) => one.src.startsWith('data:')).every((one) => one.naturalWidth)"
            )
            assert browser.run("[...document.fonts].some((one) => one.status == 'loaded')")
            handler.content = handler.content.replace("Content-Security-Policy", "x-nothing")
            browser.open(f"{address}/page?", 1000)
            wait_for(lambda: browser.run("window.hacked") == 1)  # the texts do run without the policy
            wait_for(lambda: "/link" in handler.others)
    finally:
        server.shutdown()
