"""Published versions of a model: numbered folders; servers load the highest number."""

import dataclasses
import datetime
import json
import os

from models import files
from models.serving import publish as publisher

ORIGIN_FILE = "published.json"
_OF_CHECKPOINTS = ("config.json", "open_clip_config.json", "model.safetensors")


@dataclasses.dataclass(frozen=True)
class Version:
    """A published model.

    Attributes:
      number: the name of its folder; servers load the highest.
      path: its folder.
      published: the time of publishing (seconds since 1970).
      bytes: the size of all its files.
      label_sets: the label sets that it classifies by, NAME of each signature classify_NAME.
      origin: the record that `publish` wrote, such as {"version": 7, "reason": ...}; empty if the Pusher pushed it.
    """

    number: int
    path: str
    published: float
    bytes: int
    label_sets: tuple[str, ...]
    origin: dict[str, object]


def read(model_dir: str) -> list[Version]:
    """Returns all complete versions, oldest first.

    Raises:
      ValueError: there is no complete version.
    """
    complete = files.complete_versions(model_dir, [files.SAVED_MODEL_FILE])
    if not complete:
        if _is_model(model_dir):
            raise ValueError(f"--model_dir={model_dir} is one version; name the folder above it")
        raise _none_in(model_dir)
    return [_version(path) for path in complete]


def newest(model_dir: str) -> str:
    """Returns the folder of a SavedModel: `model_dir` itself, or its highest complete version.

    Raises:
      ValueError: there is no SavedModel.
    """
    if not files.is_local(model_dir):
        raise ValueError(
            f"--model_dir={model_dir} is not a folder of this machine; copy it: gcloud storage cp -r {model_dir} FOLDER"
        )
    path = model_dir if _is_model(model_dir) else files.newest_version(model_dir, [files.SAVED_MODEL_FILE])
    if not _is_model(path):
        raise _none_in(model_dir)
    return path


def _is_model(path: str) -> bool:
    return os.path.isfile(os.path.join(path, files.SAVED_MODEL_FILE))


def _none_in(model_dir: str) -> ValueError:
    checkpoint = model_dir.endswith((".npz", ".safetensors")) or any(
        os.path.isfile(os.path.join(model_dir, name)) for name in _OF_CHECKPOINTS
    )
    fix = "run `make quickstart` and take the path it prints"
    if checkpoint:
        fix = f"make one: `python -m models.pretrained convert --from={model_dir} --to=FOLDER --format=saved_model`"
    return ValueError(f"--model_dir={model_dir} holds no SavedModel; {fix}")


def publish(model: str, model_dir: str, origin: dict[str, object]) -> str:
    """Copies a SavedModel to a new version with the highest number; the version appears whole or not at all.

    Args:
      model: folder of the SavedModel.
      model_dir: the folder of versions.
      origin: the record to write beside the model, such as the reason.

    Returns:
      The folder of the new version.

    Raises:
      NotPublished: a file cannot be read or written.
    """
    note = {**origin, "at": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")}
    return publisher.publish(model, model_dir, {os.path.join("assets.extra", ORIGIN_FILE): json.dumps(note, indent=1)})


def roll_back(model_dir: str, to: int | None, reason: str) -> tuple[Version, Version, str]:
    """Publishes an older version again.

    Args:
      model_dir: the folder of versions.
      to: the number of the version; None for the one before the served one.
      reason: is recorded with the new version.

    Returns:
      The version that was served, the version that is published again, and the folder of the new version.

    Raises:
      ValueError: there is no such version, or no version before the served one.
    """
    known = read(model_dir)
    served = known[-1]
    if to is None:
        # A second rollback goes further back, and never to a version that a rollback has left.
        current = int(str(served.origin.get("version", served.number)))
        older = [one for one in known if one.number < current and "version" not in one.origin]
        if not older:
            which = f"{served.number}" if current == served.number else f"{served.number} is {current} again, which"
            raise ValueError(
                f"version {which} has none before it in {model_dir}; nothing was changed. `python -m pipeline.publish "
                "list` shows all versions; choose one by --to=VERSION"
            )
        target = older[-1]
    else:
        target = {one.number: one for one in known}.get(to, served)
        if target is served:
            numbers = ", ".join(str(one.number) for one in known[:-1]) or "none"
            raise ValueError(f"--to={to} is not a version before the served one; use one of {numbers}")
    number = int(str(target.origin.get("version", target.number)))
    origin = {"version": number, "instead_of": served.number, "reason": reason}
    return served, target, publish(target.path, model_dir, origin)


def _version(path: str) -> Version:
    paths = [os.path.join(folder, name) for folder, _, names in os.walk(path) for name in names]
    extra = os.path.join(path, "assets.extra")
    labels = os.path.join(extra, "labels")
    label_sets = sorted(name.removesuffix(".json") for name in os.listdir(labels)) if os.path.isdir(labels) else []
    origin = _origin(os.path.join(extra, ORIGIN_FILE))
    size = sum(os.path.getsize(file) for file in paths if os.path.isfile(file))
    at = origin.get("at")
    published = datetime.datetime.fromisoformat(str(at)).timestamp() if at else os.path.getmtime(path)
    return Version(int(os.path.basename(path)), path, published, size, tuple(label_sets), origin)


def _origin(path: str) -> dict[str, object]:
    """Reads the record that `publish` wrote; a damaged one says so."""
    if not os.path.isfile(path):
        return {}
    try:
        with open(path, encoding="utf-8") as file:
            origin: dict[str, object] = json.load(file)
        int(str(origin.get("version", 0)))
        datetime.datetime.fromisoformat(str(origin.get("at", "2000-01-01")))
    except (OSError, ValueError, AttributeError):
        return {"damaged": path}
    return origin
