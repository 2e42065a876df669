"""The training step compared with those of the peers: Hugging Face transformers, open_clip and big_vision."""

import dataclasses
import importlib.metadata
import json
import os
import pathlib
import sys

from models import settings
from models.settings import configuration
from tests.benchmarks import alternation, environments
from tests.benchmarks.alternation import Competitor
from tests.benchmarks.peers.protocol import Case

_GIN = pathlib.Path(__file__).parents[2] / "gin"
_SCRIPTS = environments.LOCKS
_NO_CHECKOUT = "name a checkout with --big_vision=FOLDER"
# The largest ratio to the fastest peer that the project claims, by the version of TFX.
_LIMITS = {"1.16": 0.95, "1.21": 0.80}


@dataclasses.dataclass(frozen=True)
class _Size:
    title: str
    gin: str
    batch_size: int
    vocabulary: int
    steps: int


_SIZES = (
    _Size("tiny at 48 px", "tiny", 64, 1200, 30),
    _Size("S/16 at 224 px, 12 + 12 blocks", "small", 4, 32_000, 8),
)


def run(rounds: int, big_vision: str, torch_compile: bool) -> tuple[list[str], int]:
    """Lines of all sizes, and the number of claims that do not hold or cannot be judged.

    Args:
      rounds: number of processes of each competitor.
      big_vision: folder of a checkout, or "".
      torch_compile: whether the peers that use PyTorch take part a second time, compiled.
    """
    lines, broken = [], 0
    there = peers(big_vision, torch_compile)
    version = ".".join(importlib.metadata.version("tfx").split(".")[:2])
    for size in _SIZES:
        work = case(size.gin, size.batch_size, size.vocabulary, size.steps)
        lines.append(
            f"{size.title}, batch {size.batch_size}, {work.threads} threads, {rounds} rounds of {size.steps} steps"
        )
        found, ratio = alternation.compare([_started(peer, work) for peer in there], rounds, _LIMITS[version])
        lines += [f"  {line}" for line in [*found, ratio or "no peer was measured"]]
        broken += ratio is None or not ratio.kept
    return lines, broken


def case(model: str, batch_size: int, vocabulary: int, steps: int) -> Case:
    """The work for a model of gin/model, with the objective and the optimiser of a training run."""
    files = [str(_GIN / name) for name in (f"model/{model}.gin", "objective/siglip.gin", "optimizer/adamw.gin")]
    bindings = [f"Training.batch_size = {batch_size}"]
    (config,) = configuration.load(files, bindings, [settings.TrainingSettings])
    image, text, optimizer = config.objective.image_tower, config.objective.text_tower, config.optimizer
    named = ("learning_rate", "weight_decay", "beta_1", "beta_2", "epsilon", "clip_norm")
    return Case(
        batch_size=batch_size,
        image_size=image.size,
        patch=image.patch,
        image_width=image.width,
        image_depth=image.depth,
        image_heads=image.heads,
        image_mlp=image.mlp_dim,
        text_length=text.length,
        vocabulary=vocabulary,
        text_width=text.width,
        text_depth=text.depth,
        text_heads=text.heads,
        text_mlp=text.mlp_dim,
        **{name: getattr(optimizer, name) for name in named},
        logit_scale=config.objective.logit_scale,
        logit_bias=config.objective.logit_bias,
        threads=len(os.sched_getaffinity(0)),
        steps=steps,
    )


@dataclasses.dataclass(frozen=True)
class Peer:
    """A script of tests/benchmarks/peers, and the interpreter that runs it.

    Attributes:
      name: its name in the printed lines.
      script: name of the file.
      python: the interpreter.
      arguments: of the script, after the work.
      compiled: whether it uses torch.compile.
      absent: why it cannot run; "" if it can.
    """

    name: str
    script: str
    python: str = ""
    arguments: tuple[str, ...] = ()
    compiled: bool = False
    absent: str = ""


def peers(big_vision: str, torch_compile: bool) -> list[Peer]:
    """Ours first, then the peers; makes their environments."""
    found = [Peer("ours", "train_ours.py", sys.executable)]
    for compiled in (False, True) if torch_compile else (False,):
        for name in ("transformers", "open_clip"):
            title = f"{name}, torch.compile" if compiled else name
            found.append(_in_environment(Peer(title, f"train_{name}.py", compiled=compiled), name))
    checkout = Peer("big_vision", "train_big_vision.py", arguments=(str(pathlib.Path(big_vision).absolute()),))
    if not big_vision:
        return [*found, dataclasses.replace(checkout, absent=_NO_CHECKOUT)]
    if not (pathlib.Path(big_vision) / "big_vision" / "optax.py").is_file():
        return [*found, dataclasses.replace(checkout, absent=f"{big_vision} holds no big_vision/optax.py")]
    return [*found, _in_environment(checkout, "big_vision")]


def _in_environment(peer: Peer, name: str) -> Peer:
    try:
        return dataclasses.replace(peer, python=environments.python_of(name))
    except environments.NotMade as reason:
        return dataclasses.replace(peer, absent=f"its environment cannot be made: {reason}")


def _started(peer: Peer, work: Case) -> Competitor:
    argument = json.dumps(dataclasses.asdict(dataclasses.replace(work, compiled=peer.compiled)))
    return Competitor(peer.name, (peer.python, str(_SCRIPTS / peer.script), argument, *peer.arguments), peer.absent)
