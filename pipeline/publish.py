"""Published versions: `python -m pipeline.publish list | rollback | override`.

list      --model_dir DIR: every version, the one that is served marked.
rollback  --model_dir DIR [--to VERSION]: publishes an older version anew, the one before the served one by default.
override  --pipeline_dir DIR --reason TEXT: publishes the newest model of a pipeline though its gate has blocked it.

Functions import what is slow to load, so that the command checks its flags first.
"""

import datetime
import sys

from absl import app, flags

from pipeline.console import progress
from pipeline.publishing import versions

_MODEL_DIR = flags.DEFINE_string("model_dir", None, "A folder of numbered versions, such as output/quickstart/serving.")
_TO = flags.DEFINE_integer("to", None, "The version to go back to.")
_PIPELINE_DIR = flags.DEFINE_string("pipeline_dir", None, "What a pipeline has written, such as output/quickstart.")
_REASON = flags.DEFINE_string("reason", "", "Why; it is kept with the version, and of an override in the metadata.")


def main(argv: list[str]) -> None:
    """Runs the command."""
    commands = {"list": _list, "rollback": _rollback, "override": _override}
    if len(argv) != 2 or argv[1] not in commands:
        raise app.UsageError(f"name what to do: {', '.join(commands)}")
    try:
        commands[argv[1]]()
    except (ValueError, OSError) as error:
        sys.exit(f"error: {error}")


def _list() -> None:
    known = versions.read(_required(_MODEL_DIR))
    print(f"{'version':>12}  {'published (UTC)':<17}{'size':>10}  labels, origin")
    for one in known:
        moment = datetime.datetime.fromtimestamp(one.published, datetime.timezone.utc)
        facts = [*one.label_sets, *(f"{name}: {value}" for name, value in one.origin.items() if name != "at")]
        mark = " <- served" if one is known[-1] else ""
        print(f"{one.number:>12}  {moment:%Y-%m-%d %H:%M} {one.bytes / 1e6:>9,.1f}M  {', '.join(facts)}{mark}")
    print(f"{len(known)} versions; go back: python -m pipeline.publish rollback --model_dir={_MODEL_DIR.value}")


def _rollback() -> None:
    model_dir = _required(_MODEL_DIR)
    served, target, path = versions.roll_back(model_dir, _TO.value, _REASON.value)
    print(
        f"Version {target.number} is served again, as {path}, instead of {served.number}, which stays; "
        f"look: python -m pipeline.publish list --model_dir={model_dir}"
    )


def _override() -> None:
    pipeline_dir = _required(_PIPELINE_DIR)
    if not _REASON.value.strip():
        raise ValueError("--reason is missing; say why the gate is overridden, it is kept in the metadata")
    progress.quiet_terminal()
    from pipeline.publishing import override

    path = override.publish_blocked(pipeline_dir, _REASON.value.strip())
    print(f"Published {path} by hand: {_REASON.value.strip()}. It is now what the next model is compared with.")


def _required(flag: flags.FlagHolder) -> str:
    if not flag.value:
        raise ValueError(f"--{flag.name} is missing")
    return str(flag.value)


def console() -> None:
    """Entry of the console script."""
    app.run(main)


if __name__ == "__main__":
    console()
