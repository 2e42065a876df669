"""Set-up chooses the newest stack that the machine can load, prints the reason, and refuses a stack it cannot load."""

import importlib.util
import pathlib
import sys

import pytest

SCRIPT = pathlib.Path(__file__).parents[1] / "requirements" / "choose_stack.py"
OLD, NEW = ("glibc", "2.36"), ("glibc", "2.41")
SYMBOLS = b"GLIBCXX_3.4.32 CXXABI_1.3.15"


@pytest.fixture
def chooser(monkeypatch):
    spec = importlib.util.spec_from_file_location("choose_stack", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "choose_stack", module)
    spec.loader.exec_module(module)
    monkeypatch.delenv("STACK", raising=False)
    monkeypatch.setattr(module, "find_python", lambda stack: f"/bin/python{stack.pythons[0]}")
    monkeypatch.setattr(module, "can_build", lambda python: True)
    monkeypatch.setattr(module, "libstdcxx_content", lambda: SYMBOLS)
    return module


def choose(chooser, monkeypatch, capsys, libc=NEW, stack=None) -> tuple[int, str, str]:
    monkeypatch.setattr(chooser.platform, "libc_ver", lambda: libc)
    if stack is not None:
        monkeypatch.setenv("STACK", stack)
    code = chooser.main()
    printed = capsys.readouterr()
    return code, printed.out.strip(), printed.err


def test_a_new_machine_gets_the_newest_stack(chooser, monkeypatch, capsys):
    assert choose(chooser, monkeypatch, capsys)[:2] == (0, "tfx-1.21 /bin/python3.13")


def test_an_old_machine_gets_the_older_stack_and_the_reason(chooser, monkeypatch, capsys):
    code, chosen, said = choose(chooser, monkeypatch, capsys, libc=OLD)
    assert (code, chosen) == (0, "tfx-1.16 /bin/python3.10")
    assert "skipped tfx-1.21: this machine has glibc 2.36, but tensorflow-data-validation needs glibc 2.38" in said


@pytest.mark.parametrize(
    ("attribute", "value", "reason"),
    [
        ("libstdcxx_content", lambda: b"GLIBCXX_3.4.32", "a libstdc++ without CXXABI_1.3.15"),
        ("can_build", lambda python: False, "pyfarmhash has no wheel, and g++ or the headers"),
        (
            "find_python",
            lambda stack: None if "3.13" in stack.pythons else "/x",
            "no working Python 3.13 or 3.12 or 3.11",
        ),
    ],
)
def test_each_missing_requirement_is_named(chooser, monkeypatch, capsys, attribute, value, reason):
    monkeypatch.setattr(chooser, attribute, value)
    code, chosen, said = choose(chooser, monkeypatch, capsys)
    assert code == 0
    assert chosen.startswith("tfx-1.16 ")
    assert reason in said
    code, chosen, said = choose(chooser, monkeypatch, capsys, stack="tfx-1.21")
    assert (code, chosen) == (1, "")
    assert "error: tfx-1.21 cannot be used: " in said
    assert reason in said


def test_the_variable_stack_forces_a_stack_and_a_wrong_name_lists_the_valid_ones(chooser, monkeypatch, capsys):
    assert choose(chooser, monkeypatch, capsys, stack="tfx-1.16")[:2] == (0, "tfx-1.16 /bin/python3.10")
    code, _, said = choose(chooser, monkeypatch, capsys, stack="tfx-2")
    assert code == 1
    assert "STACK is 'tfx-2', but must be one of tfx-1.21, tfx-1.16" in said
