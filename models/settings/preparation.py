"""Protocols of the settings that say how to prepare pictures and texts. Tower settings usually implement them."""

from typing import Protocol


class ImageInput(Protocol):
    """How a picture becomes pixels."""

    @property
    def size(self) -> int:
        """Side of the square image (pixels)."""

    @property
    def resize(self) -> str:
        """How to make a picture square: "squash", "crop" or "letterbox"."""

    @property
    def interpolation(self) -> str:
        """Interpolation of the resize: "bilinear" or "bicubic"."""

    @property
    def antialias(self) -> bool:
        """Whether the resize averages all pixels that fall into a smaller one."""


class TextInput(Protocol):
    """How a text becomes token ids."""

    @property
    def length(self) -> int:
        """Tokens of every text, end of sentence and padding included."""

    @property
    def pad_id(self) -> int:
        """Token id that pads a text to `length`."""

    @property
    def expected_eos_id(self) -> int | None:
        """Token id of the end of sentence that the vocabulary must have; None accepts any."""

    @property
    def punctuation(self) -> str:
        """What serving does with ASCII punctuation: "keep", "remove" or "canonicalize"."""
