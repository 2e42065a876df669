"""Runs the whole pipeline on this machine: `python -m pipeline.local_runner --gin_file=gin/quickstart.gin`."""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING, Any

from absl import flags

from models.settings import configuration
from pipeline.console import command_line, gin_flags, output_folder, terminal

if TYPE_CHECKING:
    from pipeline.settings.run import PipelineSettings

_LOG_FILE = "run.log"

_PROFILE_STEPS = flags.DEFINE_list("profile_steps", [], "First and last step of a TensorBoard profile: 20,25.")
_DRY_RUN = flags.DEFINE_boolean("dry_run", False, "Print the DAG and the resolved gin; run nothing.")


@command_line.errors_as_lines(terminal.ComponentFailed)
def main(argv: list[str]) -> None:
    """Runs the pipeline and prints the outcome."""
    command_line.refuse_arguments(argv)
    bindings = list(gin_flags.GIN_BINDINGS.value)
    if _PROFILE_STEPS.value:
        bindings.append(f"Training.profile_steps = ({', '.join(_PROFILE_STEPS.value)},)")
    run(gin_flags.GIN_FILE.value, bindings, gin_flags.output_dir(), _DRY_RUN.value)


def run(gin_files: list[str], gin_bindings: list[str], output_dir: str, dry_run: bool) -> dict[str, Any] | None:
    """Runs the pipeline that the gin describes; returns the report's summary, or None for a dry run.

    Raises:
      ConfigurationError: the gin is invalid.
      ValueError: the output folder cannot be written, another run has it, or an input is missing.
      ComponentFailed: a component raised an exception; the next run takes the components before it from cache.
    """
    start = time.monotonic()
    terminal.quiet_terminal()
    print("Loading TensorFlow and TFX (half a minute on a cold machine)", flush=True)
    from pipeline import pins
    from pipeline.console import beam_flags
    from pipeline.settings.run import PipelineSettings

    (settings,) = configuration.load(gin_files, gin_bindings, [PipelineSettings])
    beam_flags.print_unknown(settings.beam_args)
    output_dir = os.path.join(output_dir, settings.name)
    if dry_run:
        _describe(settings, output_dir)
        return None
    with output_folder.alone(output_dir):
        settings = pins.pin(settings)
        pins.require_inputs(settings)
        facts = _run(settings, output_dir)
    memory = terminal.peak_memory_bytes() / 1e9
    log_file = os.path.join(output_dir, _LOG_FILE)
    print(f"Took {time.monotonic() - start:.0f} s and {memory:.1f} GB at most. Log: {log_file}")
    return facts


def _describe(settings: PipelineSettings, output_dir: str) -> None:
    """Prints the DAG and the resolved gin."""
    from pipeline import pipeline, platform
    from pipeline.console import summary

    dag = pipeline.create(settings, platform.ThisMachine(output_dir))
    print(summary.dag_text(dag), configuration.to_gin(settings), sep="\n\n")


def _run(settings: PipelineSettings, output_dir: str) -> dict[str, Any]:
    """Runs the pipeline, prints its outcome, and returns the report's summary."""
    from pipeline import pipeline, platform
    from pipeline.console import local_dag, summary

    machine = platform.ThisMachine(output_dir)
    dag = pipeline.create(settings, machine)
    log_file = os.path.join(output_dir, _LOG_FILE)
    seconds = local_dag.run(dag, log_file)
    try:
        report = summary.latest_report(machine.locations.metadata)
    except LookupError as error:
        raise terminal.ComponentFailed("RunReport", error, log_file) from error
    with open(os.path.join(report, "summary.json")) as file:
        facts: dict[str, Any] = json.load(file)
    print(summary.outcome_text(facts, report, seconds))
    return facts


console = command_line.script(main, "gin_file")

if __name__ == "__main__":
    console()
