"""Gin can set every setting, and every setting that the docs name, on top of gin/quickstart.gin."""

import ast
import contextlib
import dataclasses
import pathlib
import re
import typing

import pytest

from models.settings import configuration
from models.settings.checks import DECLARED, RENAMED
from pipeline.settings.platforms import KubeflowSettings, VertexSettings
from pipeline.settings.run import PipelineSettings
from pipeline.study.settings import StudySettings
from tests.pipeline.settings.samples import MORE, VALUES

ROOT = pathlib.Path(__file__).parents[3]
QUICKSTART = str(ROOT / "gin" / "quickstart.gin")
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
CLASSES = {name: cls for cls, name in DECLARED.items() if not cls.__module__.startswith("tests.")}
OF_COMPONENTS = {"Layout", "EvaluationSuite", "Embedding", "VisualCodes"}
"""Classes that the pipeline fills in for components; users do not set them."""
SPANS = sorted(
    {
        span
        for page in PAGES
        for span in re.findall(r"`([A-Z]\w+\.\w+(?: = [^`]+)?)`", page.read_text())
        if span.split(".")[0] in CLASSES
    }
)


def roots(name: str) -> list[type]:
    others = {"Vertex": VertexSettings, "Kubeflow": KubeflowSettings, "Study": StudySettings, "Axis": StudySettings}
    return [PipelineSettings, *([others[name]] if name in others else [])]


def load(name: str, *bindings: str) -> list:
    return configuration.load([QUICKSTART], list(bindings), roots(name))


_ASKED: dict[str, list[str]] = {}
"""{name of a class: lines that errors asked for}; another field of the class mostly needs the same lines."""


def switched_on(name: str, *bindings: str) -> list:
    """Loads the bindings, and adds the lines that the errors ask for."""
    if _ASKED.get(name):
        with contextlib.suppress(configuration.ConfigurationError):
            return load(name, *_ASKED[name], *bindings)
    lines: list[str] = []
    while True:
        try:
            made = load(name, *lines, *bindings)
            _ASKED[name] = lines
            return made
        except configuration.ConfigurationError as error:
            asked = re.search(r"set, but nothing uses it .* or add ([^=]+ = \(?@[\w/]+\(\)(?:,\))?)", str(error))
            if not asked or asked[1] in lines:
                raise
            lines.append(asked[1])


def instances(settings: typing.Any, cls: type) -> typing.Iterator:
    """All instances of the class inside the settings."""
    if isinstance(settings, cls):
        yield settings
    if dataclasses.is_dataclass(settings):
        for field in dataclasses.fields(settings):
            value = getattr(settings, field.name)
            for one in value if isinstance(value, tuple) else (value,):
                yield from instances(one, cls)


def default_of(field: dataclasses.Field) -> typing.Any:
    return field.default if field.default is not dataclasses.MISSING else field.default_factory()


def changed(name: str, field: dataclasses.Field) -> str:
    """Another value of a field, as gin text."""
    if f"{name}.{field.name}" in VALUES:
        return VALUES[f"{name}.{field.name}"]
    default = default_of(field)
    if isinstance(default, bool):
        return str(not default)
    if isinstance(default, int):
        return str(default + 1)
    if isinstance(default, float):
        return str(default / 2 if default else 0.5)
    if isinstance(default, str):
        return "'x'"
    if isinstance(default, tuple):
        return "('x',)"
    return "{'image': 'x'}" if field.name == "columns" else repr({**default, "Trainer": 3})


def declared(hint: typing.Any) -> str:
    """The name of a class that a field with this hint can hold; "" if it holds no settings."""
    if getattr(hint, "_is_protocol", False):
        return "JsonlSource"
    named = ((cls, name) for cls, name in DECLARED.items() if dataclasses.is_dataclass(hint))
    return next((name for cls, name in named if issubclass(cls, hint)), "")


FIELDS = [
    (name, field)
    for name, cls in sorted(CLASSES.items())
    if name not in OF_COMPONENTS
    for field in dataclasses.fields(cls)
    if not dataclasses.is_dataclass(field.default)
]


@pytest.mark.parametrize(("name", "field"), FIELDS, ids=[f"{name}.{field.name}" for name, field in FIELDS])
def test_gin_sets_each_setting(name, field):
    label = f"{name}.{field.name}"
    kind = typing.get_type_hints(CLASSES[name])[field.name]
    members = [one for one in map(declared, (*typing.get_args(kind), kind)) if one]
    if members and label not in VALUES:  # optional settings, or a tuple of settings
        part = members[0]
        value = f"(@{part}(),)" if typing.get_origin(kind) is tuple else f"@{part}()"
        more = [*MORE.get(label, []), *MORE.get(part, [])]
    else:
        value, more = changed(name, field), [*MORE.get(name, []), *MORE.get(label, [])]
    made = switched_on(name, *more, f"{label} = {value}")
    found = [getattr(one, field.name) for part in made for one in instances(part, CLASSES[name])]
    assert found
    if members:
        assert all(found)
    else:
        given = ast.literal_eval(value)
        assert given in found
        assert given != default_of(field)  # or the check would show nothing


def test_control_a_field_that_does_not_exist_is_refused():
    with pytest.raises(configuration.ConfigurationError, match="doesn't have a parameter named 'evry'"):
        load("Checkpoint", "Checkpoint.evry = 10")


def test_error_of_an_unused_class_names_the_line_that_uses_it():
    bindings = ["Pipeline.deduper = None", "Deduper.image_distance = 3"]
    with pytest.raises(configuration.ConfigurationError, match=r"or add Pipeline.deduper = @Deduper\(\)"):
        configuration.load([str(ROOT / "gin" / "own_data.gin")], [bindings[1]], [PipelineSettings])


@pytest.mark.parametrize("span", SPANS)
def test_each_setting_that_the_docs_name_can_be_set(span):
    name, field = span.split(" = ")[0].split(".")
    assert field in {one.name for one in dataclasses.fields(CLASSES[name])}, f"{name} has no field {field}"
    if " = " in span and "..." not in span and not re.search(r" = [A-Z]$", span):  # M stands for a number
        switched_on(name, *MORE.get(name, []), *MORE.get(f"{name}.{field}", []), span)


def test_docs_and_gin_files_use_no_former_name():
    texts = {path: path.read_text() for path in (*PAGES, *(ROOT / "gin").rglob("*.gin"))}
    former = [name for name in RENAMED if not name.startswith(("Former", "Holder"))]
    assert former
    found = [(path.name, name) for path, text in texts.items() for name in former if re.search(rf"\b{name}[.(]", text)]
    assert not found
