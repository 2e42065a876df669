"""A hostile SVG costs its own row only: it reads no file, and crashes, hangs and fills a process of its own."""

import os
import pathlib
import re
import signal

import pytest

from beam.sources.iconify import drawing_process, svg
from beam.sources.iconify.icon_set import Drawing, View
from beam.sources.iconify.rasteriser import Rasteriser
from beam.sources.limits import Limits
from beam.sources.rows.raw import InvalidRow
from tests import memory
from tests.beam.sources.icon_sets import RED, read

_USES = '<use href="#a{}"/>' * 10


def nested(element: str, depth: int) -> str:
    return f"<{element}>" * depth + RED + f"</{element}>" * depth


def uses(depth: int) -> str:
    """Ten to the power of `depth` squares, as elements that refer to elements."""
    levels = [f'<g id="a{i}">{_USES.format(*[i + 1] * 10)}</g>' for i in range(depth)]
    return f'<defs>{"".join(levels)}<g id="a{depth}">{RED}</g></defs><use href="#a0"/>'


def masks(depth: int) -> str:
    one = '<mask id="m{0}"><g mask="url(#m{1})">' + RED + '</g><g mask="url(#m{1})">' + RED + "</g></mask>"
    return "".join(one.format(i, i + 1) for i in range(depth)) + '<g mask="url(#m0)">' + RED + "</g>"


def pattern(side: float) -> str:
    """A tile of side x side pixels, which resvg draws as a whole."""
    tile = f'<pattern id="p" width="{side}" height="{side}" patternUnits="userSpaceOnUse">{RED}</pattern>'
    return f'{tile}<path fill="url(#p)" d="M0 0h16v16H0z"/>'


@pytest.fixture(scope="module")
def rasteriser():
    made = Rasteriser(seconds=1.0)
    yield made
    made.close()


def document(body: str) -> bytes:
    return svg.document(Drawing("p", ("a",), View("a", (0.0, 0.0, 16.0, 16.0)), body), Limits())


@pytest.mark.parametrize(("body", "reason"), [
    (nested("g", 1000), "svg_crashed"),
    (pattern(1e6), "svg_crashed"),
    (pattern(2e4), "svg_crashed"),  # 1.6 GB, which this machine has, but drawing_process.MEMORY forbids
    ('<filter id="f"><feTurbulence baseFrequency="1" numOctaves="100000000"/></filter>'
     '<path filter="url(#f)" d="M0 0h16v16H0z"/>', "svg_too_slow"),
    (masks(24), "svg_too_slow"),
    (uses(8), "invalid_svg"),
])  # fmt: skip
def test_a_bomb_is_a_reject_and_the_next_icon_is_drawn(rasteriser, body, reason):
    before = memory.peak_bytes()
    with pytest.raises(InvalidRow) as raised:
        rasteriser.png(document(body), 16)
    assert raised.value.reason == reason
    assert rasteriser.png(document(RED), 16).startswith(b"\x89PNG")
    assert memory.peak_bytes() - before < 50_000_000


def test_control_the_same_constructs_of_a_usual_size_are_drawn(rasteriser):
    for body in (nested("g", 30), masks(3), uses(2), pattern(4.0)):
        assert rasteriser.png(document(body), 16).startswith(b"\x89PNG")


@pytest.mark.parametrize(("body", "detail"), [
    ("<g>", "no XML"),
    ("</svg><svg>", "no XML"),
    ('<!DOCTYPE svg [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;">]><path d="&b;"/>', "no XML"),
    ("&a;", "no XML"),
    ("\0", "no XML"),
    ('<image href="FILE" width="16" height="16"/>', "image refers to .*, but may refer to an id"),
    ('<image xlink:href="FILE" width="16" height="16"/>', "image refers to"),
    ('<x:image xmlns:x="http://www.w3.org/2000/svg" href="&#47;etc/passwd"/>', "image refers to '/etc/passwd'"),
    ('<image href="data:image/png;base64,iVBORw0KGgo="/>', "image refers to 'data:"),
    ('<filter id="f"><feImage href="FILE"/></filter><g filter="url(#f)"/>', "feImage refers to"),
    ('<use href="http://localhost/a.svg#a"/>', "use refers to"),
    ("<text>words</text>", "fonts of the machine"),
    ("<g>\ud800</g>", "halves of characters"),
])  # fmt: skip
def test_what_would_depend_on_more_than_the_icon_is_refused(tmp_path, body, detail):
    rows, rejected = read(tmp_path, {"icons": {"a": {"body": body.replace("FILE", str(tmp_path / "x.png"))}}})
    assert not rows
    assert rejected["a"].reason in ("invalid_svg", "invalid_utf8")
    assert re.search(detail, rejected["a"].detail)


def test_control_resvg_itself_would_read_a_file(tmp_path, rasteriser):
    """So the check above is needed: without it, a picture of this machine gets into the data."""
    secret = tmp_path / "secret.png"
    secret.write_bytes(rasteriser.png(document(RED), 16))
    image = f'<image href="{secret}" width="16" height="16"/>'
    whole = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16">{image}</svg>'
    assert rasteriser.png(whole.encode(), 16) == secret.read_bytes()


def test_references_within_an_icon_are_followed(tmp_path):
    body = f'<defs><g id="a">{RED}</g></defs><use href="#a"/>'
    rows, _ = read(tmp_path, {"icons": {"a": {"body": body}, "b": {"body": RED}}})
    assert rows["toy-a"].image == rows["toy-b"].image


def test_an_svg_beyond_the_limit_is_a_reject(tmp_path):
    body = f'<path d="{"M0 0" * 1000}"/>'
    _, rejected = read(tmp_path, {"icons": {"a": {"body": body}, "b": {"body": RED}}}, limits=Limits(svg_bytes=1000))
    ((place, one),) = rejected.items()
    assert (place, one.reason) == ("a", "svg_too_large")
    assert "Limits.svg_bytes" in one.detail


def test_a_process_that_was_ended_from_outside_stops_the_build(rasteriser):
    """The icon is not at fault: another run would keep it."""
    rasteriser.png(document(RED), 16)
    os.kill(rasteriser._process.pid, signal.SIGKILL)
    with pytest.raises(RuntimeError, match=r"was ended by SIGKILL; run the same command again"):
        rasteriser.png(document(RED), 16)
    assert rasteriser.png(document(RED), 16).startswith(b"\x89PNG")


def test_the_process_ends_with_the_one_that_started_it():
    made = Rasteriser()
    made.png(document(RED), 16)
    process = made._process
    made.close()
    assert process.wait(10) == 0


def test_the_process_imports_nothing_of_this_project():
    """Its start would take seconds otherwise."""
    source = pathlib.Path(drawing_process.__file__).read_text()
    imports = [line.split()[1].split(".")[0] for line in source.splitlines() if line.startswith(("import ", "from "))]
    assert "resvg_py" in imports
    assert not {"beam", "components", "models", "pipeline"} & set(imports)
