"""ImageTextGen's driver: adds the state of the source's files to the cache key."""

from beam import build
from components import fingerprint_driver
from models.settings import configuration


class Driver(fingerprint_driver.Driver):
    """Adds the fingerprint of the source."""

    def fingerprint(self, properties: dict[str, str]) -> str:
        return configuration.parse(properties["settings"], build.ImageTextGenSettings).source.fingerprint()
