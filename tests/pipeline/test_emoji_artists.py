"""The packages of emoji are fetched whole or not at all, are the pinned ones, and the report names their licences."""

import base64
import hashlib
import io
import json
import os
import pathlib
import re
import sys
import tarfile

import pytest

from models.settings import configuration
from pipeline import emoji_artists
from pipeline.emoji_artists import PACKAGES, Package
from pipeline.settings.run import PipelineSettings
from tests.pipeline.conftest import ROOT

NPM = """#!{python}
import json, pathlib, sys
assert pathlib.Path.cwd().name.startswith(".unfinished-")
for name in sys.argv[1:]:
    if name.startswith("@"):
        artist, _, version = name.removeprefix("@iconify-json/").partition("@")
        content = pathlib.Path("{folder}", artist).read_bytes()
        pathlib.Path(f"iconify-json-{{artist}}-{{version}}.tgz").write_bytes(content)
"""


def archive(artist: str, licence: str = "MIT", names: tuple[str, ...] = ("icons.json", "info.json")) -> bytes:
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w:gz") as tar:
        for name in (*names, "README.md"):
            content = json.dumps({"prefix": artist, "license": {"spdx": licence}}).encode()
            info = tarfile.TarInfo(f"package/{name}")
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return written.getvalue()


@pytest.fixture
def npm(tmp_path, monkeypatch):
    """Puts an npm of ours on PATH; returns a function that takes {artist: archive} and gives the pins."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "registry").mkdir()

    def install(script: str) -> None:
        path = tmp_path / "bin" / "npm"
        path.write_text(script)
        path.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")

    def serve(archives: dict[str, bytes], script: str = "") -> list[Package]:
        for artist, content in archives.items():
            (tmp_path / "registry" / artist).write_bytes(content)
        install(script or NPM.format(python=sys.executable, folder=tmp_path / "registry"))
        digests = {a: base64.b64encode(hashlib.sha512(content).digest()).decode() for a, content in archives.items()}
        return [Package(artist, "1.0.0", f"sha512-{digest}", "MIT") for artist, digest in digests.items()]

    return serve


def test_packages_are_fetched_once(tmp_path, npm, capsys):
    pins = npm({"one": archive("one"), "two-b": archive("two-b")})
    folder = tmp_path / "out" / "packages"
    emoji_artists.fetch(pins, str(folder))
    assert sorted(str(path.relative_to(folder)) for path in folder.rglob("*.json")) == [
        "one/icons.json", "one/info.json", "packages.json", "two-b/icons.json", "two-b/info.json",
    ]  # fmt: skip
    assert "Licences: one MIT, two-b MIT" in capsys.readouterr().out
    npm({"one": b"npm is not asked again"})
    emoji_artists.fetch(pins, str(folder))
    assert "has the 2 packages already" in capsys.readouterr().out
    with pytest.raises(ValueError, match=r"packages holds other files or other versions; remove it"):
        emoji_artists.fetch(pins[:1], str(folder))


@pytest.mark.parametrize(("archives", "change", "script", "message"), [
    ({}, {"integrity": "sha512-AA=="}, "", r"has the hash sha512-.*, but must have sha512-AA==; .* another file"),
    ({"two": archive("two", "GPL-3.0")}, {}, "", "two-1.0.0.tgz has the licence GPL-3.0, but must have MIT"),
    ({"two": archive("two", names=("info.json",))}, {}, "", "two-1.0.0.tgz has no icons.json"),
    ({}, {}, "#!/bin/sh\necho npm error code E404 >&2\nexit 1\n", "npm pack failed: npm error code E404; check the n"),
    ({}, {}, "#!/bin/sh\nexit 7\n", "npm pack failed: exit code 7"),
])  # fmt: skip
def test_a_package_that_is_not_the_pinned_one_leaves_nothing(tmp_path, npm, archives, change, script, message):
    pins = npm({"one": archive("one"), "two": archive("two"), **archives}, script)
    pins[1] = pins[1]._replace(**change)
    with pytest.raises(ValueError, match=message):
        emoji_artists.fetch(pins, str(tmp_path / "out" / "packages"))
    assert not list((tmp_path / "out").iterdir())


def test_without_npm_the_message_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(
        ValueError, match=r"npm is not on PATH, .*; install Node.js \(Debian and Ubuntu: apt-get install npm"
    ):
        emoji_artists.fetch(PACKAGES, str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def plain(text: str) -> str:
    return re.sub(r"[^a-z0-9]", "", text.lower())


def test_gin_names_every_package_and_the_report_its_licence():
    def of(name: str) -> PipelineSettings:
        return configuration.load([str(ROOT / "gin" / name)], [], [PipelineSettings])[0]

    run, unseen = of("quickstart_artists.gin"), of("data/emoji_unseen.gin").image_text_gen.source
    trained = run.image_text_gen.source.artists
    assert unseen.artists == ("emojione-v1",)
    assert {*trained, *unseen.artists} == {package.artist for package in PACKAGES}
    assert len(trained) == 5
    assert run.deduper.evaluation_sets == {"unseen": run.evaluation_sets[1].examples}
    credit = plain(run.report.attribution)
    for package in PACKAGES:
        assert re.search(f"{plain(package.artist)}.{{0,40}}{plain(package.licence)}", credit), package.artist


def test_make_builds_the_set_that_gin_names():
    target = re.search(r"^emoji-artists:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(), re.MULTILINE)[1]
    run = (ROOT / "gin" / "data" / "emoji_artists.gin").read_text()
    (examples,) = re.findall(r"'unseen': '(.*?)'", run)
    packages = pathlib.PurePath(re.search(r"IconifySource.path = '(.*?)'", run)[1]).parents[1]
    assert f"--output_dir={examples}" in target
    assert f"test -f {examples}/manifest.json" in target
    assert f"pipeline.emoji_artists {packages}\n" in target
