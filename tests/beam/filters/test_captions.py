"""Each filter of captions removes the right ones, with the right reason."""

import pytest

from beam.filters.captions import CaptionCheck, CaptionFilter, CaptionSettings, RowRules
from beam.records import ImageText, normalised


def row(image: bytes, caption: str = "a picture", *more: str, language: str = "en") -> ImageText:
    return ImageText("key", image, caption, "file:1", "test", language=language, more_captions=more)


def test_captions_that_tokenise_alike_count_as_the_same():
    composed, decomposed, full_width = (normalised(c) for c in ("Café", "cafe\u0301", "ＣＡＦÉ"))
    assert composed == decomposed == full_width


def test_captions_are_stripped_and_empty_ones_removed():
    assert CaptionCheck()(row(b"x", "  a  b\n")) == (row(b"x", "a b"), [""])
    assert CaptionCheck()(row(b"x", " \n", "good")) == (row(b"x", "", "good"), ["caption_empty", ""])


@pytest.mark.parametrize(("rules", "reason", "removed", "kept"), [
    ({"min_words": 3}, "caption_too_short", ["a boat", "boat. - boat", "赤い"],
     ["a red boat", "赤い船の写真", "เรือสีแดง"]),
    ({"max_words": 3}, "caption_too_long", ["one two three four", "赤い船の写真"], ["one, two - three"]),
    ({"min_alphanumeric": 0.6}, "caption_symbols", ["$$$ 5 !!!", "★★★★ a", "..."],
     ["it's 5 o'clock!", "नमस्ते दुनिया", "C++ book"]),
    ({"allow_urls": False}, "caption_url", ["see https://x.y/z", "www.shop.example", "shop-now.com/red"],
     ["the web", "dot com boom"]),
    ({"allow_file_names": False}, "caption_file_name",
     ["IMG_2041", "flower-01.JPG", "DSC 00012", "20240131_1200", "image 5", "d41d8cd98f00b204e9800998ecf8427e"],
     ["a jpg of a flower", "image of a boat", "Route 66", "P. 5", "5 boats", "Boeing 747"]),
])  # fmt: skip
def test_captions_are_removed_by_each_rule_alone(rules, reason, removed, kept):
    for caption in removed:
        assert CaptionFilter(CaptionSettings(**rules))(row(b"", caption)) == [reason], caption
        assert CaptionFilter(CaptionSettings())(row(b"", caption)) == [""]
    for caption in kept:
        assert CaptionFilter(CaptionSettings(**rules))(row(b"", caption)) == [""], caption


def test_rows_are_dropped_by_language_and_blocked_terms():
    english = RowRules(CaptionSettings(languages=("en", "pt-BR")))
    for language, reason in (("en", None), ("en-GB", None), ("EN", None), ("de", "language"), ("und", "language"),
                             ("pt-BR", None), ("pt", "language")):  # fmt: skip
        assert getattr(english(row(b"", language=language)), "reason", None) == reason, language
    blocked = RowRules(CaptionSettings(blocked_terms=("Gun", "hot dog", "c++")))
    for captions in (("a GUN.",), ("a boat", "hot  dog"), ("\uff47un",), ("C++",)):
        assert blocked(row(b"", *captions)).reason == "blocked_term"
    for caption in ("a gunboat", "hot, dog", "begun", "c"):
        assert blocked(row(b"", caption)) == row(b"", caption)
