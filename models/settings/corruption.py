"""Settings of the noise that training adds to its rows, to study how robust an objective is."""

from models.settings.checks import require_fraction, settings_class


@settings_class("Corruption")
class CorruptionSettings:
    """Shares of the training rows that are made wrong, as in SigLIP's study of noise. Held-out rows stay clean.

    Training draws anew at each visit of a row. Use it to compare objectives, never to train a model that you need.

    Attributes:
      image: probability that a row's pixels become uniform noise. 0 leaves all pictures alone.
      text: probability that a row's caption becomes a random number of random pieces. 0 leaves all captions alone.
      alignment: share of a batch's rows that pass their captions on, each to another of them. 0 passes none on.
    """

    image: float = 0.0
    text: float = 0.0
    alignment: float = 0.0

    def __post_init__(self) -> None:
        require_fraction(self, "image", "text", "alignment")
