"""Settings of VocabularyTrainer."""

from models.settings.checks import require, require_positive, settings_class


@settings_class("Vocabulary")
class VocabularySettings:
    """The SentencePiece vocabulary, either trained on the captions or read from a file.

    Attributes:
      path: SentencePiece model file to use. "" trains a vocabulary. A pretrained text tower needs the file that it was
        trained with.
      sha256: hash of that file (hex). Leave it "": the runner fills it in, so a changed file starts another run.
      size: number of pieces, including 256 for single bytes; above 300. Lower it if there are few captions.
      max_sentences: largest number of captions to train it on, drawn at random. Raise it for many languages; it takes
        more time and memory.
      seed: seed of that draw.
    """

    path: str = ""
    sha256: str = ""
    size: int = 32_000
    max_sentences: int = 1_000_000
    seed: int = 0

    def __post_init__(self) -> None:
        require_positive(self, "size", "max_sentences")
        require(
            self.size > 300,
            "Vocabulary.size",
            self.size,
            "above 300",
            "raise it: 256 single bytes and the control pieces count too",
        )
