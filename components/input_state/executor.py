"""InputState's work."""

import dataclasses

from tfx.types import Artifact

from beam import build, sources
from components import declaration
from components.deduper.driver import evaluation_fingerprint
from components.evaluation_suite.driver import suite_fingerprint
from models.settings import configuration


class Executor(declaration.Executor):
    """Looks at the input's files, and writes four texts."""

    def run(
        self,
        image_text_gen: str,
        data: str,
        deduper: str,
        suite: str,
        current_image_text_gen: Artifact,
        source_state: Artifact,
        evaluation_state: Artifact,
        suite_state: Artifact,
    ) -> None:
        """Finds the newest span and takes fingerprints; raises ValueError if there are no files."""
        settings = configuration.parse(image_text_gen, build.ImageTextGenSettings)
        newest = sources.newest(sources.with_path(settings.source, data) if data else settings.source)
        current_image_text_gen.value = configuration.to_gin(dataclasses.replace(settings, source=newest))
        source_state.value = newest.fingerprint()
        evaluation_state.value = evaluation_fingerprint(deduper) if deduper else ""
        suite_state.value = suite_fingerprint(suite)
