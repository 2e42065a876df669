"""One way to declare a component: annotate its arguments and map its outputs, each key once.

    class Resizer(BeamComponent):
        examples: InputArtifact[Examples]
        size: Parameter[int]
        input_fingerprint: Parameter[str] = None  # a default of None marks what is optional

        OUTPUTS = {"resized": Examples}
        EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(executor.Executor)

    class Executor(BeamExecutor):
        def run(self, examples: Artifact, resized: Artifact, size: int) -> None: ...

`Resizer(examples=..., size=...)` makes the output channels. `run` receives the artifacts and values that its parameters
name; a name that the component does not declare is an error when the component is imported.

The annotations are TFX's own, from its function components (`tfx.dsl.components.component`). That decorator does not
fit: it makes the executor's class, whose path we publish and which platforms replace; it takes no driver; and type
checkers see no arguments. TFX's class components do fit, but name each key in ComponentSpec, constructor and executor.
So a component is declared as a dataclass is (PEP 681), and the ComponentSpec is made here. All of TFX that this module
uses is the same in TFX 1.16 and 1.21.
"""

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar

from tfx.components.util import examples_utils
from tfx.dsl.component.experimental.annotations import InputArtifact, Parameter
from tfx.dsl.components.base import base_beam_component, base_beam_executor, base_component, base_executor
from tfx.proto import example_gen_pb2
from tfx.types import Artifact, artifact_utils, channel
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter
from typing_extensions import dataclass_transform

Artifacts = dict[str, list[Artifact]]


class _EmptySpec(ComponentSpec):
    PARAMETERS: Mapping[str, ExecutionParameter] = {}
    INPUTS: Mapping[str, ChannelParameter] = {}
    OUTPUTS: Mapping[str, ChannelParameter] = {}


def _names(run: Callable[..., None]) -> set[str]:
    return set(inspect.signature(run).parameters)


class _Run:
    """Calls `run` with the artifacts and values that its parameters name."""

    run: Callable[..., None]

    def Do(self, input_dict: Artifacts, output_dict: Artifacts, exec_properties: dict[str, Any]) -> None:
        """TFX's entry. An optional input or parameter that is absent takes the default of `run`."""
        names = _names(self.run)
        single = {
            key: artifact_utils.get_single_instance(artifacts)
            for key, artifacts in {**input_dict, **output_dict}.items()
            if key in names and artifacts
        }
        self.run(**single, **{key: value for key, value in exec_properties.items() if key in names})


class Executor(_Run, base_executor.BaseExecutor):
    """The work of a Component; a subclass defines `run`."""


class BeamExecutor(_Run, base_beam_executor.BaseBeamExecutor):
    """The work of a BeamComponent; a subclass defines `run`, which uses `self._make_beam_pipeline()`."""


def _extended(component: type["Component"]) -> type[ComponentSpec]:
    """The ComponentSpec of the base class with what the class itself declares."""
    own, base = vars(component), component.SPEC_CLASS
    outputs = {key: ChannelParameter(type=kind) for key, kind in own.get("OUTPUTS", {}).items()}
    parameters, inputs = dict(base.PARAMETERS), dict(base.INPUTS)
    for key, annotation in own.get("__annotations__", {}).items():
        if isinstance(annotation, Parameter):
            parameters[key] = ExecutionParameter(type=annotation.type, optional=key in own)
        elif isinstance(annotation, InputArtifact):
            inputs[key] = ChannelParameter(type=annotation.type, optional=key in own)
        else:
            raise TypeError(
                f"{component.__name__}.{key} is annotated with {annotation!r}, but must be InputArtifact[...] or "
                "Parameter[...]; correct it, and leave out `from __future__ import annotations`"
            )
    fields = {"PARAMETERS": parameters, "INPUTS": inputs, "OUTPUTS": {**base.OUTPUTS, **outputs}}
    return type(f"{component.__name__}Spec", (ComponentSpec,), fields)


def _require_declared(component: type["Component"]) -> None:
    """Raises TypeError where the executor's `run` names a key that the component does not declare."""
    executor = getattr(component.EXECUTOR_SPEC, "executor_class", None)  # a base class may have no executor yet
    if not (inspect.isclass(executor) and issubclass(executor, _Run)):
        return
    spec = component.SPEC_CLASS
    if unknown := _names(executor.run) - {"self", *spec.PARAMETERS, *spec.INPUTS, *spec.OUTPUTS}:
        raise TypeError(
            f"{executor.__module__}.{executor.__name__}.run takes {sorted(unknown)}, which {component.__name__} does "
            "not declare; declare it, or remove it from run"
        )


@dataclass_transform(kw_only_default=True)
class Component(base_component.BaseComponent):
    """A component whose ComponentSpec is made from its annotations and OUTPUTS, and those of its base classes.

    Attributes:
      SPEC_CLASS: a class may set one of TFX's, which its own annotations and OUTPUTS then extend.
      OUTPUTS: {key: type of the artifact}.
    """

    SPEC_CLASS = _EmptySpec
    OUTPUTS: ClassVar[Mapping[str, type[Artifact]]] = {}

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls.SPEC_CLASS = _extended(cls)
        _require_declared(cls)

    def __init__(self, **arguments: Any) -> None:
        """Makes the component.

        Args:
          arguments: {key: channel of an input, or value of a parameter}; None leaves an optional one out.

        Raises:
          TypeError: an argument is not declared, or has another type.
          ValueError: an argument is missing.
        """
        spec = self.SPEC_CLASS
        declared = {*spec.PARAMETERS, *spec.INPUTS}
        if unknown := arguments.keys() - declared:
            raise TypeError(f"{type(self).__name__} takes no {sorted(unknown)}; give some of {sorted(declared)}")
        given = {key: value for key, value in arguments.items() if value is not None}
        outputs = {key: channel.Channel(type=output.type) for key, output in spec.OUTPUTS.items()}
        super().__init__(spec=spec(**given, **outputs))


class BeamComponent(Component, base_beam_component.BaseBeamComponent):
    """A component whose executor runs a Beam pipeline."""


def split_uri(examples: Artifact, split: str) -> str:
    """The folder of a split of Examples; ValueError where they have no such split."""
    return artifact_utils.get_split_uri([examples], split)


def describe_examples(examples: Artifact, splits: Iterable[str]) -> None:
    """Records the splits of Examples that are written as serialised tf.Example."""
    examples.split_names = artifact_utils.encode_split_names(list(splits))
    examples_utils.set_payload_format(examples, example_gen_pb2.PayloadFormat.FORMAT_TF_EXAMPLE)


def copy_description(source: Artifact, target: Artifact) -> None:
    """Records the splits of `source` for the Examples `target`, which have the same ones."""
    describe_examples(target, artifact_utils.decode_split_names(source.split_names))
