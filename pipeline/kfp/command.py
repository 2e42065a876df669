"""The command line that Kubeflow's and Vertex AI's runner share: `compile` and `submit`."""

import json
import os
import sys
from collections.abc import Callable, Mapping
from typing import Any

from absl import app, flags

from pipeline.console import gin_flags, progress
from pipeline.console.output_flag import OUTPUT
from pipeline.kfp import errors
from pipeline.settings.platforms import in_bucket

_DATA = flags.DEFINE_string("data", None, "submit: path of the data, in place of the source's own.")
_STEPS = flags.DEFINE_integer("steps", None, "submit: steps of training, in place of Training.steps.", lower_bound=0)
_PUSH_TO = flags.DEFINE_string("push_to", None, "submit: folder of a bucket that models are pushed to.")
_CRON = flags.DEFINE_string("cron", None, "submit: when to run, again and again, such as '0 3 * * *'; else once, now.")

Compile = Callable[[list[str], list[str], str], tuple[Any, Any]]
"""Of gin files, bindings and the file to write; returns the settings of the pipeline and of the platform."""
Submit = Callable[[Any, str, Mapping[str, Any], str], str]
"""Of these settings, the file, parameters and a schedule or ""; returns where to look."""


def run(argv: list[str], compile_: Compile, submit: Submit, extension: str) -> None:
    """Does what the command says; exits with a line that says what is wrong.

    Args:
      argv: the module, and "compile" or "submit".
      compile_: writes the specification.
      submit: sends it.
      extension: of the file.
    """
    if argv[1:] not in (["compile"], ["submit"]):
        raise app.UsageError(f"the command is {' '.join(argv[1:]) or 'missing'}, but must be compile or submit")
    module = f"python -m pipeline.{os.path.basename(argv[0]).removesuffix('.py')}"
    try:
        output = OUTPUT.value or f"pipeline{extension}"
        if not output.endswith(extension):
            raise ValueError(f"--output={output}, but must end in {extension}; rename it")
        if "://" not in output:
            progress.require_writable(os.path.dirname(output) or ".", "output")
        parameters = _parameters(argv[1])
        progress.quiet_terminal()
        print("Loading TensorFlow and TFX (half a minute on a cold machine)", flush=True)
        settings, where = compile_(gin_flags.GIN_FILE.value, gin_flags.GIN_BINDINGS.value, output)
        size = os.path.getsize(output) / 1024
        if argv[1] == "compile":
            print(f"Compiled {output} ({size:.0f} KiB). Next: {module} submit, with the same flags")
            return
        _require_complete(settings, where)
        print(f"Submitted {output}: {submit(where, output, parameters, _CRON.value or '')}")
    except (ValueError, OSError) as error:
        sys.exit(f"error: {error}")
    except errors.of_clients() as error:
        sys.exit(f"error: {errors.told(error)}")


def _parameters(command: str) -> dict[str, Any]:
    """Values of the specification's parameters, of those flags that are given."""
    for flag in (_DATA, _STEPS, _PUSH_TO, _CRON):
        if flag.value is not None and command != "submit":
            raise ValueError(f"--{flag.name}={flag.value} is for submit, but the command is {command}; remove it")
    for flag in (_DATA, _PUSH_TO):
        if flag.value is not None and not in_bucket(flag.value):
            raise ValueError(
                f"--{flag.name}={flag.value}, but must lie in a bucket: pods do not see this machine; give gs://BUCKET/..."
            )
    if _CRON.value is not None and len(_CRON.value.split()) != 5:
        raise ValueError(
            f"--cron={_CRON.value!r}, but must be five fields, minute, hour, day, month and weekday; give '0 3 * * *'"
        )
    values: dict[str, Any] = {"data": _DATA.value, "steps": _STEPS.value}
    if _PUSH_TO.value is not None:
        values["push_destination"] = json.dumps({"filesystem": {"base_directory": _PUSH_TO.value}})
    return {name: value for name, value in values.items() if value is not None}


def _require_complete(settings: Any, where: Any) -> None:
    """Raises ValueError where what is submitted would fail for sure, hours later."""
    from pipeline.kfp import specification

    missing = [*where.placeholders(), *specification.placeholders(settings)]
    if missing:
        raise ValueError(f"{', '.join(missing)} still says YOUR-...; set it in its gin file or by --gin_bindings")
    specification.require_run(settings, _DATA.value or "", _STEPS.value)
