"""Where the time of a run went: when its artifacts were made, and what training spent its seconds on."""

import dataclasses
import datetime
import os
import pathlib
import time
from collections.abc import Mapping, Sequence

from components.declaration import Artifacts
from models.training.log import SPENT


@dataclasses.dataclass(frozen=True)
class Made:
    """An artifact of the run.

    Attributes:
      name: input of RunReport, in words.
      moment: when it was made.
      seconds: since the artifact before it, or since this process started; None for a cached artifact and for the first
        one of a run in several processes.
    """

    name: str
    moment: datetime.datetime
    seconds: float | None


def made_at(artifacts: Artifacts) -> list[Made]:
    """The run's artifacts in the order in which they were made; [] on Kubeflow Pipelines, which has no times."""
    stamped = sorted(
        (found[0].mlmd_artifact.last_update_time_since_epoch / 1000, name)
        for name, found in artifacts.items()
        if found[0].mlmd_artifact.last_update_time_since_epoch
    )
    before, made = _process_start(), []
    for second, name in stamped:
        since = second - before if second >= before else None
        moment = datetime.datetime.fromtimestamp(second, datetime.timezone.utc)
        made.append(Made(name.replace("_", " "), moment, since))
        before = max(before, second)
    return made


def of_components(made: Sequence[Made]) -> dict[str, float]:
    """{artifact: seconds}, of the artifacts that this process made."""
    return {one.name: one.seconds for one in made if one.seconds is not None}


def of_training(log: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """{what training spent seconds on: seconds}; {} if the model is untrained or an older release wrote the log."""
    if not log or any(name not in log[-1] for name in SPENT):
        return {}
    spent = {words: log[-1][name] for name, words in SPENT.items()}
    return {**spent, "steps": log[-1]["seconds"] - sum(spent.values())}


def _process_start() -> float:
    """When this process started, in seconds since the epoch (proc_pid_stat(5), field 22)."""
    ticks = int(pathlib.Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
    age = time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
    return time.time() - age
