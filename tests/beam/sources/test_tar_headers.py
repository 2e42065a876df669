"""Names and headers of tar members: of each format, extended, broken, or too large."""

import tarfile

import pytest

from beam.sources import WebDatasetSource
from beam.sources.limits import Limits
from tests.beam.sources.outcomes import (
    BLOCK,
    PICTURE,
    captions,
    details,
    header,
    member,
    of_tar,
    padded,
    pair,
    pax,
    reasons,
    tar,
)  # fmt: skip


@pytest.mark.parametrize("name", [b"caf\xe9", b"\xff\xfe", "日本".encode(), b"../../x", b"/abs/x", b"a\nb", b"\x1b[2J"])
def test_any_name_is_a_sample(tmp_path, name):
    raw = [name.decode("utf-8", "surrogateescape") + end for end in (".png", ".txt")]
    found = of_tar(tmp_path, tar(member(raw[0], PICTURE), member(raw[1], b"a caption")))
    assert captions(found) == ["a caption"]
    found = of_tar(tmp_path, tar(member(raw[0], b""), member(raw[0] + "more", b"")))
    for row in found:
        row.position.encode()


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
@pytest.mark.parametrize("folder", ["short", "a/" * 60 + "long", "日本/" * 30, "x" * 90])
def test_formats_and_long_names_give_the_same_samples(tmp_path, form, folder):
    with tarfile.open(tmp_path / "t.tar", "w", format=form, encoding="utf-8") as file:
        for number in range(3):
            for name, content in ((f"{number}.png", PICTURE), (f"{number}.txt", f"{number}".encode())):
                info = tarfile.TarInfo(f"{folder.strip('/')}/{name}")
                info.size = len(content)
                (tmp_path / "content").write_bytes(content)
                with (tmp_path / "content").open("rb") as opened:
                    try:
                        file.addfile(info, opened)
                    except ValueError:
                        pytest.skip("ustar holds no such name")
    found = of_tar(tmp_path, (tmp_path / "t.tar").read_bytes())
    assert captions(found) == ["0", "1", "2"]
    assert not reasons(found)


def test_names_and_sizes_of_extended_headers_count(tmp_path):
    long = "folder/" * 40 + "key"
    texts = member("cut.txt", b"a caption")
    found = of_tar(tmp_path, tar(
        pax({"path": f"{long}.png", "size": str(len(PICTURE))}) + header("cut.png", 0) + padded(PICTURE),
        header("././@LongLink", len(long) + 5, tarfile.GNUTYPE_LONGNAME) + padded(f"{long}.txt\0".encode()) + texts,
        pax({"comment": "git"}, tarfile.XGLTYPE), pair("b"),
    ))  # fmt: skip
    assert captions(found) == ["a caption", "b"]
    assert not reasons(found)


def test_extended_headers_beyond_the_limit_are_a_reject_and_the_rest_is_read(tmp_path):
    source = WebDatasetSource(limits=Limits(header_bytes=4096))
    large = pax({"SCHILY.xattr.icon": "x" * 9000})
    many = pax({"mtime": "1"}) * 40
    long = header("././@LongLink", 9000, tarfile.GNUTYPE_LONGNAME) + padded(b"n" * 9000)
    for before in (large, many, long, large.replace(b"\0x\0", b"\0g\0")):
        found = of_tar(tmp_path, tar(pair("a"), before + member("b.png", PICTURE), pair("c")), source)
        assert captions(found) == ["a", "c"]
        assert reasons(found) == ["header_too_large"]
        assert "but Limits.header_bytes is 4096" in details(found)


def test_thousands_of_extended_headers_in_a_row_are_read(tmp_path):
    """tarfile calls itself for each, so that it ends in RecursionError."""
    found = of_tar(tmp_path, tar(pax({"mtime": "1"}) * 990, pair("a")))
    assert captions(found) == ["a"]
    found = of_tar(tmp_path, tar(pax({"mtime": "1"}) * 20_000, pair("a"), pair("b")))
    assert captions(found) == ["b"]
    assert reasons(found) == ["header_too_large", "image_missing"]


@pytest.mark.parametrize("content", [b"no field", b"5 a=b", b"99 path=x.png\n", b"0 path=x\n", b"3 \n", b"9" * 600])
def test_broken_extended_header_rejects_its_member_alone(tmp_path, content):
    broken = header("pax", len(content), tarfile.XHDTYPE) + padded(content)
    found = of_tar(tmp_path, tar(broken, member("0.png", PICTURE), pair("a")))
    assert captions(found) == ["a"]
    assert reasons(found) == ["invalid_member"]


def test_extended_header_without_a_member_is_a_reject(tmp_path):
    for content in (tar(pair("a"), pax({"path": "x"})), tar(pair("a"))[: -2 * BLOCK] + pax({"path": "x"})):
        found = of_tar(tmp_path, content)
        assert (captions(found), reasons(found)) == (["a"], ["damaged_file"])
