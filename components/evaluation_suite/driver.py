"""EvaluationSuite's driver: adds the state of the sets' input to the cache key."""

import hashlib

from beam import reader
from beam.evaluation_sets import EvaluationSuiteSettings
from components import fingerprint_driver
from models.settings import configuration


class Driver(fingerprint_driver.Driver):
    """Adds the fingerprint of each source, and path, size and time of each shard of each folder."""

    def fingerprint(self, properties: dict[str, str]) -> str:
        return suite_fingerprint(properties["settings"])


def suite_fingerprint(settings: str) -> str:
    """Hashes the state of the sets' input; `settings` is gin text of EvaluationSuiteSettings.

    Raises:
      ValueError: the input of a set is missing.
    """
    facts = []
    for one in configuration.parse(settings, EvaluationSuiteSettings).sets:
        if one.source:
            facts.append(f"{one.name} {one.source.fingerprint()}")
        if isinstance(one.classes, str) and one.classes:
            facts.append(f"{one.name} {one.class_list()}")
        if one.examples:
            facts += [f"{one.name} {reader.shard_state(path)}" for path in reader.shards(one.examples)]
    return hashlib.sha256("\n".join(sorted(facts)).encode()).hexdigest()
