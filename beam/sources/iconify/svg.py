"""The SVG document of a drawing, and what it may not contain."""

from xml.parsers import expat

from beam.sources.iconify.icon_set import Drawing, View
from beam.sources.limits import Limits
from beam.sources.rows.raw import InvalidRow, shown

_START = '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" viewBox="%s">'


def document(drawing: Drawing, limits: Limits) -> bytes:
    """Returns the SVG of a drawing, in UTF-8.

    Raises:
      InvalidRow: it is larger than `limits.svg_bytes`, is no XML, refers to something outside, or has text.
    """
    view, body = drawing.view, drawing.body
    left, top, width, height = view.box
    if view.mirrored or view.upside_down or view.turns:
        body = f'<g transform="{_transform(view)}">{body}</g>'
        left, top = 0.0, 0.0
        width, height = (height, width) if view.turns % 2 else (width, height)
    try:
        svg = f"{_START % f'{left} {top} {width} {height}'}{body}</svg>".encode()
    except UnicodeEncodeError as error:
        raise InvalidRow("invalid_utf8", f"the SVG has halves of characters: {error.reason}") from error
    if len(svg) > limits.svg_bytes:
        detail = f"the SVG has {len(svg)} bytes, but may have {limits.svg_bytes} (Limits.svg_bytes)"
        raise InvalidRow("svg_too_large", detail)
    _require_alone(svg)
    return svg


def _transform(view: View) -> str:
    """Mirrors and turns around the middle of the box, and moves the result to (0, 0)."""
    left, top, width, height = view.box
    wide, high = (height, width) if view.turns % 2 else (width, height)
    mirror = f"scale({-1 if view.mirrored else 1} {-1 if view.upside_down else 1})"
    middle = f"translate({-left - width / 2} {-top - height / 2})"
    return f"translate({wide / 2} {high / 2}) rotate({90 * view.turns}) {mirror} {middle}"


def _require_alone(svg: bytes) -> None:
    """Raises InvalidRow if the picture would depend on more than the SVG: on files, or on the fonts of a machine.

    The body lies inside an element, where XML allows no DOCTYPE, so there are no entities.
    """

    def check(element: str, attributes: dict[str, str]) -> None:
        if element.rpartition(" ")[2] == "text":
            raise InvalidRow("invalid_svg", "it has text, whose look depends on the fonts of the machine; use paths")
        for name, value in attributes.items():
            if name.rpartition(" ")[2] == "href" and not value.strip().startswith("#"):
                detail = f"{element.rpartition(' ')[2]} refers to {shown(value)}, but may refer to an id, as in '#a'"
                raise InvalidRow("invalid_svg", detail)

    parser = expat.ParserCreate(namespace_separator=" ")
    parser.StartElementHandler = check
    try:
        parser.Parse(svg, True)
    except expat.ExpatError as error:
        raise InvalidRow("invalid_svg", f"it is no XML: {error}") from error
