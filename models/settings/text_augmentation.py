"""Settings of the random changes that training makes to captions."""

import dataclasses

from models.settings.checks import require, require_fraction, settings_class

REWRITES = ("synonym", "swap", "delete")


@settings_class("TextAugmentation")
class TextAugmentationSettings:
    """Random changes of a caption, drawn again at each visit of a row, before the caption becomes tokens.

    gin/augmentation/ has those of CLIP-rocket (arXiv 2305.08675). Leave swap and delete out if the order or each word
    of a caption matters, as in "the dog left of the cat".

    Attributes:
      stop_words: probability that a caption loses its stop words, such as "the", before its rewrite. 0 removes none.
      rewrites: {change of one word: weight}, of "synonym", "swap" and "delete"; each visit draws one. {} rewrites none.
      synonyms: file of synonyms, with lines "word<TAB>synonym,synonym" in lower case; `python -m pipeline.synonyms`
        makes one of WordNet. The rewrite "synonym" needs it.
      synonyms_sha256: hash of that file (hex). Leave it "": the runner fills it in, so a changed file starts another
        run.
      dropout: whether TextTower.dropout acts on this view.
    """

    stop_words: float = 0.0
    rewrites: dict[str, float] = dataclasses.field(default_factory=dict)
    synonyms: str = ""
    synonyms_sha256: str = ""
    dropout: bool = False

    def __post_init__(self) -> None:
        require_fraction(self, "stop_words")
        require(
            set(self.rewrites) <= set(REWRITES) and all(weight > 0 for weight in self.rewrites.values()),
            "TextAugmentation.rewrites",
            self.rewrites,
            f"{{name: weight above 0}} with names among {', '.join(REWRITES)}",
            "correct it",
        )
        require(
            bool(self.synonyms) or "synonym" not in self.rewrites,
            "TextAugmentation.synonyms",
            self.synonyms,
            "a file, because TextAugmentation.rewrites has 'synonym'",
            "make one with `python -m pipeline.synonyms`, or leave 'synonym' out",
        )

    @property
    def changes_words(self) -> bool:
        """Whether a caption can change at all."""
        return self.stop_words > 0 or bool(self.rewrites)
