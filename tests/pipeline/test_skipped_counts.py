"""What prints the counts of a build names the parts of the input that were skipped."""

import json

import apache_beam

from beam import build as data_build
from beam.build import ImageTextGenSettings
from beam.sources import UrlListSource, WebDatasetSource
from pipeline import build
from pipeline.console import summary
from pipeline.drawing import contact_sheet
from tests.beam.sources.outcomes import member, pair, tar

MANIFEST = {
    "read": 13, "written": 9, "dropped": {"image_missing": 1}, "skipped": {"hidden_member": 3}, "captions_removed": {},
    "splits": {"train": 9}, "shards": [],
}  # fmt: skip


def test_counts_name_what_was_skipped():
    assert build._counts(MANIFEST) == (
        "13 rows read, 9 kept (train 9); dropped: image_missing 1; skipped: hidden_member 3"
    )
    assert "          -3  hidden_member (no rows, skipped)" in list(contact_sheet._table(MANIFEST))
    assert summary._skipped(MANIFEST) == "; skipped: 3 hidden member"


def test_counts_without_skipped_parts_are_as_before():
    for skipped in ({"skipped": {}}, {}):
        manifest = {name: MANIFEST[name] for name in MANIFEST if name != "skipped"} | skipped
        assert build._counts(manifest) == "13 rows read, 9 kept (train 9); dropped: image_missing 1"
        assert not any("skipped" in line for line in contact_sheet._table(manifest))
        assert summary._skipped(manifest) == ""


def test_source_that_fetches_passes_skipped_parts_on(tmp_path):
    (tmp_path / "a.tar").write_bytes(tar(member("._a.json", b"x"), pair("a"), member("b.json", b'{"url": 5}')))
    rows = WebDatasetSource(str(tmp_path / "*.tar"), columns={"image": "url"})
    settings = ImageTextGenSettings(UrlListSource(rows))
    with apache_beam.Pipeline(runner="FnApiRunner") as pipeline:
        pipeline | data_build.Build(settings, str(tmp_path / "out"), str(tmp_path / "out"))
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert (manifest["read"], manifest["skipped"]) == (3, {"hidden_member": 1})
    assert sum(manifest["dropped"].values()) == 2
