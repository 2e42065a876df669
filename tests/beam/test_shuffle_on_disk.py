"""Shuffles whose elements wait on the disk give what Beam's own give, and leave no file."""

import collections
import pathlib
import random

import apache_beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability.fn_api_runner import execution

from beam import shuffle, spool, store
from beam.augment import augment
from beam.records import ImageText
from tests.beam import stored
from tests.benchmarks import build as benchmarks
from tests.benchmarks import shuffle as measure
from tests.pictures import shape_pairs

_CASES = 6
_FOUND: dict[str, list] = collections.defaultdict(list)  # of the module, because Beam copies closures


def _results(folder: pathlib.Path, parts: list[list[tuple]], on_disk: bool, monkeypatch) -> dict[str, list]:
    """What each shuffle gives for parts of (key, value) pairs, in an order that does not depend on Beam's."""
    _FOUND.clear()
    monkeypatch.setattr(spool.Spool, "suits", lambda pipeline: on_disk)
    with apache_beam.Pipeline(runner="FnApiRunner") as pipeline:
        spool.Spool.lie_beside(pipeline, str(folder))
        pairs = tuple(pipeline | f"Part {n}" >> apache_beam.Create(part) for n, part in enumerate(parts))
        pairs | shuffle.GroupByKey() | "1" >> apache_beam.Map(_find, "group")
        tagged = {f"tag {n}": part for n, part in enumerate(pairs)}
        tagged | shuffle.CoGroupByKey() | "2" >> apache_beam.Map(_find, "join")
        pairs | shuffle.Wait() | "3" >> apache_beam.Map(_find, "wait")
    return {name: sorted(elements) for name, elements in _FOUND.items()}


def _find(element, name: str) -> None:
    if name == "group":
        element = element[0], sorted(element[1], key=repr)
    if name == "join":
        element = element[0], {tag: sorted(values, key=repr) for tag, values in element[1].items()}
    _FOUND[name].append(repr(element))


def _key(draw: random.Random):
    kinds = (lambda n: n, str, lambda n: f"é\n{n}", lambda n: bytes([n]), lambda n: ("train", n), lambda n: None)
    return draw.choice(kinds)(draw.randrange(9))


@pytest.mark.parametrize("buffer", [10, 1 << 21])  # bytes: many writes to each file, and one
def test_elements_on_disk_are_grouped_as_beam_groups_them(tmp_path, monkeypatch, record_property, buffer):
    monkeypatch.setattr(shuffle, "_BUFFER", buffer)
    monkeypatch.setattr(shuffle, "_ROWS", 7)
    for seed in range(_CASES):
        draw = random.Random(seed)
        sizes = [draw.choice([0, 1, 5, 60]) for _ in range(draw.randint(1, 3))]
        parts = [[(_key(draw), draw.randbytes(draw.randrange(30))) for _ in range(size)] for size in sizes]
        on_disk = _results(tmp_path, parts, True, monkeypatch)
        assert len(on_disk.get("wait", [])) == sum(sizes)
        assert on_disk == _results(tmp_path, parts, False, monkeypatch)
        assert not list(tmp_path.iterdir())
    record_property("cases", _CASES)
    print(f"{_CASES} cases")


def test_a_partition_is_the_same_in_every_process():
    """hash() of a text differs between processes, so it would split the values of a key."""
    write = shuffle._WritePartitions("unused", "")
    write.start_bundle()
    for key in ("k1", ("train", 3), b"k", None):
        write.process((key, 0))
    assert sorted(write._waiting) == [131, 155, 241, 246]


def test_a_changed_file_is_reported(tmp_path):
    (tmp_path / "rows").write_bytes(b"abc")
    with pytest.raises(EOFError, match=r"rows is not as it was written; .* run again"):
        list(shuffle._read(shuffle.File(str(tmp_path / "rows"), 4)))


def test_rows_are_spread_only_over_several_workers(tmp_path):
    for flags, written in (((), False), (("--direct_num_workers=2",), True)):
        pipeline = apache_beam.Pipeline(options=PipelineOptions(["--runner=FnApiRunner", *flags]))
        rows = pipeline | apache_beam.Create([1])
        assert ((rows | shuffle.Spread()) is not rows) == written


@pytest.mark.slow
def test_no_stage_shuffles_rows_in_memory(tmp_path, monkeypatch):
    """The bytes that Beam's in-process runner groups do not grow with the rows, in any part of the data plane."""
    monkeypatch.setattr(shuffle, "_PARTITIONS", 4)
    held = {}
    for rows in (40, 240):
        benchmarks.write_tar(tmp_path / f"{rows}.tar", rows, 32)
        found = measure.measure(str(tmp_path / f"{rows}.tar"), tmp_path / str(rows), one_machine=True)
        held[rows] = {part: sum(found[part].values()) for part in found}
    print(held)
    for part, most in held[400].items():
        grown = (most - held[40][part]) / 200
        assert grown < 10, (part, grown)


def test_augmenter_holds_no_picture_in_memory(tmp_path, monkeypatch):
    """The Augmenter flattened rows with their pictures, which Beam's in-process runner keeps until all are there."""
    rows = _shapes(30)
    stored.write(tmp_path / "rows", rows)
    largest: dict[str, int] = collections.Counter()
    append = execution.ListBuffer.append

    def counted(self, element):
        largest["bytes"] += len(element)
        return append(self, element)

    monkeypatch.setattr(execution.ListBuffer, "append", counted)
    folders = store.Folders(str(tmp_path / "rows"), str(tmp_path / "more"), str(tmp_path / "more"))
    settings = augment.AugmenterSettings(views=("flip",))
    stored.run(augment.Augment(settings, stored.LAYOUT, folders), tmp_path / "more")
    pictures = sum(len(row.image) for row in rows)
    print(largest["bytes"], pictures)
    assert largest["bytes"] < pictures


def _shapes(count: int) -> list[ImageText]:
    return [
        ImageText(f"k{number}", image + bytes(5000), caption, f"f:{number}", "test")
        for number, (image, caption, _) in enumerate(shape_pairs()[:count])
    ]
