"""Several devices on a machine that has one."""

import tensorflow as tf


def make_devices(count: int) -> None:
    """Splits the CPU into `count` logical devices; call it before TensorFlow initialises its devices."""
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * count)
