"""The path of a picture: whatever it names, the row is read or rejected, at once and in bounded memory."""

import os
import pathlib
import random
import socket

import pytest

from beam.records import ImageText, Rejected
from beam.sources.limits import Limits
from beam.sources.rows import picture_files
from beam.sources.rows.columns import to_pair
from beam.sources.rows.raw import InvalidRow, RawRow
from tests import memory
from tests.beam.sources.outcomes import PICTURE, gzip_of_zeros, watchdog


def outcome(folder: pathlib.Path, path: str, limits: Limits = Limits()) -> ImageText | Rejected:
    row = RawRow(str(folder / "rows.jsonl"), 1, {"image": path, "caption": "a caption"})
    with watchdog():
        found = to_pair(row, {}, ("caption",), "und", "t", limits)
    assert isinstance(found, ImageText | Rejected)
    return found


def irregular(folder: pathlib.Path) -> dict[str, str]:
    """{path: a word of the message} of what is no regular file."""
    os.mkfifo(folder / "fifo")
    (folder / "folder").mkdir()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.path.relpath(folder / "socket"))
    kinds = {"fifo": "FIFO", "folder": "folder", "socket": "socket", "/dev/zero": "device", "/dev/stdin": "",
             "/dev/random": "device", "/dev/null": "device", "/dev/tty": "", "/": "folder", ".": "folder"}  # fmt: skip
    links = {}
    for number, (target, word) in enumerate(kinds.items()):
        (folder / f"link{number}").symlink_to(target)
        links[f"link{number}"] = word
    return {**kinds, **links, **{f"file://{folder}/{name}": kinds[name] for name in ("fifo", "folder", "socket")}}


def test_only_regular_files_are_read(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    paths = irregular(tmp_path)
    for path, word in paths.items():
        found = outcome(tmp_path, path)
        assert found.reason == "image_missing", path
        assert word in found.detail, path
    print(f"{len(paths)} paths")


@pytest.mark.parametrize("path", [
    "a\0b.png", "x" * 300, "x/" * 3000, "y" * 2_000_000, "\ud800.png", "a" * 5000 + "/../fifo", "a b://x.png",
    b"\xff.png".decode(errors="surrogateescape"),
    "nosuch://x.png", "FILE:///etc/hosts", "hdfs://x/y", "~/x.png", "loop", "", " ", "\n", "..", "none.png", "HTTP://a/b.png",
])  # fmt: skip
def test_impossible_paths_are_rejects_with_short_messages(tmp_path, path):
    (tmp_path / "loop").symlink_to("loop")
    found = outcome(tmp_path, path)
    assert found.reason == "image_missing"
    assert len(found.detail) < 700


def test_files_of_the_kernel_are_not_read(tmp_path):
    """Reading some of them waits, such as /proc/kmsg; their size is 0."""
    for path in ("/proc/self/environ", "/proc/kmsg", "/proc/self/mem"):
        found = outcome(tmp_path, path)
        assert isinstance(found, Rejected) or found.image == b"", path


def test_regular_files_and_links_to_them_are_read(tmp_path):
    (tmp_path / "a.png").write_bytes(PICTURE)
    (tmp_path / "link.png").symlink_to("a.png")
    for path in ("a.png", "link.png", "./a.png", str(tmp_path / "a.png"), f"file://{tmp_path}/a.png"):
        assert outcome(tmp_path, path).image == PICTURE


def test_large_file_is_a_reject_that_names_the_limit_and_is_not_read(tmp_path):
    with (tmp_path / "large.png").open("wb") as file:
        file.truncate(1 << 40)
    found = outcome(tmp_path, "large.png")
    assert found.reason == "image_too_large"
    assert "1099511627776 bytes or more, but may have 134217728 (Limits.member_bytes)" in found.detail


def test_compressed_picture_is_read_within_the_limits(tmp_path):
    (tmp_path / "bomb.png.gz").write_bytes(gzip_of_zeros(400 << 20))
    before = memory.peak_bytes()
    assert outcome(tmp_path, "bomb.png.gz", Limits(member_bytes=1 << 20)).reason == "image_too_large"
    found = outcome(tmp_path, "bomb.png.gz", Limits(line_bytes=1 << 20))
    assert (found.reason, "Limits.expansion" in found.detail) == ("image_missing", True)
    assert memory.peak_bytes() < before + (300 << 20)


def test_file_that_becomes_a_fifo_is_refused(tmp_path, monkeypatch):
    """The check comes before the opening, and again after it."""
    os.mkfifo(tmp_path / "fifo")
    real = os.stat(__file__)
    monkeypatch.setattr("beam.sources.files.local_files.os.stat", lambda _: real)
    with watchdog(), pytest.raises(InvalidRow, match="is a FIFO"):
        picture_files.read("fifo", str(tmp_path / "rows.jsonl"), Limits())


def test_generated_paths_are_rows_or_rejects(tmp_path):
    rng, outcomes = random.Random(5), {"read": 0}
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b.png").write_bytes(PICTURE)
    parts = [
        *["a", "b.png", "a/b.png"] * 4,
        "..",
        ".",
        "",
        "fifo",
        "\0",
        "%2e",
        "~",
        "x" * 255,
        "\u202e",
        "file:",
        "gopher:",
        "dev",
        "\\",
        "*",
    ]
    os.mkfifo(tmp_path / "fifo")
    for _ in range(2000):
        path = rng.choice(["", "/", str(tmp_path) + "/", "file://"]) + "/".join(rng.choices(parts, k=rng.randint(1, 5)))
        found = outcome(tmp_path, path)
        reason = found.reason if isinstance(found, Rejected) else "read"
        outcomes[reason] = outcomes.get(reason, 0) + 1
    print(outcomes)
    assert set(outcomes) == {"read", "image_missing"}
    assert sum(outcomes.values()) == 2000
    assert outcomes["read"] > 20
