"""A component's specification, constructor and executor all follow from its declaration."""

import re

import pytest
from tfx.dsl.component.experimental.annotations import InputArtifact, Parameter
from tfx.dsl.components.base import executor_spec
from tfx.types import artifact_utils, channel
from tfx.types.standard_artifacts import Examples, Model, String

from components.declaration import Component, Executor, copy_description, describe_examples, split_uri


class Work(Executor):
    def run(self, model, note, size, examples=None, tag="none"):
        note.value = f"{model.uri} {size} {examples and examples.uri} {tag}"


class Weigher(Component):
    model: InputArtifact[Model]
    size: Parameter[int]
    examples: InputArtifact[Examples] = None
    tag: Parameter[str] = None
    input_fingerprint: Parameter[str] = None

    OUTPUTS = {"note": String}  # noqa: RUF012
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Work)


class Heavier(Weigher):
    weight: Parameter[float]

    OUTPUTS = {"scale": Model}  # noqa: RUF012


def of(kind) -> channel.Channel:
    return channel.Channel(type=kind)


def artifact(kind, path):
    made = kind()
    made.uri = str(path)
    return made


def test_the_constructor_makes_the_outputs_and_leaves_optional_arguments_out():
    component = Weigher(model=of(Model), size=3, tag=None)
    assert (set(component.inputs), component.exec_properties) == ({"model"}, {"size": 3})
    assert component.outputs["note"].type is String
    assert component.outputs["note"].producer_component is component
    assert set(Weigher(model=of(Model), size=3, examples=of(Examples)).inputs) == {"model", "examples"}


def test_a_subclass_extends_the_declaration_of_its_base_class():
    assert set(Heavier.SPEC_CLASS.PARAMETERS) == {*Weigher.SPEC_CLASS.PARAMETERS, "weight"}
    assert set(Heavier.SPEC_CLASS.OUTPUTS) == {"note", "scale"}
    assert "weight" not in Weigher.SPEC_CLASS.PARAMETERS


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"size": 3, "sise": 3}, TypeError, "Weigher takes no ['sise']; give some of ['examples', 'input_fingerprint'"),
        ({}, ValueError, "Missing argument 'size'"),
        ({"size": "3"}, TypeError, "Expected type <class 'int'> for parameter 'size'"),
        ({"size": 3, "examples": of(Model)}, TypeError, "Argument examples should be a Channel of type"),
    ],
)
def test_a_wrong_argument_is_refused(arguments, error, message):
    with pytest.raises(error, match=re.escape(message)):
        Weigher(model=of(Model), **arguments)


@pytest.mark.parametrize(
    ("inputs", "properties", "expected"),
    [({}, {"input_fingerprint": "x"}, "None none"), ({"examples": []}, {}, "None none"),
     ({"examples": [artifact(Examples, "rows")]}, {"tag": "a"}, "rows a")],
)  # fmt: skip
def test_run_takes_what_its_parameters_name(tmp_path, inputs, properties, expected):
    note = artifact(String, tmp_path / "note")
    Work().Do({"model": [artifact(Model, "m")], **inputs}, {"note": [note]}, {"size": 3, **properties})
    assert note.read() == f"m 3 {expected}"


def test_two_artifacts_where_run_takes_one_are_refused():
    with pytest.raises(ValueError, match="expected list length of one"):
        Work().Do({"model": [Model(), Model()]}, {"note": [String()]}, {"size": 3})


def test_an_executor_that_takes_an_undeclared_key_is_refused():
    class Other(Executor):
        def run(self, model, sise): ...

    with pytest.raises(TypeError, match=r"Other.run takes \['sise'\], which Wrong does not declare; declare it"):

        class Wrong(Weigher):
            EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Other)


def test_another_annotation_is_refused():
    with pytest.raises(TypeError, match=r"Wrong.size is annotated with <class 'int'>, but must be InputArtifact"):

        class Wrong(Component):
            size: int


def test_examples_keep_the_splits_that_were_described(tmp_path):
    source, target = artifact(Examples, tmp_path), artifact(Examples, tmp_path)
    describe_examples(source, ["eval", "train"])
    copy_description(source, target)
    assert artifact_utils.decode_split_names(target.split_names) == ["eval", "train"]
    assert split_uri(target, "eval") == str(tmp_path / "Split-eval")
    with pytest.raises(ValueError, match=r"Split does not exist .*test"):
        split_uri(target, "test")
