"""How VocabularyTrainer gets its vocabulary."""

from models.settings.checks import require, require_positive, settings_class


@settings_class("Vocabulary")
class VocabularySettings:
    """The SentencePiece vocabulary: made from the captions, or brought along.

    Attributes:
      path: a SentencePiece model to use as it is, as a pretrained text tower needs its own; empty makes one.
      sha256: of that file; the runner fills it in, so that a file that has changed is another run.
      size: pieces, the 256 bytes of the fallback included.
      max_sentences: captions drawn to train it.
      seed: of the draw.
    """

    path: str = ""
    sha256: str = ""
    size: int = 32_000
    max_sentences: int = 1_000_000
    seed: int = 0

    def __post_init__(self) -> None:
        require_positive(self, "size", "max_sentences")
        require(
            self.size > 300, "Vocabulary.size", self.size, "above 300", "256 bytes and the control pieces count too"
        )
