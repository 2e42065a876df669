"""The command measures composed retrieval with an exported model, with and without embed_pair."""

import re
import subprocess
import sys

import numpy as np

from beam.exported_model import ExportedModel
from beam.records import ImageText
from components.metrics import composed
from tests.beam import stored
from tests.pictures import shape_pairs
from tests.pipeline.conftest import ROOT

TONES = ("light", "medium-light", "medium", "medium-dark", "dark")
NAMES = [f"{who} rowing boat {tone} skin tone" for who in ("man", "woman") for tone in TONES]
ROWS = [
    ImageText(f"k{i:02}", picture, name, "x:1", "t")
    for i, (name, (picture, _, _)) in enumerate(zip(NAMES, shape_pairs()[::7], strict=False))
]


def test_each_query_is_asked_and_its_neighbours_leave_out_its_own_picture(exported_one_tower):
    model = ExportedModel(exported_one_tower)
    found = composed.measure(model, ROWS, has_pairs=True)
    assert len(found.queries) == 2 * 5 * 4 + 5 * 2
    assert list(found.recalls) == [composed.PAIR, composed.PICTURE, composed.TEXT, composed.SUM]
    one = found.queries[3]
    asked = model.call("embed_pair", image_bytes=[ROWS[one.source].image], text=[one.words])["pair_embedding"][0]
    scores = model.embed_images([row.image for row in ROWS]) @ asked
    scores[one.source] = -np.inf
    assert found.nearest(3, 5) == np.argsort(-scores, kind="stable")[:5].tolist()
    assert found.chance(1) == 1 / 9
    assert composed.measure(model, ROWS[:1], has_pairs=True) is None


def test_the_command_prints_the_table_and_says_what_is_missing(exported, tmp_path):
    stored.write(tmp_path / "examples", ROWS)
    command = [sys.executable, "-m", "pipeline.composed", f"--model_dir={exported}"]

    def run(*flags: str) -> subprocess.CompletedProcess:
        return subprocess.run([*command, *flags], cwd=ROOT, capture_output=True, text=True)

    splits = {split: len(rows) for split, rows in stored.by_split(ROWS).items()}
    shown = run(f"--examples={tmp_path}/examples/Split-train")
    assert re.search(rf"queries over {splits['train']} pictures", shown.stdout)
    assert re.search(r"picture alone +[\d.]+ \([\d.]+-[\d.]+\)", shown.stdout)
    assert "no signature embed_pair" in shown.stdout
    wrong = run(f"--examples={tmp_path}/nothing")
    assert wrong.returncode == 1
    assert wrong.stderr.strip().splitlines()[-1].startswith("error: no shard matches")
