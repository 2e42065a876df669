"""EvaluationSuite's driver: adds the state of the sets' input to the cache key."""

import hashlib
import json

from beam import reader, sources
from components import fingerprint_driver


class Driver(fingerprint_driver.Driver):
    """Adds the fingerprint of each source, and path, size and time of each shard of each folder."""

    def fingerprint(self, properties: dict[str, str]) -> str:
        return sets_fingerprint(properties["sets"])


def sets_fingerprint(sets: str) -> str:
    """Hashes the state of the sets' input; `sets` is what EvaluationSuite takes.

    Raises:
      ValueError: the input of a set is missing.
    """
    facts = []
    for name, one in sorted(json.loads(sets).items()):
        if one["source"]:
            facts.append(f"{name} {sources.from_json(one['source']).fingerprint()}")
        if one["examples"]:
            facts += [f"{name} {fingerprint_driver.file_state(path)}" for path in reader.shards(one["examples"])]
    return hashlib.sha256("\n".join(facts).encode()).hexdigest()
