"""What the host records at a stop: a row of the log, with the held-out rows where they are due."""

from collections.abc import Callable, Mapping

import tensorflow as tf

from models.training.held_out import HeldOut
from models.training.log import TrainingLog
from models.training.step import BAD_PART
from models.training.stops import Stops


class RunRecorder:
    """Writes the log of a run and scores its weights."""

    def __init__(
        self,
        stops: Stops,
        log: TrainingLog,
        held_out: HeldOut | None,
        finish: Callable[[], Mapping[str, float]] | None = None,
    ) -> None:
        """Writes nothing yet.

        Args:
          stops: when something is due.
          log: where rows are written.
          held_out: rows to look at, or None.
          finish: called after the last step, before its row; returns more scalars for it.
        """
        self._stops, self._log, self._held_out, self._finish = stops, log, held_out, finish

    @property
    def rows(self) -> list[dict[str, float]]:
        """A copy of the rows of the log so far."""
        return list(self._log.rows)

    def record(self, done: int, scalars: dict[str, tf.Tensor], waited: float, saved: float) -> float | None:
        """Records what is due.

        Args:
          done: steps done.
          scalars: of the last step.
          waited: seconds that this process has waited for batches so far.
          saved: seconds that training has waited for its checkpoints so far, in this process.

        Returns:
          The score of the weights on the held-out rows; None where these are not due.
        """
        finished = self._finish() if self._finish and self._stops.is_last(done) else {}
        held_out = self._held_out if self._stops.looks_at_held_out(done) else None
        if not (held_out or self._stops.logs(done)):
            return None
        seen = held_out.look() if held_out else None
        values = {name: float(value) for name, value in scalars.items() if name != BAD_PART}
        self._log.write(done, {**values, **finished}, waited, saved, seen)
        return seen.score if seen else None
