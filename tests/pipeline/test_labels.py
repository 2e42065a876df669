"""Labels of zero_shot: commas separate them in the flag, lines separate them in a file."""

import random

import pytest

from pipeline import labels


def written(tmp_path, content: bytes) -> str:
    path = tmp_path / "labels.txt"
    path.write_bytes(content)
    return str(path)


def test_flag_is_cut_at_commas():
    assert labels.read("cat, dog ,a red boat", None) == ["cat", "dog", "a red boat"]


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_file_has_one_label_in_each_line(tmp_path, end, mark):
    lines = ["red, green and blue", "", "  a cat  ", '"quoted, too"', "犬\u2028茶", "\t"]
    content = mark + end.join(line.encode() for line in lines)
    expected = ["red, green and blue", "a cat", '"quoted, too"', "犬\u2028茶"]
    assert labels.read(None, written(tmp_path, content)) == expected


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a\nb\n\n a \n", r"line 4 has the label 'a' of line 1; remove one of them"),
        (b"\xef\xbb\xbfa\nA\na", r"line 3 has the label 'a' of line 1"),
        (b"a\n\xff\n", r"line 2 is not UTF-8; save the file as UTF-8"),
        ("cat\ndog".encode("utf-16"), r"line 1 is not UTF-8"),
        (b"\n \r\n", r"has no label; write one in each line"),
        (b"", r"has no label"),
        (b"\xef\xbb\xbf", r"has no label"),
    ],
)
def test_bad_file_is_reported_with_its_line(tmp_path, content, message):
    path = written(tmp_path, content)
    with pytest.raises(ValueError, match=message) as raised:
        labels.read(None, path)
    assert str(raised.value).startswith(f"--labels_file={path}")


def test_missing_file_folder_and_wrong_flags_are_reported(tmp_path):
    for path in (tmp_path / "missing", tmp_path):
        with pytest.raises(ValueError, match=r"--labels_file=.* cannot be read \(.*\); name another"):
            labels.read(None, str(path))
    for given in ((None, None), ("a", "b")):
        with pytest.raises(ValueError, match=r"give either --labels, .* or --labels_file"):
            labels.read(*given)
    with pytest.raises(ValueError, match=r"empty label: .* or name --labels_file for labels with commas"):
        labels.read("a,,b", None)


def test_1000_random_label_files_are_read_as_written(tmp_path, record_property):
    generator = random.Random(0)
    for _ in range(1000):
        texts = {"".join(generator.choices("ab,;\"'é漢🐶\u200b\u2028\x0c.", k=4)).strip() for _ in range(5)} - {""}
        blank = generator.choices(["", " ", "\t"], k=3)
        lines = [*texts, *blank]
        generator.shuffle(lines)
        path = written(tmp_path, "\n".join(lines).encode())
        assert labels.read(None, path) == [line.strip() for line in lines if line.strip()]
    record_property("files", 1000)
