"""Draws the DAG as SVG: `python -m pipeline.draw --gin_file=gin/quickstart.gin --output=docs/pipeline.svg`."""

import sys
from collections.abc import Sequence

from absl import app, flags

from models import files
from models.settings import configuration
from pipeline.console import gin_flags, output_flag


def draw(gin_files: Sequence[str], gin_bindings: Sequence[str]) -> str:
    """The SVG of the DAG that the gin describes; nothing runs, and no data is read.

    Raises:
      ConfigurationError: the gin cannot be used.
    """
    from pipeline import pipeline, platform  # these load TensorFlow and TFX
    from pipeline.drawing import graph, svg
    from pipeline.settings.run import PipelineSettings

    (settings,) = configuration.load(list(gin_files), list(gin_bindings), [PipelineSettings])
    dag = pipeline.create(settings, platform.ThisMachine("output"))
    return svg.draw(graph.read(dag), f"The DAG of the pipeline {settings.name}")


def main(argv: list[str]) -> None:
    """Writes the file that --output names."""
    if len(argv) > 1:
        raise app.UsageError(f"unknown argument {argv[1]!r}; flags start with --")
    try:
        drawn = draw(gin_flags.GIN_FILE.value, gin_flags.GIN_BINDINGS.value)
        files.write_text(output_flag.OUTPUT.value, drawn)
    except (ValueError, OSError) as error:
        sys.exit(f"error: {error}")
    print(f"Drawn: {output_flag.OUTPUT.value}")


def console() -> None:
    """Runs the command."""
    flags.mark_flags_as_required(["gin_file", "output"])
    app.run(main)


if __name__ == "__main__":
    console()
