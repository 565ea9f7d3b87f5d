"""Matplotlib's figures as files and as part of a page.

In a page a drawing has no style attribute (the page's policy forbids them) and no colour of its own: each distinct
style becomes a class, each colour of `look` a variable.
"""

from __future__ import annotations

import io
import re
import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING, Final

from simulations.report.look import INK, NAMES, drawing
from simulations.report.plots.plot import Plot

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_SVG: Final = "{http://www.w3.org/2000/svg}"
_HREF: Final = "{http://www.w3.org/1999/xlink}href"
_FONT: Final = re.compile(r"font-family:[^;]*;?")
_COLOUR: Final = re.compile(r"#[0-9a-f]{6}\b")
_URL: Final = re.compile(r"url\(#([^)]+)\)")
PNG_DPI: Final = 200
"""Fit for print."""


class Styles:
    """The classes of a page's drawings."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}

    def name(self, style: str) -> str:
        """The class of a style; the same for the same style."""
        style = _COLOUR.sub(_variable, _FONT.sub("", style)).strip().strip(";")
        return self._names.setdefault(style, f"s{len(self._names)}")

    def css(self) -> str:
        """All of them."""
        return "\n".join(f".{name}{{{style}}}" for style, name in self._names.items())


def _variable(found: re.Match[str]) -> str:
    name = NAMES.get(found.group())
    return f"var(--{name})" if name else found.group()


def inline(figure: Figure, alternative: str, styles: Styles) -> str:
    """A figure as an SVG element for HTML. alternative: its text for those who do not see it."""
    root = ET.fromstring(_written(figure))  # noqa: S314 - what matplotlib has just written
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag in (f"{_SVG}metadata", f"{_SVG}style"):
                parent.remove(child)
    used = set(_URL.findall(" ".join(v for e in root.iter() for v in e.attrib.values())))
    used |= {element.attrib[_HREF].removeprefix("#") for element in root.iter() if _HREF in element.attrib}
    for element in root.iter():
        _undress(element, used, styles)
    attributes = {"viewBox": root.attrib["viewBox"], "role": "img", "aria-label": alternative}
    root.attrib.clear()
    root.attrib.update(attributes)
    return ET.tostring(root, encoding="unicode", short_empty_elements=False)


def _undress(element: ET.Element, used: set[str], styles: Styles) -> None:
    element.tag = element.tag.removeprefix(_SVG)
    element.text = element.text if element.text and element.text.strip() else None
    element.tail = None
    attributes = element.attrib
    style = attributes.pop("style", "")
    if element.tag == "text" and "fill" not in style:
        style += f"; fill: {INK}"
    if style:
        attributes["class"] = styles.name(style)
    if attributes.get("id", "") not in used:
        attributes.pop("id", None)
    if _HREF in attributes:
        attributes["href"] = attributes.pop(_HREF)
    if "d" in attributes:
        attributes["d"] = " ".join(attributes["d"].split())


def settle(figure: Figure) -> None:
    """Lay a figure out once; otherwise it is laid out each time it is saved."""
    engine = figure.get_layout_engine()
    if engine is not None:
        engine.execute(figure)
        figure.set_layout_engine("none")


def _written(figure: Figure) -> str:
    settle(figure)
    written = io.StringIO()
    figure.savefig(written, format="svg", metadata={"Date": None, "Creator": None})
    return written.getvalue()


def files(plot: Plot, heading: str, width_in: float) -> dict[str, bytes]:
    """A plot as files of its own, by the ending of their names. heading: whose plot it is, written above it."""
    with drawing(plot.name):
        figure = plot.draw(width_in)
        figure.suptitle(f"{plot.title}: {heading}" if heading else plot.title, x=0.01, ha="left", fontweight="bold")
        settle(figure)
        png = io.BytesIO()
        figure.savefig(png, format="png", dpi=PNG_DPI, metadata={"Software": None})
        return {"svg": _written(figure).encode(), "png": png.getvalue()}
