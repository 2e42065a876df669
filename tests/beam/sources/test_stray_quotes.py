"""A stray quote in CSV costs its own line, and none of the lines after it."""

import csv
import io
import random

import pytest

from beam.records import Rejected
from beam.sources.delimited.source import CsvSource
from beam.sources.limits import Limits
from beam.sources.rows.source import _raw_rows, _splits
from tests.beam.sources.mutated_files import require_all_lines
from tests.beam.sources.test_sources import read


def raw(path, **settings) -> list:
    source = CsvSource(str(path), **settings)
    return [row for split in _splits(str(path), source) for row in _raw_rows(split, source)]


def lines_of(count: int) -> list[str]:
    return ["image,caption", *(f"pics/{number}.jpg,caption {number}" for number in range(count))]


def kept_and_rejected(found: list) -> tuple[list[list[str]], list[Rejected]]:
    return [one.content[1] for one in found if not isinstance(one, Rejected)], [
        one for one in found if isinstance(one, Rejected)
    ]


@pytest.mark.parametrize("later", [
    "caption 30", 'caption 30"', '"caption, 30"', '"30 inch"', '30" wide', '"a ""word"""', '""', '"', 'a"b"c',
])  # fmt: skip
@pytest.mark.parametrize("stray", ['"17 inch wheel', '"17"" inch', '"'])
def test_row_with_a_stray_quote_is_rejected_and_the_others_are_kept(tmp_path, stray, later):
    lines = lines_of(60)
    lines[11], lines[31] = f"pics/10.jpg,{stray}", f"pics/30.jpg,{later}"
    (tmp_path / "a.csv").write_text("\n".join(lines) + "\n")
    found = raw(tmp_path / "a.csv")
    kept, rejected = kept_and_rejected(found)
    assert len(kept) + len(rejected) == 60
    assert len(kept) >= 58
    assert rejected[0].position.endswith("a.csv:12")
    assert rejected[0].reason == "invalid_csv"
    require_all_lines((tmp_path / "a.csv").read_bytes(), found, is_csv=True)


def test_build_keeps_59_of_60_rows(tmp_path):
    (tmp_path / "pics").mkdir()
    for number in range(60):
        (tmp_path / "pics" / f"{number}.jpg").write_bytes(b"x")
    lines = lines_of(60)
    lines[11] = 'pics/10.jpg,"17 inch wheel'
    (tmp_path / "a.csv").write_text("\n".join(lines) + "\n")
    pairs, (rejected,) = read(CsvSource(str(tmp_path / "a.csv")))
    assert {pair.caption for pair in pairs} == {f"caption {number}" for number in range(60)} - {"caption 10"}
    assert "the quote is still open at the end of the file" in rejected.detail


def test_quoted_field_with_line_ends_is_one_row(tmp_path):
    text = 'image,caption\r\na.jpg,"one\r\ntwo, three\r\nsee b.png"\r\nb.jpg,"say ""hi"""\r\n'
    (tmp_path / "a.csv").write_bytes(text.encode())
    kept, rejected = kept_and_rejected(raw(tmp_path / "a.csv"))
    assert kept == [["a.jpg", "one\r\ntwo, three\r\nsee b.png"], ["b.jpg", 'say "hi"']]
    assert not rejected


def test_stray_quote_beyond_the_limit_of_a_record_costs_one_line(tmp_path):
    lines = lines_of(300)
    lines[5] = 'pics/4.jpg,"open'
    (tmp_path / "a.csv").write_text("\n".join(lines) + "\n")
    kept, (rejected,) = kept_and_rejected(raw(tmp_path / "a.csv", limits=Limits(line_bytes=2000)))
    assert len(kept) == 299
    assert "the quote does not end within 2000 bytes (Limits.line_bytes)" in rejected.detail


def test_lines_of_random_quotes_are_all_counted(tmp_path):
    """300 files: well-formed ones give the rows of the csv module; in all others, no line is lost."""
    equal = 0
    for seed in range(300):
        rng = random.Random(seed)
        lines = ["image,caption"]
        for number in range(25):
            kind = rng.choice(["plain"] * 6 + ["quoted", "lines"] + ["stray", "text"] * (seed % 2))
            stray = "".join(rng.choice('"",\n ab') for _ in range(6))
            quoted, of_lines = f'"c, {number} ""x"""', f'"c\n{number}, x"'
            texts = {"plain": "c", "quoted": quoted, "lines": of_lines, "stray": stray, "text": '"c" d'}
            text = texts[kind]
            lines.append(f"pics/{number}.jpg,{text}")
        whole = "\n".join(lines) + "\n"
        (tmp_path / "a.csv").write_text(whole)
        found = raw(tmp_path / "a.csv")
        require_all_lines(whole.encode(), found, is_csv=True)
        try:
            strict = list(csv.reader(io.StringIO(whole, newline=""), strict=True))[1:]
        except csv.Error:
            continue
        if all(len(row) == 2 for row in strict) and not any("\npics" in row[1] for row in strict):
            assert kept_and_rejected(found)[0] == strict
            equal += 1
    assert equal >= 150
    print(f"{equal} of 300 files are well-formed")


