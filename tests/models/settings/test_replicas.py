"""A batch that the named devices cannot share evenly is refused with the settings, before anything runs."""

import pytest

from models.settings import RuntimeSettings, TrainingSettings


@pytest.mark.parametrize(("batch_size", "micro_batches", "multiple"), [(256, 1, 3), (96, 8, 24), (6, 2, 6), (9, 1, 3)])
def test_batch_is_a_multiple_of_the_devices(batch_size, micro_batches, multiple):
    runtime = RuntimeSettings(strategy="mirrored", devices=("GPU:0", "GPU:1", "GPU:2"))

    def made() -> TrainingSettings:
        return TrainingSettings(runtime=runtime, batch_size=batch_size, micro_batches=micro_batches)

    if batch_size % multiple:
        with pytest.raises(
            ValueError, match=rf"Training.batch_size is {batch_size}, but must be a multiple of {multiple}: 3"
        ):
            made()
    else:
        assert made().batch_size == batch_size
