"""Colour, marker and line dash of each variant, the same in every figure, card and table."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Literal

from engine.core.types import ORIGINAL

Symbol = Literal[
    "circle", "circle-open", "square", "triangle-up", "diamond", "x", "star", "star-open", "cross"
]
Dash = Literal["solid", "dash", "dot"]
NEUTRAL = "#7a8699"
"""For the original and for files of unknown make: readable on light and dark ground."""
RED = "#df3f5f"
"""For what is wrong, in figures: changed answers, and variants of no use. On light and dark ground
alike its contrast is the highest that one hue can have."""


@dataclass(frozen=True, slots=True)
class Style:
    """Looks of one variant.

    Attributes:
        hue: Colour as ``#rrggbb``.
        symbol: Plotly's marker.
        dash: Plotly's line dash.
    """

    hue: str
    symbol: Symbol
    dash: Dash


_STYLES = {
    "float32": Style("#64748b", "circle", "solid"),
    "float16": Style("#0199ff", "square", "solid"),
    "dynamic_range": Style("#7c3aed", "triangle-up", "solid"),
    "int8": Style("#ea7317", "circle", "solid"),
    "uint8": Style("#ea7317", "circle-open", "dash"),
    "int8_float_io": Style("#ea7317", "diamond", "dot"),
    "int8_per_tensor": Style("#ea7317", "square", "dash"),
    "int16x8": Style("#c62659", "x", "solid"),
    "int8_optimized": Style("#15a856", "star", "solid"),
    ORIGINAL: Style(NEUTRAL, "cross", "dash"),
}
_OPTIMIZED = Style("#15a856", "star-open", "dash")
_UNKNOWN = (
    Style(NEUTRAL, "diamond", "dot"),
    Style(NEUTRAL, "square", "dash"),
    Style(NEUTRAL, "triangle-up", "solid"),
    Style(NEUTRAL, "circle-open", "dot"),
    Style(NEUTRAL, "x", "dash"),
)
_SHAPES = {
    "circle": '<circle cx="8" cy="8" r="6" fill="{hue}"/>',
    "circle-open": '<circle cx="8" cy="8" r="5" fill="none" stroke="{hue}" stroke-width="2.5"/>',
    "square": '<rect x="2.5" y="2.5" width="11" height="11" rx="1" fill="{hue}"/>',
    "triangle-up": '<path d="M8 2 15 14H1z" fill="{hue}"/>',
    "diamond": '<path d="M8 1 15 8 8 15 1 8z" fill="{hue}"/>',
    "x": '<path d="M3 3 13 13M13 3 3 13" stroke="{hue}" stroke-width="4"/>',
    "star": '<path d="M8 .8 10 6h5.4l-4.3 3.4 1.6 5.4L8 11.6l-4.7 3.2 1.6-5.4L.6 6H6z" '
    'fill="{hue}"/>',
    "star-open": '<path d="M8 2 9.6 6.4h4.2l-3.4 2.8 1.3 4.4L8 11l-3.7 2.6 1.3-4.4L2.2 6.4h4.2z" '
    'fill="none" stroke="{hue}" stroke-width="1.6"/>',
    "cross": '<rect x="1" y="6.5" width="14" height="3" rx="1" fill="{hue}"/>',
}


def style_of(variant: str) -> Style:
    """Choose hue, marker and dash of a variant.

    Names that end in ``_optimized`` or begin with ``int8_mixed`` share the hue of the optimized
    family, those with ``_per_tensor`` look like ``int8_per_tensor``, other unknown names are
    neutral, with a marker that follows from the name.
    """
    if variant in _STYLES:
        return _STYLES[variant]
    if variant.endswith("_optimized") or variant.startswith("int8_mixed"):
        return _OPTIMIZED
    if "_per_tensor" in variant:
        return _STYLES["int8_per_tensor"]
    return _UNKNOWN[sum(variant.encode()) % len(_UNKNOWN)]


def marker_image(variant: str, size: int = 14) -> str:
    """Draw a variant's marker as an HTML image, for tables, cards and chips.

    It is an ``<img>``, not an ``<svg>`` element, because Streamlit strips those from HTML.
    """
    return (
        f'<img width="{size}" height="{size}" alt="" style="vertical-align:-2px;flex:none" '
        f'src="{marker_address(variant)}">'
    )


def marker_address(variant: str) -> str:
    """Draw a variant's marker as an SVG with a ``data:`` address."""
    style = style_of(variant)
    shape = _SHAPES[style.symbol].format(hue=style.hue)
    svg = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16">{shape}</svg>'
    return f"data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()}"
