"""Deduper's driver: adds the state of the evaluation sets' files to the cache key."""

import hashlib
import json

from beam import dedupe
from components import fingerprint_driver


class Driver(fingerprint_driver.Driver):
    """Adds path, size and time of every shard of the evaluation sets."""

    def fingerprint(self, properties: dict[str, str]) -> str:
        return evaluation_fingerprint(properties["options"])


def evaluation_fingerprint(options: str) -> str:
    """Hashes the state of the evaluation sets' shards; `options` is JSON of the fields of `DedupeOptions`."""
    shards = dedupe.DedupeOptions(**json.loads(options)).evaluation_shards()
    return hashlib.sha256("\n".join(map(fingerprint_driver.file_state, shards)).encode()).hexdigest()
