"""EvaluationSuite's driver: looks at what is behind the sets."""

import hashlib
import json

from beam import reader, sources
from components import fingerprint_driver

SETS_KEY = "sets"


class Driver(fingerprint_driver.Driver):
    """Adds the fingerprint of each source, and path, size and time of each shard of each folder."""

    def fingerprint(self, properties: dict[str, str]) -> str:
        return sets_fingerprint(properties[SETS_KEY])


def sets_fingerprint(sets: str) -> str:
    """Of what is behind the sets, as `EvaluationSuite` takes them; ValueError where it is missing."""
    facts = []
    for name, one in sorted(json.loads(sets).items()):
        if one["source"]:
            facts.append(f"{name} {sources.from_json(one['source']).fingerprint()}")
        if one["examples"]:
            facts += [f"{name} {fingerprint_driver.file_state(path)}" for path in reader.shards(one["examples"])]
    return hashlib.sha256("\n".join(facts).encode()).hexdigest()
