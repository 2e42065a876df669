"""ImageTextGen's work: runs the data plane and refuses a result that nothing can be trained on."""

from tfx.types import Artifact

from beam import build, sources, store
from components.declaration import BeamExecutor, describe_examples
from models.settings import configuration


class Executor(BeamExecutor):
    """Runs `beam.build.Build`."""

    def run(self, settings: str, examples: Artifact, report: Artifact) -> None:
        """Writes the Examples and the report.

        Raises:
          store.NoRows: a split is empty; the message says what was read and dropped.
        """
        parsed = configuration.parse(settings, build.ImageTextGenSettings)
        describe_examples(examples, sorted(parsed.layout.splits))
        with self._make_beam_pipeline() as pipeline:
            pipeline | "Build" >> build.Build(parsed, examples.uri, report.uri)
        store.require_rows(report.uri, sources.described(parsed.source))
