"""Renders pages that run no script and load nothing from elsewhere; their policy forbids both."""

import html
from collections.abc import Mapping
from typing import Any

import jinja2

from components.run_report import fonts


def render(package: str, template: str, values: Mapping[str, Any]) -> str:
    """Renders a page.

    Args:
      package: the package that has the template. The template may include those of this package, such as
        head.html.j2, which opens the page with its style.
      template: name of the file.
      values: the names that the template uses.
    """

    def filled(font_faces: str) -> str:
        faces = {"font_faces": font_faces, "font_family": fonts.FAMILY}
        return render_text(package, template, {**values, **faces}, autoescape=True)

    return filled(fonts.faces(html.unescape(filled(""))))


def render_text(package: str, template: str, values: Mapping[str, Any], autoescape: bool = False) -> str:
    """Renders a template of any format, once; arguments as in `render`."""
    packages = dict.fromkeys((package, "components.run_report"))
    environment = jinja2.Environment(
        loader=jinja2.ChoiceLoader([jinja2.PackageLoader(one, ".") for one in packages]),
        autoescape=autoescape,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(**values)
