"""A TensorBoard profile of some steps of a run."""

import tensorflow as tf


def edges(profile_steps: tuple[int, ...]) -> tuple[int, ...]:
    """The step counts at which profiling starts and ends; () where no step is profiled."""
    return (profile_steps[0], profile_steps[1] + 1) if profile_steps else ()


class Profiler:
    """Profiles the steps from a first to a last one; leaving its context ends a profile that is still open."""

    def __init__(self, profile_steps: tuple[int, ...], folder: str) -> None:
        """Starts nothing yet.

        Args:
          profile_steps: first and last step to profile; () profiles none.
          folder: the log folder, which TensorBoard reads.
        """
        self._edges, self._folder = edges(profile_steps), folder
        self._is_open = False

    def __enter__(self) -> "Profiler":
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def before_step(self, step: int) -> None:
        """Starts the profile before its first step, and writes it after its last one.

        Args:
          step: the step that comes next. A run that goes on in the middle of its profile profiles the rest.
        """
        if not self._edges:
            return
        first, end = self._edges
        if step >= end:
            self._close()
        elif step >= first and not self._is_open:
            tf.profiler.experimental.start(self._folder)
            self._is_open = True

    def _close(self) -> None:
        if self._is_open:
            tf.profiler.experimental.stop()
            self._is_open = False
