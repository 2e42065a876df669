"""The command that the runners for Kubeflow and Vertex AI share, with the actions `compile` and `submit`."""

import json
import os
import sys
from collections.abc import Callable, Mapping
from typing import Any

from absl import flags

from pipeline.console import command_line, gin_flags, terminal
from pipeline.console.output_flag import OUTPUT
from pipeline.kfp import errors
from pipeline.settings.platforms import in_bucket

_DATA = flags.DEFINE_string("data", None, "submit: path of the data, in place of the path of the source.")
_STEPS = flags.DEFINE_integer("steps", None, "submit: training steps, in place of Training.steps.", lower_bound=0)
_PUSH_TO = flags.DEFINE_string("push_to", None, "submit: folder of a bucket to push models to.")
_CRON = flags.DEFINE_string("cron", None, "submit: a schedule such as '0 3 * * *'; without it one run starts.")

Compile = Callable[[list[str], list[str], str], tuple[Any, Any]]
"""Takes gin files, bindings and the file to write; returns the settings of the pipeline and of the platform."""
Submit = Callable[[Any, str, Mapping[str, Any], str], str]
"""Takes the settings of the platform, the file, parameters and a schedule or ""; returns the address to look at."""


def run(argv: list[str], compile_: Compile, submit: Submit, extension: str) -> None:
    """Compiles the pipeline, and submits it if the action says so; an error ends the process with one line.

    Args:
      argv: the path of the runner's module, and the action, "compile" or "submit".
      compile_: writes the specification.
      submit: sends the specification to the platform.
      extension: the extension of the file.
    """
    action = command_line.action(argv, ("compile", "submit"))
    module = f"python -m pipeline.{os.path.basename(argv[0]).removesuffix('.py')}"
    try:
        output = OUTPUT.value or f"pipeline{extension}"
        if not output.endswith(extension):
            raise ValueError(f"--output={output}, but must end in {extension}; rename it")
        command_line.require_local(output, "output")
        command_line.require_writable(os.path.dirname(output) or ".", "output")
        parameters = _parameters(action)
        terminal.quiet_terminal()
        print("Loading TensorFlow and TFX (half a minute on a cold machine)", flush=True)
        settings, where = compile_(gin_flags.GIN_FILE.value, gin_flags.GIN_BINDINGS.value, output)
        size = os.path.getsize(output) / 1024
        if action == "compile":
            print(f"Compiled {output} ({size:.0f} KiB). Next: {module} submit, with the same flags")
            return
        _require_complete(settings, where)
        print(f"Submitted {output}: {submit(where, output, parameters, _CRON.value or '')}")
    except (ValueError, OSError) as error:
        sys.exit(f"error: {error}")
    except errors.of_clients() as error:
        sys.exit(f"error: {errors.as_line(error)}")


def _parameters(action: str) -> dict[str, Any]:
    """Returns the parameters of the specification that the flags set."""
    for flag in (_DATA, _STEPS, _PUSH_TO, _CRON):
        if flag.value is not None and action != "submit":
            raise ValueError(f"--{flag.name}={flag.value} is for submit, but the action is {action}; remove it")
    for flag in (_DATA, _PUSH_TO):
        if flag.value is not None and not in_bucket(flag.value):
            raise ValueError(
                f"--{flag.name}={flag.value}, but must lie in a bucket: pods do not see this machine; give gs://BUCKET/..."
            )
    if _CRON.value is not None and len(_CRON.value.split()) != 5:
        raise ValueError(
            f"--cron={_CRON.value!r}, but must be five fields (minute, hour, day, month, weekday); give '0 3 * * *'"
        )
    values: dict[str, Any] = {"data": _DATA.value, "steps": _STEPS.value}
    if _PUSH_TO.value is not None:
        values["push_destination"] = json.dumps({"filesystem": {"base_directory": _PUSH_TO.value}})
    return {name: value for name, value in values.items() if value is not None}


def _require_complete(settings: Any, where: Any) -> None:
    """Raises ValueError for settings with which the run would fail, possibly hours after it was submitted."""
    from pipeline.kfp import specification

    missing = [*where.placeholders(), *specification.placeholders(settings)]
    if missing:
        raise ValueError(f"{', '.join(missing)} still says YOUR-...; set it in its gin file or by --gin_bindings")
    specification.require_run(settings, _DATA.value or "", _STEPS.value)
