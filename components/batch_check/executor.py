"""BatchCheck's work."""

from tfx.types import Artifact

from beam import store
from components import declaration


class Executor(declaration.Executor):
    """Reads the manifest."""

    def run(self, report: Artifact, batch_size: int, variants: int) -> None:
        """Raises store.NoRows if the train split does not fill a batch, even with all variants of its rows."""
        store.require_batch(report.uri, batch_size, variants)
