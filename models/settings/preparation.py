"""What pictures and texts become before any tower sees them; settings of towers are the usual ones to say so."""

from typing import Protocol


class ImageInput(Protocol):
    """How a picture becomes pixels."""

    @property
    def size(self) -> int:
        """Side of the square, pixels."""

    @property
    def resize(self) -> str:
        """How a picture becomes a square: "squash", "crop" or "letterbox"."""

    @property
    def interpolation(self) -> str:
        """Of the resizing, "bilinear" or "bicubic"; antialiased always."""


class TextInput(Protocol):
    """How a text becomes token ids."""

    @property
    def length(self) -> int:
        """Tokens of every text, end of sentence and padding included."""

    @property
    def pad_id(self) -> int:
        """What a text is filled up with."""

    @property
    def expected_eos_id(self) -> int | None:
        """What the vocabulary must end sentences with; None leaves it to the vocabulary."""

    @property
    def strip_punctuation(self) -> bool:
        """Whether served texts lose ASCII punctuation."""
