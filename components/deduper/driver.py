"""Deduper's driver: adds the state of the evaluation sets' files to the cache key."""

import hashlib

from beam import dedupe, reader
from components import fingerprint_driver
from models.settings import configuration


class Driver(fingerprint_driver.Driver):
    """Adds path, size and time of every shard of the evaluation sets."""

    def fingerprint(self, properties: dict[str, str]) -> str:
        return evaluation_fingerprint(properties["settings"])


def evaluation_fingerprint(settings: str) -> str:
    """Hashes the state of the evaluation sets' shards; `settings` is gin text of `DeduperSettings`."""
    shards = configuration.parse(settings, dedupe.DeduperSettings).evaluation_shards()
    return hashlib.sha256("\n".join(map(reader.shard_state, shards)).encode()).hexdigest()
