"""When the host works: the step counts at which it logs, looks at held-out rows, saves or profiles."""

import dataclasses

from models import settings
from models.training import profiler


@dataclasses.dataclass(frozen=True)
class Stops:
    """The stops of one run: a pure function of its settings, so that all processes of the run stop together.

    Attributes:
      config: settings of the run.
    """

    config: settings.TrainingSettings

    def after(self, done: int) -> int:
        """The next step count, above `done`, at which the devices hand over to the host."""
        config = self.config
        stops = [done + config.runtime.steps_per_loop, config.steps]
        # The log has a row of step 0, `every`, 2 x `every`, ...; step k is done at step count k + 1.
        stops.append(-(-done // config.logging.every) * config.logging.every + 1)
        for every in (config.checkpoint.every, config.logging.held_out_every):
            if every:
                stops.append(done // every * every + every)
        stops += [edge for edge in profiler.edges(config.profile_steps) if edge > done]
        return min(stops)

    def is_last(self, done: int) -> bool:
        """Whether training ends here."""
        return done == self.config.steps

    def saves(self, done: int) -> bool:
        """Whether a checkpoint is due."""
        return self.is_last(done) or _is_multiple(done, self.config.checkpoint.every)

    def looks_at_held_out(self, done: int) -> bool:
        """Whether held-out rows are due; they are at each checkpoint, too, which its own weights must score."""
        return self.saves(done) or _is_multiple(done, self.config.logging.held_out_every)

    def logs(self, done: int) -> bool:
        """Whether a row of the log is due."""
        return self.is_last(done) or _is_multiple(done - 1, self.config.logging.every)


def _is_multiple(number: int, every: int) -> bool:
    return bool(every) and number % every == 0
