"""Filters of captions. They keep a caption or remove it with a reason, and drop a row that has no caption left."""

import dataclasses
import re
import unicodedata

import apache_beam as beam

from beam import shuffle, stages
from beam.records import ImageText, Outcome, Rejected, Row, is_utf8, normalised, salted_hash
from models.settings.checks import require, require_at_least_zero, require_fraction, require_positive, settings_class

# Scripts without spaces (Thai and Lao, Burmese, Khmer, kana, Han): each of their characters counts as a word.
_NO_SPACES = r"\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff"
_WORD = re.compile(rf"[{_NO_SPACES}]|[^\W_{_NO_SPACES}]+")
_URL = re.compile(r"\bhttps?://|\bwww\.|^\S+\.(com|net|org)\b\S*$", re.IGNORECASE)
_FILE_NAME = re.compile(
    r"^\S+\.(jpe?g|png|gif|webp|bmp|tiff?|svg|heic|pdf|html?|php|mp4)$"  # flower-01.jpg
    r"|^(img|image|dscn?|dscf|dcim|pict?|photo|pxl|vid|mvi|p|screen ?shot)[-_ ]*\d[-_\d ]*$"  # IMG_2041
    r"|^[\d_-]{5,}$|^[0-9a-f]{16,}$|^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$",  # numbers, hashes
    re.IGNORECASE,
)


_ASCII_WORD = re.compile("[A-Za-z0-9]")
# Byte order mark, zero width, direction and soft hyphen: at the ends of a caption they mean nothing. No joiners and no
# tags, with which emoji are written.
_INVISIBLE = " \ufeff\u200b\u00ad\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2060\u2061\u2062\u2063\u2064"
_INVISIBLE += "\u2066\u2067\u2068\u2069\ufff9\ufffa\ufffb\0"
# Letters and symbols that show nothing (fillers of Hangul, blank of Braille), and the signs of lost characters.
_BLANK = frozenset("\u115f\u1160\u3164\uffa0\u2800\ufffc\ufffd")
# Emoji and Han of which Unicode's category says neither letter nor symbol: squares, skin tones, signs that a variation
# selector makes emoji, and characters that are newer than Python's tables, so that each Python keeps the same captions.
_PICTOGRAPH = re.compile(
    "[\u25fb-\u25fe\U0001f000-\U0001faff\U00020000-\U0003fffd]|[#*\u203c\u2049\u2194\u2934\u2935\u3030]\ufe0f"
)


@settings_class("Captions")
class CaptionSettings:
    """Limits of captions. All but `max_bytes` are off by default. Captions without a word are always removed.

    Attributes:
      min_words: smallest number of words. 0 allows any. In scripts without spaces, each character counts as a word.
        Reason: "caption_too_short".
      max_words: largest number of words, counted in the same way. 0 allows any. Reason: "caption_too_long".
      min_alphanumeric: smallest share of letters and digits among the characters that are not spaces. 0 allows any; 0.5
        suits alt-texts of the web. Reason: "caption_symbols".
      allow_urls: False removes captions that contain a web address. Reason: "caption_url".
      allow_file_names: False removes captions that are the name of a file, the number of a photo or a hash. Reason:
        "caption_file_name".
      max_repeats: largest number of rows that may share a caption. If more rows have it, all of them lose it. 0 allows
        any; 100 removes boiler-plate such as "click to enlarge". Reason: "caption_repeated".
      languages: BCP 47 tags; rows of other languages are dropped. "en" allows "en-GB" too, and "und" allows rows
        without a language. () allows any. Reason: "language".
      blocked_terms: words or phrases, in any case; a row with one of them in any caption is dropped. () blocks none.
        Reason: "blocked_term".
      max_bytes: largest caption in UTF-8 (bytes). Reason: "caption_too_large".
    """

    min_words: int = 0
    max_words: int = 0
    min_alphanumeric: float = 0.0
    allow_urls: bool = True
    allow_file_names: bool = True
    max_repeats: int = 0
    languages: tuple[str, ...] = ()
    blocked_terms: tuple[str, ...] = ()
    max_bytes: int = 1 << 16

    def __post_init__(self) -> None:
        require_fraction(self, "min_alphanumeric")
        require_positive(self, "max_bytes")
        require_at_least_zero(self, "min_words", "max_words", "max_repeats")
        require(
            not self.max_words or self.max_words >= self.min_words,
            "Captions.max_words",
            self.max_words,
            f"0 or at least Captions.min_words, {self.min_words}",
            "raise it",
        )
        for term in self.blocked_terms:
            require(bool(term.strip()), "Captions.blocked_terms", term, "a word or phrase", "remove the empty text")

    @property
    def limit_captions(self) -> bool:
        """Whether `CaptionFilter` has anything to check."""
        limits = (self.min_words, self.max_words, self.min_alphanumeric)
        return any(limits) or not (self.allow_urls and self.allow_file_names)


class CheckedCaptions(beam.PTransform):
    """PCollection of rows -> Kept; cleans all captions, and removes those that are no text (see `CaptionCheck`)."""

    def __init__(self, settings: CaptionSettings) -> None:
        super().__init__()
        self._settings = settings

    @beam.typehints.no_annotations
    def expand(self, rows: beam.PCollection) -> stages.Kept:
        return rows | "Check" >> beam.Map(CaptionCheck(self._settings)) | stages.RemoveCaptions()


