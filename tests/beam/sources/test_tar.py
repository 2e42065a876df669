"""Tar files: each member is a part of a row, or a reject, or counted as skipped."""

import gzip
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
    skipped,
    tar,
    watchdog,
)  # fmt: skip


def test_hidden_members_of_macos_are_skipped_and_counted(tmp_path):
    """macOS writes ._NAME before each member NAME that has attributes."""
    parts = [member("./.DS_Store", b"x")]
    for number in range(5):
        for name, content in ((f"{number}.jpg", PICTURE), (f"{number}.txt", f"caption {number}".encode())):
            parts += [member(f"./._{name}", b"\0\5\x16\7" * 40), member(f"./{name}", content)]
    found = of_tar(tmp_path, tar(*parts, member("__MACOSX/._0.jpg", b"x"), member(".hidden.jpg", b"x")))
    assert captions(found) == [f"caption {number}" for number in range(5)]
    assert reasons(found) == []
    assert skipped(found) == {"hidden_member": 13}


def test_keys_with_dots_are_one_reject_that_names_the_setting(tmp_path):
    content = tar(*(pair(f"v1.{number:06d}") for number in range(500)))
    found = of_tar(tmp_path, content)
    assert reasons(found) == ["too_many_members"]
    assert "1000 members have the key 'v1'" in details(found)
    assert "WebDatasetSource.key_ends_at = 'last_dot'" in details(found)
    assert not captions(found)
    found = of_tar(tmp_path, content, WebDatasetSource(key_ends_at="last_dot"))
    assert captions(found) == [f"v1.{number:06d}" for number in range(500)]
    assert not reasons(found)


def test_few_keys_with_dots_are_explained_too(tmp_path):
    found = of_tar(tmp_path, tar(pair("v1.1"), pair("v1.2")))
    assert reasons(found) == ["image_missing"]
    assert "4 members have extensions such as '1.png'; if your keys contain dots" in details(found)


def test_sample_larger_than_row_bytes_is_one_reject_and_its_neighbours_are_kept(tmp_path):
    large = member("b.png", PICTURE) + member("b.jpg", PICTURE) + member("b.txt", b"b") + member("b.json", b"{}")
    limits = Limits(row_bytes=2 * len(PICTURE))
    found = of_tar(tmp_path, tar(pair("a"), large, pair("c")), WebDatasetSource(limits=limits))
    assert captions(found) == ["a", "c"]
    assert reasons(found) == ["row_too_large"]
    assert f"Limits.row_bytes is {2 * len(PICTURE)}" in details(found)


def test_members_that_nothing_reads_take_no_memory_and_are_named(tmp_path):
    unused = member("a.npy", bytes(3000)) + member("b.npy", bytes(3000))
    found = of_tar(tmp_path, tar(pair("a"), unused), WebDatasetSource(limits=Limits(member_bytes=2500)))
    assert captions(found) == ["a"]
    assert reasons(found) == ["caption_missing"]
    assert "npy" in details(found)


def test_large_member_is_rejected_and_the_rest_of_the_sample_is_read(tmp_path):
    source = WebDatasetSource(limits=Limits(member_bytes=4000))
    found = of_tar(tmp_path, tar(pair("a"), member("a.json", b" " * 5000), pair("b")), source)
    assert captions(found) == ["a", "b"]
    assert reasons(found) == ["member_too_large"]
    assert "5000 bytes, but Limits.member_bytes is 4000" in details(found)


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_are_rejects_and_the_members_after_them_are_read(tmp_path, kind):
    found = of_tar(tmp_path, tar(header("0.png", 0, kind, linkname="../../etc/passwd"), pair("a")))
    assert captions(found) == ["a"]
    assert reasons(found) == ["invalid_member"]


def test_folders_are_nothing_and_unknown_types_are_rejects(tmp_path):
    found = of_tar(tmp_path, tar(header("folder/", 0, tarfile.DIRTYPE), pair("a"), member("b.png", PICTURE, b"V")))
    assert captions(found) == ["a"]
    assert reasons(found) == ["invalid_member"]
    assert skipped(found) == {}


