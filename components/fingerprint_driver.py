"""A driver that adds a fingerprint of input outside TFX to the cache key, so that changed input is read again."""

import abc

from tfx.dsl.components.base import base_driver as component_driver
from tfx.orchestration import data_types_utils, metadata
from tfx.orchestration.portable import base_driver, data_types
from tfx.proto.orchestration import driver_output_pb2

FINGERPRINT_KEY = "input_fingerprint"


class Driver(component_driver.BaseDriver, base_driver.BaseDriver, abc.ABC):
    """Runs before TFX looks the cache up. TFX requires both base classes, as in its own ExampleGen."""

    def __init__(self, metadata_handle: metadata.Metadata) -> None:
        component_driver.BaseDriver.__init__(self, metadata_handle)
        base_driver.BaseDriver.__init__(self, metadata_handle)

    @abc.abstractmethod
    def fingerprint(self, properties: dict[str, str]) -> str:
        """Takes the fingerprint of the input that `properties` name; raises ValueError if the input is missing."""

    def run(self, execution_info: data_types.ExecutionInfo) -> driver_output_pb2.DriverOutput:
        """Adds the execution property "input_fingerprint"."""
        properties = dict(execution_info.exec_properties)
        properties[FINGERPRINT_KEY] = self.fingerprint(properties)
        output = driver_output_pb2.DriverOutput()
        for key, value in properties.items():
            data_types_utils.set_metadata_value(output.exec_properties[key], value)
        return output