def test_stray_quotes_do_not_make_reading_quadratic(tmp_path):
    """Each of 20,000 lines opens a quote, or keeps one open; the test's timeout fails a quadratic reader."""
    lines = ["image,caption", *('a.jpg,"open' if number % 2 else 'a.jpg,x""y' for number in range(20_000))]
    (tmp_path / "a.csv").write_text("\n".join(lines) + "\n")
    found = raw(tmp_path / "a.csv")
    require_all_lines((tmp_path / "a.csv").read_bytes(), found, is_csv=True)
    assert len(found) == 20_000


@pytest.mark.parametrize(("content", "reason", "detail"), [
    ("image,caption\na.jpg,x\n".encode("utf-16"), "invalid_utf8", "the file is UTF-16; convert it to UTF-8"),
    (b'image,"caption\na.jpg,x\n', "invalid_csv", "line 1, the header: the quote is still open"),
    (b"image," + b"x" * 5000 + b"\na.jpg,x\n", "header_too_large", "bytes, but may have 4000 (Limits.header_bytes)"),
    (b"url,TEXT\nhttp://x/a.jpg,x\n", "invalid_columns", "the file has 'url', 'TEXT', but must have image or"),
    (b"image,text\na.jpg,x\n", "invalid_columns", "must have caption or captions; set CsvSource.captions = (NAME,)"),
    (b"image,caption,caption\na.jpg,x,y\n", "invalid_columns", "caption occurs twice"),
])  # fmt: skip
def test_header_that_no_row_can_use_is_one_reject(tmp_path, content, reason, detail):
    (tmp_path / "a.csv").write_bytes(content)
    (rejected,) = raw(tmp_path / "a.csv", limits=Limits(header_bytes=4000))
    assert rejected.reason == reason
    assert detail in rejected.detail


_PICTURES = {
    "names without ending": "img{}",
    "addresses": "http://a.org/get?id={}",
    "addresses with a query": "http://a.org/{}.jpg?w=3",
    "names without number": "photos/{}",
    "endings that differ": "pics/{}.{}",
}


@pytest.mark.parametrize("form", _PICTURES.values(), ids=_PICTURES)
@pytest.mark.parametrize("columns", ["{},{}", "{},{},en", "en,{},{}", "{1},{0}", "{1},en,{0}", "en,{1},{0}"])
@pytest.mark.parametrize("distance", [1, 2, 5])
def test_quote_that_closes_later_swallows_no_row(tmp_path, form, columns, distance):
    """90 files, each with two stray quotes, the first of which may take the second for its end."""
    words = ["ab", "cd", "ef", "gh", "ij", "kl", "mn", "op", "qr", "st"]
    names = [form.format(word if "photos" in form else number, ["jpg", "png"][number % 2])
             for number, word in enumerate(words)]  # fmt: skip
    texts = [f"caption {number}" for number in range(10)]
    texts[2], texts[2 + distance] = '"17 inch', '18"'
    header = columns.replace("en", "language").format("image", "caption")
    rows = [columns.format(*both) for both in zip(names, texts, strict=True)]
    (tmp_path / "a.csv").write_text("\n".join([header, *rows]) + "\n")
    kept, rejected = kept_and_rejected(raw(tmp_path / "a.csv"))
    assert len(kept) + len(rejected) == 10
    assert [one.position.rpartition(":")[2] for one in rejected] == ["4"]


@pytest.mark.parametrize("content", [
    'image,caption\na.jpg,"Roses, red\nViolets, blue"\nb.jpg,x\n',
    'caption,image\n"x, a\nb",a.jpg\nx,b.jpg\n',
    'image,caption,language\na.jpg,"Hello, you\nand, me",en\nb.jpg,x,en\n',
    'caption,image\n"Hello\nsee b, c",img1\nx,img2\n',
])  # fmt: skip
def test_caption_of_several_lines_is_no_stray_quote(tmp_path, content):
    (tmp_path / "a.csv").write_text(content)
    kept, rejected = kept_and_rejected(raw(tmp_path / "a.csv"))
    assert (len(kept), rejected) == (2, [])
