"""The benchmark against peers prints who is fast, absent or broken; all of them do the same work."""

import dataclasses
import json
import math
import subprocess
import sys

import pytest

from models import settings
from tests.benchmarks import alternation, environments, peer_steps
from tests.benchmarks.alternation import Competitor, Failed
from tests.benchmarks.peers import protocol

FAKE = """
import json, os, sys, time
ms, size, losses, log = json.loads(sys.argv[1])
with open(log, "a") as file:
    file.write(f"{ms} ")
print("a line that a library prints")
print(json.dumps({"software": f"fake {ms}", "size": size, "warm_up": 3}), flush=True)
for number, loss in enumerate(losses):
    print(json.dumps({"ms": ms * (1000 if number < 3 else 1), "loss": loss}), flush=True)
"""
FALLING = [9.0, 8.0, 7.0, 6.0, 5.0]


@pytest.fixture
def fake(tmp_path):
    """Makes a competitor that prints the given times and losses, and notes that it has run."""

    def make(name: str, ms: float, size: int = 1000, losses: list[float] = FALLING) -> Competitor:
        arguments = json.dumps([ms, size, losses, str(tmp_path / "order")])
        return Competitor(name, (sys.executable, "-c", FAKE, arguments))

    return make


def broken(code: str) -> Competitor:
    return Competitor("broken", (sys.executable, "-c", code))


def test_ratio_is_to_the_fastest_peer_and_leaves_out_the_warm_up(fake):
    lines, ratio = alternation.compare([fake("ours", 80.0), fake("slow", 200.0), fake("fast", 100.0)], 3, limit=0.9)
    assert ratio.name == "ours / fast, the fastest peer"
    assert (ratio.median, ratio.low, ratio.high, ratio.noise) == (0.8, 0.8, 0.8, 0.0)
    assert ratio.kept
    assert [line.split(", begun after ")[0] for line in lines] == [
        "ours: 80.0 ms a step [80.0, 80.0]",
        "slow: 200.0 ms a step [200.0, 200.0]",
        "fast: 100.0 ms a step [100.0, 100.0]",
    ]


def test_ratio_above_the_limit_is_not_kept(fake):
    _, ratio = alternation.compare([fake("ours", 95.0), fake("peer", 100.0)], 2, limit=0.9)
    assert not ratio.kept
    assert math.isnan(ratio.noise)  # two rounds say nothing about it


def test_processes_alternate_in_an_order_that_rotates(fake, tmp_path):
    alternation.compare([fake("ours", 1.0), fake("a", 2.0), fake("b", 3.0)], 3, limit=1)
    order = (tmp_path / "order").read_text().split()
    assert order == ["1.0", "2.0", "3.0", "2.0", "3.0", "1.0", "3.0", "1.0", "2.0"]


def test_absent_peer_is_named_with_its_reason(fake):
    absent = Competitor("big_vision", absent="name a checkout")
    lines, ratio = alternation.compare([fake("ours", 1.0), absent], 2, limit=1)
    assert lines[1] == "big_vision: not measured, name a checkout"
    assert ratio is None


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("raise ValueError('no such model')", "exit code 1: ValueError: no such model"),
        ("import os; os._exit(3)", "exit code 3: it printed nothing"),
    ],
)
def test_failing_peer_is_named_with_its_error(fake, code, reason):
    lines, ratio = alternation.compare([fake("ours", 1.0), broken(code), fake("peer", 2.0)], 2, limit=1)
    assert lines[1] == f"broken: not measured, {reason}"
    assert ratio.median == 0.5


def test_failure_of_our_own_process_ends_the_benchmark(fake):
    with pytest.raises(Failed, match="no such model"):
        alternation.compare([broken("raise ValueError('no such model')"), fake("peer", 1.0)], 2, limit=1)


def test_process_that_does_not_end_is_killed_with_its_children():
    code = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import time; time.sleep(600)'])"
    with pytest.raises(Failed, match="not done after 1 s; it had printed 0 lines"):
        alternation.run((sys.executable, "-c", code), limit=1)


