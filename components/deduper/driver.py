"""Deduper's driver: looks at the evaluation sets."""

import hashlib
import json

from beam import dedupe
from components import data_stage, fingerprint_driver


class Driver(fingerprint_driver.Driver):
    """Adds path, size and time of every shard of the evaluation sets."""

    def fingerprint(self, properties: dict[str, str]) -> str:
        return evaluation_fingerprint(properties[data_stage.OPTIONS_KEY])


def evaluation_fingerprint(options: str) -> str:
    """Of the shards of the evaluation sets; `options` is JSON of the fields of `beam.dedupe.DeduperSettings`."""
    shards = dedupe.DeduperSettings(**json.loads(options)).evaluation_shards()
    return hashlib.sha256("\n".join(map(fingerprint_driver.file_state, shards)).encode()).hexdigest()
