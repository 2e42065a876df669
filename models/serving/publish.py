"""Publishes a SavedModel as a numbered version, which servers load: the highest number is served."""

import os
import shutil
import time
from collections.abc import Mapping

from absl import logging

from models import files, locks

LOCK_FILE = ".publishing"
"""The lock of a folder of versions: one process publishes at a time. Servers ignore names that are no numbers."""
_VERSION = "version"


class NotPublished(OSError):
    """The model could not be published, and no version was changed; the message says why and what to do."""


def publish(model: str, folder: str, texts: Mapping[str, str] | None = None) -> str:
    """Copies a SavedModel to a new version, whose number is above all that the folder has.

    On this machine, the version appears by one rename of a complete folder. Processes that publish at the same time
    wait for each other. At an address such as gs://..., which cannot rename a folder, saved_model.pb is copied last,
    and only one process at a time may publish.

    Args:
      model: folder of the SavedModel.
      folder: of the versions; it is made if it is missing.
      texts: {path: text} of files to write into the version.

    Returns:
      The folder of the new version.

    Raises:
      NotPublished: a file cannot be read or written, or no higher number exists.
    """
    try:
        if not (files.is_local(model) and files.is_local(folder)):
            return _publish_remote(model, folder, texts or {})
        files.make_folder(folder)
        with locks.hold(os.path.join(folder, LOCK_FILE), lambda holder: _wait(folder, holder)):
            return _publish_local(model, folder, texts or {})
    except NotPublished:
        raise
    except OSError as error:
        raise NotPublished(
            f"{model} was not published to {folder} ({_reason(error)}); the versions there are unchanged. "
            "Free some room, or name a folder that you may write, and publish again"
        ) from error


def _publish_local(model: str, folder: str, texts: Mapping[str, str]) -> str:
    files.remove_unfinished(folder)  # the lock is held, so whoever has left them is dead
    with files.unfinished(os.path.join(folder, _VERSION), folder=True) as unfinished:
        shutil.copytree(model, unfinished)
        for above, _, _ in os.walk(unfinished):
            os.chmod(above, os.stat(above).st_mode | 0o700)  # the model's own folders may be read-only
        for path, text in texts.items():
            files.write_text(os.path.join(unfinished, path), text)
        os.utime(unfinished)  # the time of publishing, and not of the export
        files.sync(unfinished)
        number = 0
        while True:
            number = max(next_number(folder), number + 1)
            path = os.path.join(folder, str(number))
            try:
                files.appear(unfinished, path)
            except OSError:
                # A machine that does not share the lock has taken the number.
                if not os.path.lexists(path):
                    raise
            else:
                return path


def _publish_remote(model: str, folder: str, texts: Mapping[str, str]) -> str:
    import tensorflow as tf

    path = os.path.join(folder, str(next_number(folder)))
    last = os.path.join(model, files.SAVED_MODEL_FILE)
    copied = [os.path.join(above, name) for above, _, names in tf.io.gfile.walk(model) for name in names]
    for source in [*(source for source in copied if source != last), None, last]:
        if source is None:
            for name, text in texts.items():
                files.write_text(os.path.join(path, name), text)
            continue
        target = os.path.join(path, os.path.relpath(source, model))
        tf.io.gfile.makedirs(os.path.dirname(target))
        tf.io.gfile.copy(source, target, overwrite=True)
    return path


def next_number(folder: str) -> int:
    """The number of the next version: the time (seconds since 1970), or above all numbers in the folder.

    All names count that are numbers: files, links and incomplete versions as well. So the order of versions does not
    depend on the clock.

    Raises:
      NotPublished: the folder has the highest number that servers read.
    """
    taken = [number for name in files.names(folder) if (number := files.version_number(name)) is not None]
    number = max([1, int(time.time()), *(one + 1 for one in taken)])
    if number > files.LAST_VERSION:
        raise NotPublished(
            f"{folder} has a version {files.LAST_VERSION}, and no higher number exists; remove or rename that folder"
        )
    return number


def _wait(folder: str, holder: str) -> None:
    logging.warning("%s publishes to %s; this process waits until it has ended", holder, folder)


def _reason(error: OSError) -> str:
    if isinstance(error, shutil.Error) and error.args and error.args[0]:  # copytree goes on after an error
        return str(error.args[0][0][-1])
    where = f": {error.filename}" if error.filename else ""
    return f"{error.strerror}{where}" if error.strerror else str(error)
