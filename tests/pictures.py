"""Pictures that tests draw; nothing is downloaded or committed."""

import io

from PIL import Image, ImageDraw

COLOURS = {"red": "#d11", "green": "#1a1", "blue": "#22d", "yellow": "#dd0", "black": "#000", "purple": "#a2a"}
SHAPES = ("disc", "square", "ring", "cross")
PLACES = {"top": (16, 4), "bottom": (16, 28), "left": (4, 16), "right": (28, 16), "middle": (16, 16)}
SIZES = {"small": 10, "large": 16}


def encode(picture: Image.Image, image_format: str = "PNG", **options: object) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, image_format, **options)
    return stream.getvalue()


def draw_shape(colour: str, shape: str, place: str, size: str) -> bytes:
    """A 48 px picture such as a small red ring at the top."""
    picture = Image.new("RGB", (48, 48), "white")
    pen, (left, top), side = ImageDraw.Draw(picture), PLACES[place], SIZES[size]
    box, fill = (left, top, left + side, top + side), COLOURS[colour]
    if shape == "disc":
        pen.ellipse(box, fill=fill)
    elif shape == "square":
        pen.rectangle(box, fill=fill)
    elif shape == "ring":
        pen.ellipse(box, outline=fill, width=3)
    else:
        pen.line(box, fill=fill, width=4)
        pen.line((left, top + side, left + side, top), fill=fill, width=4)
    return encode(picture)


def shape_pairs() -> list[tuple[bytes, str, str]]:
    """240 distinct (picture, caption, colour)."""
    return [
        (draw_shape(colour, shape, place, size), f"a {size} {colour} {shape} at the {place}", colour)
        for colour in COLOURS
        for shape in SHAPES
        for place in PLACES
        for size in SIZES
    ]
