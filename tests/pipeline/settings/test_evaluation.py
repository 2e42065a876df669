"""Evaluation sets, rules and label sets from gin; the pipeline refuses unusable ones before anything runs."""

import pytest

from components.metrics.settings import GateSettings
from models.settings import configuration
from pipeline import pins, pipeline, platform
from pipeline.settings.run import PipelineSettings
from tests.pipeline.conftest import ROOT

QUICKSTART = str(ROOT / "gin" / "quickstart.gin")


def load(*files: str, bindings: tuple[str, ...] = ()) -> PipelineSettings:
    return configuration.load([QUICKSTART, *files], bindings, [PipelineSettings])[0]


def test_resolved_text_keeps_the_sets_of_shipped_files():
    coco = load(str(ROOT / "gin/evaluation/coco.gin"))
    assert [one.name for one in coco.all_evaluation_sets] == ["eval", "coco"]
    food101 = load(str(ROOT / "gin/evaluation/food101.gin"))
    (one,) = food101.evaluation_sets
    assert len(set(one.templates)) == 81  # CLIP's 80, and the bare class
    assert all(template.count("{}") == 1 for template in one.templates)
    for settings in (load(), coco, food101):
        text = configuration.to_gin(settings)
        assert configuration.parse(text, PipelineSettings) == settings
    assert "evaluation_sets_0/EvaluationSet.name = 'all_names'" in configuration.to_gin(load())


def test_binding_without_scope_holds_for_all_scopes():
    settings = load(bindings=("EvaluationSet.retrieval = False",))
    assert not settings.evaluation_sets[0].retrieval
    with pytest.raises(
        configuration.ConfigurationError, match=r"other/EvaluationSet.retrieval is set, but nothing uses"
    ):
        load(bindings=("other/EvaluationSet.retrieval = False",))


@pytest.mark.parametrize(
    ("binding", "message"),
    [
        ("Gate.min_value = {'recall': 0.1}", "'recall' is no metric; use one of image_to_text_recall_at_1"),
        ("Gate.min_value = {'coco/zero_shot_accuracy': 0.1}", "the set is 'coco', but must be one of all_names, eval"),
        ("Gate.max_drop = {'zero_shot_accuracy by key': 0.1}", "'key' is no slice key"),
        ("Gate.min_value = {'zero_shot_accuracy': 30}", r"is 30, but must be in \[0, 1\]; set a share"),
        ("Gate.confidence = 95", "Gate.confidence is 95.0, but must be above 0 and below 1"),
        (
            "all_names/EvaluationSet.name = 'eval'\nall_names/EvaluationSet.examples = 'x'",
            "is the pipeline's own eval split",
        ),
        ("all_names/EvaluationSet.templates = ('photo',)", "'photo', but must be a text with {} in place of the label"),
        ("food/LabelSet.name = 'eval'", r"names of evaluation and label sets is \['eval', 'all_names', 'eval'\]"),
        ("food/LabelSet.labels = ('pizza', 'pizza')", "LabelSet.labels is .* but must be different texts"),
        ("Packaging.weights = 'int4'", "'int4', but must be one of float32, bfloat16, int8"),
    ],
)
def test_unusable_value_is_refused(binding, message):
    with pytest.raises(configuration.ConfigurationError, match=message):
        load(bindings=(binding,))


def test_missing_set_is_reported_before_anything_runs():
    settings = load(bindings=("all_names/EvaluationSet.examples = '/nothing/here'",))
    with pytest.raises(ValueError, match="EvaluationSet 'all_names': no shard matches /nothing/here"):
        pins.require_evaluation_sets(settings)


def test_the_evaluator_reads_every_set_and_a_gate_needs_a_rule(tmp_path):
    dag = pipeline.create(load(), platform.ThisMachine(str(tmp_path)))
    (evaluator,) = [component for component in dag.components if component.id == "Evaluator"]
    assert evaluator.exec_properties["example_splits"] == '["eval", "all_names"]'
    with pytest.raises(ValueError, match="name at least one metric"):
        GateSettings(min_value={})
