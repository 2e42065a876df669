"""Manages published versions: `python -m pipeline.publish list | rollback | override`.

list      --model_dir DIR: lists all versions and marks the served one.
rollback  --model_dir DIR [--to VERSION]: publishes an older version again, by default the one before the served one.
override  --pipeline_dir DIR --reason TEXT: publishes the newest model of a pipeline although its gate blocked it.
"""

import datetime

from absl import flags

from pipeline.console import command_line, terminal
from pipeline.publishing import versions

_MODEL_DIR = flags.DEFINE_string("model_dir", None, "A folder of versions, such as output/quickstart/serving.")
_TO = flags.DEFINE_integer("to", None, "rollback: the version to go back to; default: the one before.")
_PIPELINE_DIR = flags.DEFINE_string("pipeline_dir", None, "A pipeline's output folder: output/quickstart.")
_REASON = flags.DEFINE_string(
    "reason", "", "The reason, kept with the version; override also writes it into the metadata."
)


@command_line.errors_as_lines(OSError)
def main(argv: list[str]) -> None:
    """Does what the command line names: list, rollback or override."""
    actions = {"list": _list, "rollback": _rollback, "override": _override}
    actions[command_line.action(argv, [*actions])]()


def _list() -> None:
    known = versions.read(_required(_MODEL_DIR))
    print(f"{'version':>12}  {'published (UTC)':<17}{'size':>10}  labels, origin")
    for one in known:
        moment = datetime.datetime.fromtimestamp(one.published, datetime.timezone.utc)
        facts = [*one.label_sets, *(f"{name}: {value}" for name, value in one.origin.items() if name != "at")]
        mark = " <- served" if one is known[-1] else ""
        print(f"{one.number:>12}  {moment:%Y-%m-%d %H:%M} {one.bytes / 1e6:>9,.1f}M  {', '.join(facts)}{mark}")
    print(f"{len(known)} versions; to go back: python -m pipeline.publish rollback --model_dir={_MODEL_DIR.value}")


def _rollback() -> None:
    model_dir = _required(_MODEL_DIR)
    served, target, path = versions.roll_back(model_dir, _TO.value, _REASON.value)
    print(
        f"Version {target.number} is served again, as {path}, instead of {served.number}, which is kept; "
        f"to see all: python -m pipeline.publish list --model_dir={model_dir}"
    )


def _override() -> None:
    pipeline_dir = _required(_PIPELINE_DIR)
    if not _REASON.value.strip():
        raise ValueError("--reason is missing; say why you override the gate; the metadata keep it")
    terminal.quiet_terminal()
    from pipeline.publishing import override

    path = override.publish_blocked(pipeline_dir, _REASON.value.strip())
    print(f"Published {path} by hand: {_REASON.value.strip()}. The next model is compared with it.")


def _required(flag: flags.FlagHolder) -> str:
    if not flag.value:
        raise ValueError(f"--{flag.name} is missing")
    return str(flag.value)


console = command_line.script(main)

if __name__ == "__main__":
    console()
