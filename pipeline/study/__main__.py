"""Runs a study: `python -m pipeline.study --gin_file=gin/study/quick.gin`."""

import shlex
import sys

from absl import flags

from pipeline.console import command_line, gin_flags, terminal
from pipeline.study import study

_JOBS = flags.DEFINE_integer("jobs", 1, "Runs at once.", lower_bound=1)
_ONLY = flags.DEFINE_string("only", "", "Run only the cells whose names match this regular expression.")
_DRY_RUN = flags.DEFINE_boolean("dry_run", False, "Print every cell with its resolved gin, and the runs; run nothing.")


@command_line.errors_as_lines(terminal.ComponentFailed)
def main(argv: list[str]) -> None:
    """Runs the study, prints its outcome, and exits with 1 if a run has failed."""
    command_line.refuse_arguments(argv)
    options = study.Options(
        output_dir=gin_flags.output_dir(),
        jobs=_JOBS.value,
        only=_ONLY.value,
        dry_run=_DRY_RUN.value,
        command=shlex.join(["python", "-m", "pipeline.study", *sys.argv[1:]]),
    )
    if not study.run(gin_flags.GIN_FILE.value, gin_flags.GIN_BINDINGS.value, options):
        sys.exit(1)


console = command_line.script(main, "gin_file")

if __name__ == "__main__":
    console()
