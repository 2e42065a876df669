"""ImageTextGen's driver: adds a fingerprint of the input, so that changed input is never served from cache."""

from tfx.dsl.components.base import base_driver as component_driver
from tfx.orchestration import data_types_utils, metadata
from tfx.orchestration.portable import base_driver, data_types
from tfx.proto.orchestration import driver_output_pb2

from beam import sources

SOURCE_KEY = "source"
FINGERPRINT_KEY = "input_fingerprint"


class Driver(component_driver.BaseDriver, base_driver.BaseDriver):
    """Runs before the cache is looked up; TFX wants both of its base classes, as in its own ExampleGen."""

    def __init__(self, metadata_handle: metadata.Metadata) -> None:
        component_driver.BaseDriver.__init__(self, metadata_handle)
        base_driver.BaseDriver.__init__(self, metadata_handle)

    def run(self, execution_info: data_types.ExecutionInfo) -> driver_output_pb2.DriverOutput:
        """Adds the execution property "input_fingerprint"; raises ValueError where the input is missing."""
        properties = dict(execution_info.exec_properties)
        properties[FINGERPRINT_KEY] = sources.from_json(properties[SOURCE_KEY]).fingerprint()
        output = driver_output_pb2.DriverOutput()
        for key, value in properties.items():
            data_types_utils.set_metadata_value(output.exec_properties[key], value)
        return output