def test_sparse_members_are_rejects_and_the_members_after_them_are_read(tmp_path):
    old = bytearray(header("0.png", len(PICTURE), tarfile.GNUTYPE_SPARSE))
    old[482] = 1
    old = bytearray(_with_checksum(old)) + bytes(BLOCK) + padded(PICTURE)
    new = pax({"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": "9"}) + member("1.png", PICTURE)
    found = of_tar(tmp_path, tar(pair("a"), bytes(old), pair("b"), new, pair("c")))
    assert captions(found) == ["a", "b", "c"]
    assert reasons(found) == ["invalid_member"] * 2
    assert "make the tar file without --sparse" in details(found)


def _with_checksum(block: bytes | bytearray) -> bytes:
    blank = bytes(block[:148]) + b" " * 8 + bytes(block[156:])
    return blank[:148] + b"%06o\0 " % sum(blank) + blank[156:]


@pytest.mark.parametrize("size", [2**60, -1, -(2**40), 2**33])
def test_impossible_size_ends_the_file_with_a_reject(tmp_path, size):
    with watchdog():
        found = of_tar(tmp_path, tar(pair("a"), header("b.png", size), pair("c")))
    assert captions(found) == ["a"]
    assert reasons(found)[-1] == "damaged_file"


@pytest.mark.parametrize("size", [str(2**60), "-5", "9" * 5000, "1e3", "\u0664"])
def test_impossible_size_in_an_extended_header_ends_the_file_with_a_reject(tmp_path, size):
    with watchdog():
        found = of_tar(tmp_path, tar(pair("a"), pax({"size": size}), pair("b")))
    assert captions(found)[:1] == ["a"]
    assert reasons(found)[-1] == "damaged_file"
    assert len(details(found)) < 1000


def test_one_tar_file_after_another_is_read(tmp_path):
    found = of_tar(tmp_path, tar(pair("a")) + bytes(20 * BLOCK) + tar(pair("b")))
    assert captions(found) == ["a", "b"]
    assert not reasons(found)


@pytest.mark.parametrize("after", [b"garbage", b"g" * 5000])
def test_bytes_after_the_end_are_a_reject(tmp_path, after):
    found = of_tar(tmp_path, tar(pair("a")) + after)
    assert captions(found) == ["a"]
    assert reasons(found) == ["damaged_file"]


def test_broken_header_in_the_middle_is_a_reject(tmp_path):
    broken = bytearray(pair("b"))
    broken[0] ^= 1
    found = of_tar(tmp_path, tar(pair("a"), bytes(broken), pair("c")))
    assert captions(found) == ["a"]
    assert reasons(found) == ["damaged_file"]
    assert "are no header of a tar member (bad checksum)" in details(found)


def test_file_cut_at_any_byte_is_reported(tmp_path):
    whole = tar(pair("a"), pair("b"))
    for end in (*range(0, len(whole) - 2 * BLOCK, 97), *range(0, len(whole) - 2 * BLOCK + 1, BLOCK)):
        found = of_tar(tmp_path, whole[:end])
        assert reasons(found)[-1] == "damaged_file", end
        assert captions(found) == ["a", "b"][: len(captions(found))]


def test_byte_order_mark_of_a_caption_is_removed_and_an_empty_caption_reaches_the_filter(tmp_path):
    marked = member("a.png", PICTURE) + member("a.txt", b"\xef\xbb\xbfa caption")
    empty = member("b.png", PICTURE) + member("b.txt", b"") + member("b.json", b'\xef\xbb\xbf{"caption": "in JSON"}')
    first, second = of_tar(tmp_path, tar(marked, empty))
    assert first.captions == ("a caption",)
    assert set(second.captions) == {"", "in JSON"}


def test_json_with_many_values_is_a_reject(tmp_path):
    source = WebDatasetSource(limits=Limits(values=1000))
    found = of_tar(tmp_path, tar(pair("a"), member("a.json", b"[" + b"0," * 2000 + b"0]"), pair("b")), source)
    assert captions(found) == ["b"]
    assert reasons(found) == ["too_many_values"]


def test_nested_compression_is_not_decoded(tmp_path):
    found = of_tar(tmp_path, gzip.compress(gzip.compress(tar(pair("a")))))
    assert (captions(found), reasons(found)) == ([], ["damaged_file"])


def test_unknown_end_of_key_is_refused():
    with pytest.raises(ValueError, match=r"WebDatasetSource.key_ends_at is 'dot', but must be one of first_dot, last"):
        WebDatasetSource(key_ends_at="dot")
