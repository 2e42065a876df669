"""The quickstart on real data: without training as a control, and as a whole; gin files of the top level resolve."""

import json
import pathlib
import re
import subprocess

import pytest
import resvg_py

from beam.sources import openmoji
from models.evaluation import metrics
from pipeline import local_runner
from tests.pipeline.conftest import ROOT

QUICKSTART = str(ROOT / "gin" / "quickstart.gin")


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", ["quickstart", "quickstart_rocket", "quickstart_oner", "quickstart_simla"])
def test_control_untrained_quickstart_is_not_pushed_and_scores_near_chance(name, tmp_path):
    gin = str(ROOT / "gin" / f"{name}.gin")
    summary = local_runner.run([gin], ["Training.steps = 0"], str(tmp_path), dry_run=False)
    assert not summary["blessed"]
    assert not summary["pushed"]
    assert not list(tmp_path.glob("*/serving/*"))
    assert summary["image_text_gen"]["written"] > 3700
    assert summary["image_text_gen"]["captions_in_several_splits"] == 0
    for metric in ("image_to_text_recall_at_5", "text_to_image_recall_at_5"):
        assert summary["test"]["metrics"][metric] < 4 * summary["test"]["chance"][metric]
    thresholds = {line["metric"]: line["min_value"] for line in summary["gate"] if line["min_value"] is not None}
    chance = metrics.chance(summary["slices"]["eval"]["pictures"], 5)
    assert thresholds.keys() <= chance.keys()
    for metric, value in thresholds.items():  # the whole interval must reach it
        assert value > (3.0 if "recall" in metric else 1.05) * chance[metric]


@pytest.mark.parametrize("name", sorted(path.name for path in (ROOT / "gin").glob("*.gin")))
def test_every_top_level_gin_file_resolves(name, tmp_path, capsys):
    own = ["JsonlSource.path = 'pairs.jsonl'"]
    published = ["Pretrained.path = 'siglip-base'", "Vocabulary.path = 'siglip-base/spiece.model'"]
    bindings = {"own_data.gin": own, "finetune.gin": own + published, "lock.gin": own + published[:1]}.get(name, [])
    local_runner.run([str(ROOT / "gin" / name)], bindings, str(tmp_path), dry_run=True)
    printed = capsys.readouterr().out
    assert re.search(r"Evaluator +<- EvaluationSuite, LastBlessedModel, ModelPackager", printed)
    assert re.search(r"(Sigli[pt]|ClipRocket|Oner)\.logit_bias = -10.0|Simla\.temperature = 0.07", printed)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("path", sorted((ROOT / "gin" / "recipe").glob("*.gin")), ids=lambda path: path.stem)
def test_every_recipe_resolves_to_a_whole_pipeline(path, tmp_path, capsys):
    asked = re.findall(r"(?:WebDatasetSource|Pretrained|Vocabulary)\.path(?= = )", path.read_text())
    assert asked, "a recipe says which paths it needs"
    local_runner.run([str(path)], [f"{name} = 'a'" for name in asked], str(tmp_path), dry_run=True)
    printed = capsys.readouterr().out
    assert re.search(r"Evaluator +<- EvaluationSuite, LastBlessedModel, ModelPackager", printed)
    assert f"Pipeline.name = '{path.stem}'" in printed
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", sorted(path.name for path in (ROOT / "gin" / "runtime").glob("*.gin")))
def test_last_runtime_file_replaces_earlier_ones(name, tmp_path, capsys):
    files = [QUICKSTART, str(ROOT / "gin" / "runtime" / name)]
    local_runner.run(files, [], str(tmp_path), dry_run=True)
    strategy = {"cpu.gin": "one_device", "gpu.gin": "mirrored", "multi_worker.gin": "multi_worker"}.get(name, "tpu")
    assert f"Runtime.strategy = '{strategy}'" in capsys.readouterr().out


@pytest.mark.parametrize("optimizer", ["adafactor", "adamw", "lion"])
@pytest.mark.parametrize("objective", ["siglip", "softmax"])
def test_objectives_and_optimizers_compose(optimizer, objective, tmp_path, capsys):
    parts = ("data/openmoji", f"objective/{objective}", f"optimizer/{optimizer}", "gate/openmoji", "runtime/cpu")
    own = tmp_path / "own.gin"
    lines = [f"include '{ROOT / 'gin' / part}.gin'" for part in parts]
    own.write_text("\n".join([*lines, "Pipeline.training = @Training()", ""]))
    local_runner.run([str(own)], [], str(tmp_path), dry_run=True)
    printed = capsys.readouterr().out
    assert f"Training.objective = @{objective.capitalize()}()" in printed
    assert f"Training.optimizer = @{'AdamW' if optimizer == 'adamw' else optimizer.capitalize()}()" in printed


@pytest.mark.slow
def test_make_quickstart_blesses_a_model_that_classifies_emoji(tmp_path):
    done = subprocess.run(
        ["make", "quickstart", f"OUTPUT={tmp_path}"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    print(done.stdout[-3000:])
    assert "BLESSED. Pushed model:" in done.stdout
    serving = tmp_path / "quickstart" / "serving"
    assert len(list(serving.iterdir())) == 1

    cat = pathlib.Path(tmp_path) / "picture.png"
    cat.write_bytes(bytes(resvg_py.svg_to_bytes(svg_path=str(openmoji._pictures()["1F525"]), width=128, height=128)))
    asked = subprocess.run(
        [ROOT / ".venv/bin/python", "-m", "pipeline.zero_shot", f"--model_dir={serving}", f"--image={cat}",
         "--labels=fire,pizza,woman running light skin tone", "--json"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    (answer,) = json.loads(asked.stdout).values()
    assert max(answer, key=answer.get) == "fire"
