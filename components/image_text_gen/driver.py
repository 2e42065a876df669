"""ImageTextGen's driver: adds the state of the source's files to the cache key."""

from beam import sources
from components import fingerprint_driver


class Driver(fingerprint_driver.Driver):
    """Adds the fingerprint of the source."""

    def fingerprint(self, properties: dict[str, str]) -> str:
        return sources.from_json(properties["source"]).fingerprint()
