"""Beam without the work that it repeats while it makes a pipeline, which is half of a run of few rows.

Beam inspects the signature of each method of each DoFn, looks through each DoFn for states and timers, and parses all
flags for each look at an option, hundreds of times a pipeline. Here it does so once for each function, for each class
of DoFns, and for each class of options and its flags.
"""

import contextlib
import copy
import sys
import types
import weakref
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.transforms import core, userstate

Arguments = tuple[list[str], list[Any]]
Specs = tuple[set[userstate.StateSpec], set[userstate.TimerSpec]]
ARGUMENTS, VIEW_AS, SPECS = core.get_function_args_defaults, PipelineOptions.view_as, userstate.get_dofn_specs  # Beam's


@contextlib.contextmanager
def remembering() -> Iterator[None]:
    """Within this context, pipelines of this process are made faster, and are the same."""
    arguments = _arguments_once(ARGUMENTS)
    view_as = _views_once(VIEW_AS)
    specs = _specs_once(SPECS)
    with (
        mock.patch.object(userstate, "get_dofn_specs", specs),
        mock.patch.object(core, "get_function_args_defaults", arguments),
        mock.patch.object(PipelineOptions, "view_as", view_as),
    ):
        yield


def _arguments_once(usual: Callable[[Any], Arguments]) -> Callable[[Any], Arguments]:
    known: weakref.WeakKeyDictionary[types.FunctionType, dict[bool, Arguments]] = weakref.WeakKeyDictionary()

    def arguments(function: Any) -> Arguments:
        plain = getattr(function, "__func__", function)
        if not isinstance(plain, types.FunctionType):
            return usual(function)
        found = known.setdefault(plain, {})
        bound = plain is not function  # then the first argument does not count
        if bound not in found:
            found[bound] = usual(function)
        names, defaults = found[bound]
        return list(names), list(defaults)

    return arguments


def _specs_once(usual: Callable[[core.DoFn], Specs]) -> Callable[[core.DoFn], Specs]:
    known: weakref.WeakKeyDictionary[type[core.DoFn], Specs] = weakref.WeakKeyDictionary()

    def specs(dofn: core.DoFn) -> Specs:
        if any(isinstance(value, types.MethodType) for value in vars(dofn).values()):
            return usual(dofn)  # this one may have a state that others of its class have not
        if type(dofn) not in known:
            known[type(dofn)] = usual(dofn)
        states, timers = known[type(dofn)]
        return set(states), set(timers)

    return specs


def _views_once(usual: Callable[[PipelineOptions, type], PipelineOptions]) -> Callable[..., PipelineOptions]:
    parsed: dict[tuple[type, tuple[str, ...]], Any] = {}

    def view_as(self: PipelineOptions, cls: type[PipelineOptions]) -> PipelineOptions:
        if cls.__init__ is not PipelineOptions.__init__:
            return usual(self, cls)
        key = (cls, tuple(sys.argv if self._flags is None else self._flags))
        if key not in parsed:
            parsed[key] = cls(self._flags)._visible_options
        view = cls.__new__(cls)
        view._flags, view._visible_options = self._flags, copy.deepcopy(parsed[key])  # no two pipelines share a list
        for name in view._visible_option_list():
            self._all_options.setdefault(name, getattr(view._visible_options, name))
        view._all_options = self._all_options
        return view

    return view_as
