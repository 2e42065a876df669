"""Components for platforms without drivers and resolvers: newest spans, fingerprints, the last pushed model."""

import pytest
from tfx.types import standard_artifacts
from tfx.utils import import_utils, proto_utils

from beam import sources
from beam.build import ImageTextGenSettings
from beam.dedupe import DeduperSettings
from beam.evaluation_sets import EvaluationSetSettings, EvaluationSuiteSettings
from beam.sources import CsvSource, JsonlSource, OpenMojiSource, UrlListSource
from components import artifacts
from components.input_state import executor as input_state
from components.input_state.component import InputState
from components.model_resolver import executor as last_model
from models.settings import configuration
from pipeline import platform


def write_spans(folder, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("{}\n")


def test_the_newest_span_is_the_highest_number_that_has_files(tmp_path):
    write_spans(tmp_path, "day-9/a.jsonl", "day-010/a.jsonl", "day-11/other.txt", "day-x/a.jsonl")
    source = sources.newest(JsonlSource(f"{tmp_path}/day-{{SPAN}}/*.jsonl"))
    assert source.path == f"{tmp_path}/day-010/*.jsonl"
    nested = sources.newest(UrlListSource(CsvSource(f"{tmp_path}/day-{{SPAN}}/a.jsonl")))
    assert nested.rows.path == f"{tmp_path}/day-010/a.jsonl"


def test_a_source_without_a_span_stays_and_missing_files_are_reported(tmp_path):
    assert sources.newest(OpenMojiSource()) == OpenMojiSource()
    assert sources.newest(JsonlSource("x.jsonl")) == JsonlSource("x.jsonl")
    with pytest.raises(
        ValueError, match=r"path is '.*day-\{SPAN\}/\*.jsonl', but no span has files; name them such as .*day-1/0"
    ):
        sources.newest(JsonlSource(f"{tmp_path}/day-{{SPAN}}/*.jsonl"))


def gin_of(*sets: EvaluationSetSettings) -> str:
    return configuration.to_gin(EvaluationSuiteSettings(sets))


def path_of(text: str) -> str:
    return configuration.parse(text, ImageTextGenSettings).source.path


def look(folder, source, data: str = "", deduper: str = "", suite: str = "") -> dict[str, str]:
    outputs = {}
    for key in InputState.OUTPUTS:
        outputs[key] = [standard_artifacts.String()]
        outputs[key][0].uri = str(folder / key)
    generated = configuration.to_gin(ImageTextGenSettings(source))
    properties = {"image_text_gen": generated, "data": data, "deduper": deduper, "suite": suite or gin_of()}
    input_state.Executor().Do({}, outputs, properties)
    return {key: artifacts[0].read() for key, artifacts in outputs.items()}


def test_the_state_changes_only_with_the_files(tmp_path):
    write_spans(tmp_path, "1.jsonl", "2.jsonl")
    source = JsonlSource(f"{tmp_path}/{{SPAN}}.jsonl")
    first, again = look(tmp_path, source), look(tmp_path, source)
    assert first == again
    assert path_of(first["current_image_text_gen"]) == f"{tmp_path}/2.jsonl"
    (tmp_path / "2.jsonl").write_text("{}\n{}\n")
    assert look(tmp_path, source)["source_state"] != first["source_state"]
    assert path_of(look(tmp_path, source, f"{tmp_path}/1.jsonl")["current_image_text_gen"]) == f"{tmp_path}/1.jsonl"
    with pytest.raises(ValueError, match="OpenMojiSource, which has no path that 'x' could replace"):
        look(tmp_path, OpenMojiSource(), "x")


def test_the_state_changes_with_the_evaluation_sets_too(tmp_path):
    write_spans(tmp_path, "1.jsonl", "coco/Split-test/a.gz")
    source = JsonlSource(f"{tmp_path}/1.jsonl")
    deduper = configuration.to_gin(DeduperSettings(evaluation_sets={"coco": f"{tmp_path}/coco"}))
    suite = gin_of(EvaluationSetSettings("coco", examples=f"{tmp_path}/coco"))
    before = look(tmp_path, source, deduper=deduper, suite=suite)
    (tmp_path / "coco" / "Split-test" / "a.gz").write_text("changed")
    after = look(tmp_path, source, deduper=deduper, suite=suite)
    assert before["evaluation_state"] != after["evaluation_state"]
    assert before["suite_state"] != after["suite_state"]
    assert before["source_state"] == after["source_state"]
    before = look(tmp_path, source, suite=suite)
    (tmp_path / "coco" / "Split-test" / "a.gz").write_text("changed again")
    assert look(tmp_path, source, suite=suite)["suite_state"] != before["suite_state"]


@pytest.mark.parametrize("kind", [artifacts.DataReport, artifacts.RunReport, artifacts.Vocabulary])
def test_kubeflow_pipelines_find_our_types_by_their_names(kind):
    assert import_utils.import_class_by_path(kind.TYPE_NAME) is kind


def find(folder, serving) -> standard_artifacts.Model:
    model = standard_artifacts.Model()
    model.uri = str(folder / "model")
    destination = proto_utils.proto_to_json(platform.folder_destination(str(serving)))
    last_model.Executor().Do({}, {"model": [model]}, {"push_destination": destination})
    return model


def test_the_last_pushed_model_is_the_newest_complete_one(tmp_path):
    serving = tmp_path / "serving"
    write_spans(serving, "9/saved_model.pb", "10/saved_model.pb", "10/assets/vocabulary.model")
    (serving / "10" / "saved_model.pb").write_text("ten")
    model = find(tmp_path, serving)
    assert (tmp_path / "model" / "Format-Serving" / "saved_model.pb").read_text() == "ten"
    assert last_model.present({"model": [model], "other": []}, "model") == {"model": [model], "other": []}


def test_there_is_no_model_before_the_first_push(tmp_path):
    model = find(tmp_path, tmp_path / "serving")
    assert last_model.present({"model": [model], "other": []}, "model") == {"other": []}