@pytest.mark.parametrize("losses", [[9.0, 9.5, 9.5, 9.5, 9.0], [9.0, 8.0, 7.0, float("nan"), 5.0]])
def test_peer_that_does_not_train_is_not_measured(fake, losses):
    lines, ratio = alternation.compare([fake("ours", 1.0), fake("peer", 1.0, losses=losses)], 2, limit=1)
    assert "peer: not measured, it does not train: its losses are 9.000" in lines[1]
    assert ratio is None


def test_peer_that_trains_another_model_is_not_measured(fake):
    lines, ratio = alternation.compare([fake("ours", 1.0), fake("peer", 1.0, size=999)], 2, limit=1)
    assert lines[1] == "peer: not measured, it has 999 trained numbers, and ours has 1,000"
    assert ratio is None


def test_work_is_that_of_the_gin_files():
    work = peer_steps.case("small", 4, 32_000, 8)
    assert (work.image_size, work.patch, work.image_depth, work.text_depth, work.text_length) == (224, 16, 12, 12, 64)
    assert (work.learning_rate, work.weight_decay, work.clip_norm) == (1e-3, 0.1, 1.0)
    assert protocol.Case(**json.loads(json.dumps(dataclasses.asdict(work)))) == work
    assert settings.AdamWSettings().beta_2 == work.beta_2


def test_batches_are_pictures_and_tokens_in_memory():
    work = dataclasses.replace(peer_steps.case("tiny", 3, 50, 8))
    first, *others = protocol.batches(work)
    pictures, tokens = first
    assert (pictures.shape, str(pictures.dtype)) == ((3, 48, 48, 3), "uint8")
    assert (tokens.shape, str(tokens.dtype), tokens.max() < 50) == ((3, 22), "int32", True)
    assert all((pictures != other).any() for other, _ in others)


def test_peers_that_cannot_run_are_absent_with_the_reason(monkeypatch, tmp_path):
    def python_of(name):
        if name == "transformers":
            raise environments.NotMade("no network")
        return f"/{name}/python"

    monkeypatch.setattr(environments, "python_of", python_of)
    work = peer_steps.case("tiny", 64, 1200, 30)
    by_name = {one.name: one for one in peer_steps.competitors(work, "", torch_compile=True)}
    assert next(iter(by_name)) == "ours"
    assert by_name["big_vision"].absent == "name a checkout with --big_vision=FOLDER"
    assert by_name["transformers"].absent == "its environment cannot be made: no network"
    assert not by_name["open_clip"].absent
    assert by_name["open_clip, torch.compile"].command[0] == "/open_clip/python"
    assert json.loads(by_name["open_clip, torch.compile"].command[2])["compiled"]
    assert not json.loads(by_name["open_clip"].command[2])["compiled"]

    def checkout():
        return peer_steps.competitors(work, str(tmp_path), torch_compile=False)[-1]

    assert checkout().absent == f"{tmp_path} holds no big_vision/optax.py"
    (tmp_path / "big_vision").mkdir()
    (tmp_path / "big_vision" / "optax.py").touch()
    assert checkout().command[-1] == str(tmp_path)


def test_environment_that_cannot_be_made_is_a_reason(monkeypatch, tmp_path):
    (tmp_path / "peer.txt").write_text("no_such_package_of_ours @ file:///nowhere\n")
    with pytest.raises(environments.NotMade, match=r"uv pip sync failed: .*nowhere"):
        environments.python_of("peer", folder=tmp_path / "made", locks=tmp_path)


def test_environment_is_made_once_for_each_lock(monkeypatch, tmp_path):
    (tmp_path / "peer.txt").write_text("")
    python = environments.python_of("peer", folder=tmp_path / "made", locks=tmp_path)
    version = subprocess.run([python, "-c", "import sys; print(sys.version_info >= (3, 11))"], capture_output=True)
    assert version.stdout == b"True\n"
    kept = tmp_path / "made" / "peer" / "kept"
    kept.touch()
    environments.python_of("peer", folder=tmp_path / "made", locks=tmp_path)
    assert kept.exists()
    (tmp_path / "peer.txt").write_text("# changed\n")
    environments.python_of("peer", folder=tmp_path / "made", locks=tmp_path)
    assert not kept.exists()
