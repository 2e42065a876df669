"""Captions of the contact sheet: letters in any script, in their order, and never an error."""

import random
import unicodedata

import numpy as np
import pytest
from PIL import features

from beam import fonts
from pipeline.drawing import captions

SAMPLES = {
    "Hebrew": "כלב חום רץ על החוף",
    "Arabic": "كلب بني يجري على الشاطئ",
    "Urdu": "اردو میں ایک جملہ",
    "Chinese": "一只棕色的狗在海滩上奔跑",
    "Japanese": "茶色の犬が浜辺を走る",
    "Korean": "갈색 개가 해변을 달린다",
    "Thai": "สุนัขสีน้ำตาลวิ่งบนชายหาด",
    "Hindi": "समुद्र तट पर दौड़ता भूरा कुत्ता",
    "Bengali": "সৈকতে বাদামী কুকুর",
    "Tamil": "கடற்கரையில் ஓடும் நாய்",
    "Telugu": "తెలుగు భాష",
    "Georgian": "ქართული ენა",
    "Amharic": "አማርኛ ቋንቋ",
    "Greek and Russian": "Ελληνικά, русский язык",
    "emoji": "🐶 🏖️ 👩🏽‍🚀 ❤️",
    "signs": "∑ ✓ → ★ €",
}
shaped = pytest.mark.skipif(not features.check_feature("raqm"), reason="needs libfribidi: apt-get install libfribidi0")


def pixels(caption: str) -> np.ndarray:
    return np.asarray(captions.draw(caption, 160))


@pytest.mark.parametrize("name", SAMPLES)
def test_letters_of_each_script_are_no_boxes(name):
    caption = SAMPLES[name]
    assert fonts.missing([caption]) == []
    drawn, boxes = pixels(caption), pixels("".join(one if one == " " else "\ue000" for one in caption))
    assert drawn.min() < 100
    assert (drawn != boxes).any()
    letters = {one for one in caption if unicodedata.category(one)[0] in "LS"}
    assert len({pixels(one).tobytes() for one in letters}) >= len(letters) - 1  # boxes would all be the same


@shaped
@pytest.mark.parametrize(
    ("line", "order"),
    [
        ("שלום abc 12", [("abc 12", "ltr"), ("שלום", "rtl")]),
        ("see שלום (12) now", [("see", "ltr"), ("12", "ltr"), ("שלום", "rtl"), ("now", "ltr")]),
        ("עם 2 כדורים.", [(".", "rtl"), ("כדורים", "rtl"), ("2", "ltr"), ("עם", "rtl")]),
        ("a red boat", [("a red boat", "ltr")]),
    ],
)
def test_parts_of_both_directions_are_in_visual_order(line, order):
    parts = [(text.strip(" ()"), direction) for _, text, direction in captions._in_order(line)]
    assert [part for part in parts if part[0]] == order


@shaped
def test_arabic_letters_are_joined_and_hindi_letters_are_shaped():
    for caption in ("كلب", "क्ष"):
        apart = "\u200c".join(caption)  # zero-width non-joiner
        assert (pixels(caption) != pixels(apart)).any()


def test_long_captions_stay_in_their_cell_and_are_cut():
    for caption in (*SAMPLES.values(), "word", "漢", "x" * 500):
        drawn = pixels(" ".join([caption] * 40))
        assert drawn.shape == (captions.HEIGHT, 160, 3)
        assert (drawn[:, -1] > 200).mean() > 0.8  # few letters touch the right edge


def test_characters_without_a_font_are_named():
    (note,) = captions.notes(["ᚠᚢ runes", "a boat"])
    assert note == "note: no installed font has U+16A0, U+16A2; the contact sheet shows a box for each"


def test_400_random_captions_are_drawn(record_property):
    generator = random.Random(0)
    parts = [*SAMPLES.values(), "\u200d", "\ufe0f", "\u202e", "\u2066", "\x00", "\x1b[31m", "\n\t", "<b>&", "\ud7ff"]
    for number in range(400):
        drawn = [chr(generator.randrange(0xE000, 0x30000)) for _ in range(3)]
        drawn += [one[: generator.randrange(1, 9)] for one in generator.choices(parts, k=4)]
        generator.shuffle(drawn)
        assert captions.draw("".join(drawn), 160).size == (160, captions.HEIGHT), (number, drawn)
    record_property("captions", 400)


def test_runs_are_the_text_in_order():
    text = " ".join(SAMPLES.values())
    assert "".join(part for _, part in fonts.runs(text)) == text
