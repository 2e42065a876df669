"""The last lines of a run say where dropped rows are listed."""

from pipeline.console import summary


def facts(dropped: dict[str, int]) -> dict:
    manifest = {"read": 10, "written": 10 - sum(dropped.values()), "dropped": dropped}
    return {
        "test": {"metrics": {}}, "gate": [], "image_text_gen": manifest, "dedupe": manifest, "augment": None,
        "reject_folders": {"image_text_gen": "out/ImageTextGen/report/1", "dedupe": "out/Deduper/report/2"},
        "pushed": "", "failures": [],
    }  # fmt: skip


def test_folder_of_rejects_is_named():
    text = summary.outcome_text(facts({"image_blank": 2}), "out/RunReport/report/9", {})
    assert "Rows: 10 read, 8 kept, dropped: 2 image blank; each in out/ImageTextGen/report/1/rejects-*.jsonl." in text
    assert "Deduper: 8 kept, dropped: 2 image blank; each in out/Deduper/report/2/rejects-*.jsonl." in text


def test_no_folder_is_named_if_no_row_was_dropped():
    assert "rejects" not in summary.outcome_text(facts({}), "out/RunReport/report/9", {})
