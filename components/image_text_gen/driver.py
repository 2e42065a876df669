"""ImageTextGen's driver: looks at what is behind the source."""

from beam import sources
from components import fingerprint_driver

SOURCE_KEY = "source"


class Driver(fingerprint_driver.Driver):
    """Adds the fingerprint of the source."""

    def fingerprint(self, properties: dict[str, str]) -> str:
        return sources.from_json(properties[SOURCE_KEY]).fingerprint()
