"""InputState's work."""

from tfx.types import Artifact

from beam import sources
from components import declaration
from components.deduper.driver import evaluation_fingerprint
from components.evaluation_suite.driver import sets_fingerprint


class Executor(declaration.Executor):
    """Looks at the input's files, and writes four texts."""

    def run(
        self,
        source: str,
        data: str,
        deduper: str,
        sets: str,
        current_source: Artifact,
        source_state: Artifact,
        evaluation_state: Artifact,
        suite_state: Artifact,
    ) -> None:
        """Finds the newest span and takes fingerprints; raises ValueError if there are no files."""
        own = sources.from_json(source)
        newest = sources.newest(sources.with_path(own, data) if data else own)
        current_source.value = sources.to_json(newest)
        source_state.value = newest.fingerprint()
        evaluation_state.value = evaluation_fingerprint(deduper) if deduper else ""
        suite_state.value = sets_fingerprint(sets)
