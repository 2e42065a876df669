"""The page in headless Chromium, used like a person, in a wide window and in one as narrow as a phone."""

import pathlib

import pytest
from PIL import Image

from tests.pictures import shape_pairs
from tests.pipeline.demo.browser import CHROMIUM, Browser, wait_for
from tests.pipeline.demo.command import running

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="needs chromium: apt-get install chromium"),
]
LONG = "a much longer label that somebody typed to see whether it wraps or runs out of its box " + 30 * "x"
SCRIPT = "<img src=x onerror='window.alerted = 1'>"
TAB, ENTER = ("Tab", 9), ("Enter", 13, "\r")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> pathlib.Path:
    path = tmp_path_factory.mktemp("pictures")
    for number, (picture, caption, _) in enumerate(shape_pairs()[:30]):
        (path / f"{number:02} {caption}.png").write_bytes(picture)
    (path / f"{SCRIPT}.png").write_bytes(shape_pairs()[30][0])
    return path


@pytest.fixture(scope="module")
def address(exported, folder):
    with running(f"--model_dir={exported}", f"--images={folder}", "--max_megabytes=1") as (address, printed):
        assert f"Indexed 31 pictures of {folder}" in printed
        yield address


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with Browser(tmp_path_factory.mktemp("profile")) as started:
        yield started


def ask(browser: Browser, labels: str) -> None:
    browser.run(f"document.querySelector('#labels').value = {labels!r}")
    browser.run("document.querySelector('form[action=\"/ask\"] button').click()")


def shown(browser: Browser, selector: str) -> list[str]:
    return browser.run(f"[...document.querySelectorAll({selector!r})].map((node) => node.textContent.trim())")


@pytest.mark.parametrize(("width", "dark"), [(1100, False), (1100, True), (375, False), (375, True)])
def test_the_page_fits(address, browser, folder, tmp_path, width, dark):
    browser.open(address, width, dark)
    browser.choose_file("#image", folder / f"{SCRIPT}.png")
    ask(browser, f"red disc, {LONG}, {SCRIPT}")
    wait_for(lambda: shown(browser, ".bars li"))
    browser.run("document.querySelector('#text').value = 'a red disc'")
    browser.run("document.querySelector('form[action=\"/search\"] button').click()")
    wait_for(lambda: len(shown(browser, ".found li")) == 24)
    wait_for(lambda: browser.run("[...document.images].every((image) => image.complete)"))

    assert {*shown(browser, ".bars span")} == {"red disc", LONG, SCRIPT}
    assert browser.run("window.alerted") is None
    assert browser.run("[...document.querySelectorAll('.found img, .asked img, #preview')].every(i => i.naturalWidth)")
    bars = browser.run("[...document.querySelectorAll('.bars rect')].map((bar) => bar.getBoundingClientRect().width)")
    whole = browser.run("document.querySelector('.bars svg').getBoundingClientRect().width")
    figures = [float(figure) for figure in shown(browser, ".bars b")]
    assert bars == pytest.approx([whole * figure for figure in figures], abs=0.2)
    wide = browser.run(
        "Math.max(...[...document.body.querySelectorAll('*')].map(n => n.getBoundingClientRect().right))"
    )
    assert wide <= width
    assert browser.run("document.documentElement.scrollWidth") <= width

    file = tmp_path / f"{width}-{'dark' if dark else 'light'}.png"
    browser.screenshot(file)
    picture = Image.open(file).convert("L")
    assert picture.width == pytest.approx(width, abs=20)
    assert (picture.getpixel((3, 3)) < 50) == dark
    print(file)


def test_page_works_with_the_keyboard_alone(address, browser, folder):
    browser.open(address, 1100)
    reached = []
    for _ in range(5):
        browser.press(*TAB)
        reached.append(browser.run("document.activeElement.id || document.activeElement.textContent"))
        ringed = ".drop" if reached[-1] == "image" else ":focus"  # the file input itself is invisible
        ring = browser.run(f"getComputedStyle(document.querySelector('{ringed}')).outline")
        assert "solid 3px" in ring, f"the focus on {reached[-1]} is invisible: {ring}"
    assert reached == ["image", "labels", "Ask", "text", "Search"]
    browser.run("document.querySelector('#text').focus()")
    browser.call("Input.insertText", text="a blue ring")
    browser.press(*ENTER)
    wait_for(lambda: shown(browser, ".found li"))


def test_a_picture_can_be_dropped(address, browser):
    browser.open(address, 1100)
    browser.run("""{
      const file = new File([Uint8Array.from([1, 2, 3])], "dropped.png"), dropped = new DataTransfer();
      dropped.items.add(file);
      document.querySelector(".drop").dispatchEvent(new DragEvent("drop", {dataTransfer: dropped, bubbles: true}));
    }""")
    assert shown(browser, "#chosen") == ["dropped.png"]
    ask(browser, "cat")
    (told,) = wait_for(lambda: shown(browser, "#ask-answer .problem"))
    assert told.startswith("dropped.png: this is not a complete picture in JPEG, PNG")


def test_too_large_file_is_refused_before_it_is_sent(address, browser, tmp_path):
    large = tmp_path / "large.png"
    large.write_bytes(bytes(1_200_000))
    browser.open(address, 1100)
    browser.choose_file("#image", large)
    ask(browser, "cat")
    assert wait_for(lambda: shown(browser, "#ask-answer .problem")) == [
        "large.png has 1.2 MB. Choose a smaller picture."
    ]


def test_page_answers_without_scripts(address, browser, folder):
    browser.call("Emulation.setScriptExecutionDisabled", value=True)
    try:
        browser.open(address, 375)
        browser.choose_file("#image", folder / f"{SCRIPT}.png")
        ask(browser, "cat, dog")
        wait_for(lambda: len(shown(browser, ".bars li")) == 2)
        assert browser.run("location.pathname") == "/ask"
    finally:
        browser.call("Emulation.setScriptExecutionDisabled", value=False)


def test_a_form_of_another_site_is_refused(address, browser):
    page = f'<form method="post" action="{address}/search"><input name="text" value="cat"><button>x</button></form>'
    browser.open(f"data:text/html,{page}", 375)
    browser.run("document.querySelector('button').click()")
    (told,) = wait_for(lambda: shown(browser, ".problem"))
    assert told.startswith("Another site sent this form")


def test_stopped_demo_is_reported(address, browser):
    browser.open(address, 375)
    browser.call("Network.enable")
    browser.call("Network.emulateNetworkConditions", offline=True, latency=0, downloadThroughput=0, uploadThroughput=0)
    try:
        browser.run("document.querySelector('#text').value = 'cat'")
        browser.run("document.querySelector('form[action=\"/search\"] button').click()")
        (told,) = wait_for(lambda: shown(browser, "#search-answer .problem"))
    finally:
        browser.call(
            "Network.emulateNetworkConditions", offline=False, latency=0, downloadThroughput=-1, uploadThroughput=-1
        )
    assert told.startswith("The demo did not answer. Check that it still runs")
