"""The training step compared with those of the peers: Hugging Face transformers, open_clip and big_vision."""

import dataclasses
import importlib.metadata
import json
import os
import pathlib

from models import settings
from models.settings import configuration
from tests.benchmarks import alternation, environments
from tests.benchmarks.alternation import Competitor
from tests.benchmarks.peers.protocol import Case

_GIN = pathlib.Path(__file__).parents[2] / "gin"
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
    version = ".".join(importlib.metadata.version("tfx").split(".")[:2])
    for size in _SIZES:
        work = case(size.gin, size.batch_size, size.vocabulary, size.steps)
        lines.append(
            f"{size.title}, batch {size.batch_size}, {work.threads} threads, {rounds} rounds of {size.steps} steps"
        )
        everyone = competitors(work, big_vision, torch_compile)
        found, ratio = alternation.compare(everyone, rounds, _LIMITS[version])
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


def competitors(work: Case, big_vision: str, torch_compile: bool) -> list[Competitor]:
    """Ours first, then the peers; makes their environments."""
    argument, compiled = (json.dumps(dataclasses.asdict(dataclasses.replace(work, compiled=c))) for c in (False, True))
    found = [environments.ours("train_ours.py", argument)]
    for name in ("transformers", "open_clip"):
        found.append(environments.peer(name, f"train_{name}.py", argument))
        if torch_compile:
            found.append(environments.peer(f"{name}, torch.compile", f"train_{name}.py", compiled, lock=name))
    return [*found, _big_vision(argument, big_vision)]


def _big_vision(argument: str, folder: str) -> Competitor:
    if not folder:
        return Competitor("big_vision", absent="name a checkout with --big_vision=FOLDER")
    checkout = pathlib.Path(folder).absolute()
    if not (checkout / "big_vision" / "optax.py").is_file():
        return Competitor("big_vision", absent=f"{folder} holds no big_vision/optax.py")
    return environments.peer("big_vision", "train_big_vision.py", argument, str(checkout))
