"""Checks flags of Beam, which ignores flags that it does not know."""

from collections.abc import Sequence

import apache_beam
from apache_beam.options import pipeline_options


def unknown(flags: Sequence[str]) -> list[str]:
    """Returns the flags that no PipelineOptions class of Beam defines; a runner of another package may define more."""
    known: set[str] = set()
    for options in pipeline_options.PipelineOptions.__subclasses__():
        if "_add_argparse_args" in vars(options):
            parser = pipeline_options._BeamArgumentParser(allow_abbrev=False)
            options._add_argparse_args(parser)
            known.update(option for action in parser._actions for option in action.option_strings)
    return [flag for flag in flags if flag.startswith("-") and flag.split("=")[0] not in known]


def print_unknown(flags: Sequence[str]) -> None:
    """Prints a note for each unknown flag."""
    for flag in unknown(flags):
        print(
            f"note: Pipeline.beam_args has {flag!r}, which Beam {apache_beam.__version__} does not know and ignores",
            flush=True,
        )
