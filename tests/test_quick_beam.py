"""Pipelines that tests make faster are those that Beam makes."""

import inspect

import apache_beam
import pytest
from apache_beam.coders import VarIntCoder
from apache_beam.options.pipeline_options import DebugOptions, DirectOptions, PipelineOptions, TypeOptions
from apache_beam.transforms import core, userstate

from tests import quick_beam

FLAGS = ["--runner=FnApiRunner", "--direct_num_workers=3", "--experiments=one"]
SEEN = userstate.ReadModifyWriteStateSpec("seen", VarIntCoder())


@pytest.fixture(autouse=True)
def _as_beam_is(monkeypatch):
    """Without what tests/conftest.py switches on for all tests."""
    monkeypatch.setattr(core, "get_function_args_defaults", quick_beam.ARGUMENTS)
    monkeypatch.setattr(PipelineOptions, "view_as", quick_beam.VIEW_AS)
    monkeypatch.setattr(userstate, "get_dofn_specs", quick_beam.SPECS)


class Stateful(apache_beam.DoFn):
    def process(self, element, seen=apache_beam.DoFn.StateParam(SEEN), more=7):
        yield element, seen.read(), more

    def usual(self, element, more=3):
        return element, more


def described() -> list:
    """What Beam finds in the signatures of some functions, twice each."""
    stateful = Stateful()
    functions = (stateful.process, Stateful.process, stateful.usual, Stateful.usual, lambda row, key=2: row, str.upper)
    found = [core.get_function_args_defaults(function) for function in functions for _ in range(2)]
    return [*found, userstate.get_dofn_specs(stateful), userstate.get_dofn_specs(apache_beam.DoFn())]


def test_functions_have_the_arguments_that_beam_finds():
    expected = described()
    with quick_beam.remembering():
        assert described() == expected
    assert expected[0] != expected[2]  # control: a bound method has no `self`
    assert expected[-2] == ({SEEN}, set())


def test_a_method_is_inspected_once(monkeypatch):
    inspected = []
    usual = inspect.signature
    monkeypatch.setattr(inspect, "signature", lambda function: inspected.append(function) or usual(function))
    stateful = Stateful()
    with quick_beam.remembering():
        for _ in range(3):
            core.get_function_args_defaults(stateful.process)[0].clear()  # the caller's own list
        assert core.get_function_args_defaults(stateful.process)[0] == ["element", "seen", "more"]
    assert inspected == [stateful.process]


class Borrowing(apache_beam.DoFn):
    """A DoFn whose instances differ in `process`."""

    def __init__(self, process):
        super().__init__()
        self.process = process


def test_dofns_have_the_states_that_beam_finds():
    def specs() -> list:
        stateful, usual = Stateful(), apache_beam.DoFn()
        dofns = [stateful, stateful, Stateful(), usual, Borrowing(usual.process), Borrowing(stateful.process)]
        found = [userstate.get_dofn_specs(dofn) for dofn in dofns]
        found[0][0].clear()  # the caller's own set
        return found[1:]

    expected = specs()
    with quick_beam.remembering():
        assert specs() == expected
        assert specs() == expected
    assert [bool(states) for states, _ in expected] == [True, True, False, False, True]


def test_a_class_of_dofns_is_looked_through_once(monkeypatch):
    asked = []
    monkeypatch.setattr(quick_beam, "SPECS", lambda dofn: asked.append(dofn) or (set(), set()))
    first = Stateful()
    with quick_beam.remembering():
        userstate.get_dofn_specs(first)
        userstate.get_dofn_specs(Stateful())
    assert asked == [first]


@pytest.mark.parametrize("flags", [FLAGS, FLAGS[:1], []])
def test_options_have_the_values_of_their_flags(flags):
    def values() -> list[dict]:
        options = PipelineOptions(flags, runtime_type_check=True)
        views = [options.view_as(cls) for cls in (DirectOptions, DebugOptions, TypeOptions, DirectOptions)]
        return [{name: getattr(view, name) for name in view._visible_option_list()} for view in views]

    expected = values()
    with quick_beam.remembering():
        assert values() == expected
        assert values() == expected
    assert expected[2]["runtime_type_check"]


def test_views_share_their_lists_and_pipelines_do_not():
    with quick_beam.remembering():
        one, other = PipelineOptions(FLAGS), PipelineOptions(FLAGS)
        one.view_as(DebugOptions).experiments.append("two")
        one.view_as(DirectOptions).direct_num_workers = 1
        assert one.view_as(DebugOptions).experiments == ["one", "two"]
        assert one.view_as(DirectOptions).direct_num_workers == 1
        assert other.view_as(DebugOptions).experiments == ["one"]
        assert other.view_as(DirectOptions).direct_num_workers == 3