@dataclasses.dataclass(frozen=True)
class CaptionCheck:
    """Row -> the row with clean captions, and for each of them the reason to remove it, or "" to keep it.

    It removes extra spaces, and invisible characters at both ends. A caption without a word is "caption_empty": the
    tokenizer would see nothing, or only punctuation. Letters, digits, emoji and other pictographs count as words.
    """

    settings: CaptionSettings = CaptionSettings()

    def __call__(self, row: ImageText) -> tuple[ImageText, list[str]]:
        captions = row.captions
        clean = [" ".join(caption.split()).strip(_INVISIBLE) for caption in captions]
        reasons = [self._reason(caption) for caption in clean]
        if tuple(clean) == captions:
            return row, reasons
        return dataclasses.replace(row, caption=clean[0], more_captions=tuple(clean[1:])), reasons

    def _reason(self, caption: str) -> str:
        most = self.settings.max_bytes
        if len(caption) > most or (not caption.isascii() and len(caption.encode(errors="replace")) > most):
            return "caption_too_large"
        if not caption.isascii() and not is_utf8(caption):
            return "invalid_utf8"
        return "" if _has_word(caption) else "caption_empty"


def _has_word(caption: str) -> bool:
    """Whether a caption has a letter, a digit or a pictograph after normalisation."""
    if _ASCII_WORD.search(caption):
        return True
    if caption.isascii():
        return False
    if _PICTOGRAPH.search(caption):
        return True
    form = unicodedata.normalize("NFKC", caption)
    kinds = (unicodedata.category(one) for one in form if one not in _BLANK)
    return any(kind[0] in "LN" or kind == "So" for kind in kinds)


class RowRules:
    """Drops rows by language and blocked terms."""

    def __init__(self, settings: CaptionSettings) -> None:
        self._languages = {language.casefold() for language in settings.languages}
        terms = sorted(re.escape(normalised(term)) for term in settings.blocked_terms)
        self._blocked = re.compile(rf"(?<!\w)({'|'.join(terms)})(?!\w)") if terms else None

    def __call__(self, row: ImageText) -> Outcome:
        language = row.language.casefold()
        if self._languages and not self._languages & {language, language.split("-")[0]}:
            return Rejected(row.key, row.position, "language", f"{row.language} is not in {sorted(self._languages)}")
        if self._blocked:
            for caption in row.normalised_captions():
                if found := self._blocked.search(caption):
                    return Rejected(row.key, row.position, "blocked_term", f"{found[1]!r} in {caption!r}")
        return row


class CaptionFilter:
    """ImageText -> for each caption, the reason to remove it, or "" to keep it."""

    def __init__(self, settings: CaptionSettings) -> None:
        self._settings = settings

    def __call__(self, row: ImageText) -> list[str]:
        return [self._reason(caption) for caption in row.captions]

    def _reason(self, caption: str) -> str:
        settings = self._settings
        words = len(_WORD.findall(caption)) if settings.min_words or settings.max_words else 0
        if words < settings.min_words:
            return "caption_too_short"
        if settings.max_words and words > settings.max_words:
            return "caption_too_long"
        if settings.min_alphanumeric and _alphanumeric_share(caption) < settings.min_alphanumeric:
            return "caption_symbols"
        if not settings.allow_file_names and _FILE_NAME.search(caption):
            return "caption_file_name"
        if not settings.allow_urls and _URL.search(caption):
            return "caption_url"
        return ""


class RepeatedCaptions(beam.PTransform):
    """PCollection of rows -> Kept; removes the captions that more than `max_repeats` rows have.

    Every worker gets the hashes of these captions, at most rows x captions / max_repeats numbers.
    """

    def __init__(self, max_repeats: int) -> None:
        super().__init__()
        self._max_repeats = max_repeats

    @beam.typehints.no_annotations
    def expand(self, rows: beam.PCollection) -> stages.Kept:
        most = self._max_repeats
        frequent = (
            rows
            | beam.FlatMap(lambda row: {_number(caption) for caption in row.normalised_captions()})
            | beam.Map(lambda caption: (caption, 1))
            | shuffle.GroupByKey()
            | beam.MapTuple(lambda caption, ones: (caption, sum(ones)))
            | beam.Filter(lambda caption: caption[1] > most)
        )
        return rows | "Wait" >> shuffle.Wait() | stages.FilterCaptions(_repeated, beam.pvalue.AsDict(frequent))


def _repeated(row: Row, frequent: dict[int, int]) -> list[str]:
    return ["caption_repeated" if _number(caption) in frequent else "" for caption in row.normalised_captions()]


def _number(normalised: str) -> int:
    return salted_hash(normalised, "caption")


def _alphanumeric_share(caption: str) -> float:
    """The share of letters, their marks and digits among the characters that are not space."""
    characters = [one for one in caption if not one.isspace()]
    alphanumeric = sum(one.isalnum() or unicodedata.category(one).startswith("M") for one in characters)
    return alphanumeric / max(len(characters), 1)
