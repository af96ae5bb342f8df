"""What pages show by: figures with a headline and downloads, tables, components of `static/`."""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pandas as pd
import plotly.graph_objects as go
import streamlit as st
from streamlit.components.v2.types import ComponentRenderer

from engine.comparison.comparison import Comparison
from engine.reporting import plots
from engine.reporting.plots.figures import fault_marks
from engine.reporting.plots.frame import HeadedFigure, split_headline
from engine.tasks.evaluation import Evaluation
from pages.state.conversion import RED_GROUND
from pages.state.evaluation import key_of
from pages.state.messages import plain
from pages.state.session import current_run

PNG, SVG = "PNG", "SVG"
_ROWS_AT_ONCE = 14
_STATIC = Path(__file__).parent.parent.parent / "static"
_NO_HELP: Mapping[str, str] = MappingProxyType({})


def load_component(name: str) -> ComponentRenderer:
    """Register a component: the HTML, CSS and script of this name in ``static/``."""
    html, css, js = (
        (_STATIC / f"{name}.{kind}").read_text(encoding="utf-8") for kind in ("html", "css", "js")
    )
    return st.components.v2.component(name, html=html, css=css, js=js)


def show_figure(key: str, make: Callable[..., go.Figure], *arguments: Any) -> None:
    """Show a figure under the headline that its data gave it.

    ``key`` is unique on the page and the stem of saved files; ``make`` is a function of
    `engine.reporting.plots` or `engine.reporting.plots.figures`, with its arguments.
    """
    shown = _figure(make, *arguments)
    st.header(plain(shown.headline), anchor=False)
    _show(key, shown.figure, shown.headline, arguments)


def show_described_figure(
    key: str, description: str, make: Callable[..., go.Figure], *arguments: Any
) -> None:
    """Show a figure below words of the page's own; ``description`` is for screen readers."""
    _show(key, _figure(make, *arguments).figure, description, arguments)


def show_picking_figure(
    key: str, make: Callable[..., go.Figure], *arguments: Any
) -> list[dict[str, Any]]:
    """Show a figure as `show_figure` does, and give the marks that are clicked."""
    shown = _figure(make, *arguments)
    st.header(plain(shown.headline), anchor=False)
    _show_fault_marks(shown.figure, arguments)
    picked = st.plotly_chart(
        shown.figure,
        key=f"figure_{key}",
        config=_config(key),
        alt=shown.headline,
        on_select="rerun",
    )
    _saving(shown.figure, key)
    points: list[dict[str, Any]] = picked["selection"]["points"]
    return points


def _figure(make: Callable[..., go.Figure], *arguments: Any) -> HeadedFigure:
    """Make a figure once a session from the same: Plotly takes a while over each."""
    # An evaluation holds the logits of every picture, and has a key that is shorter.
    parts = [key_of(part) if isinstance(part, Evaluation) else part for part in arguments]
    key = pickle.dumps((make.__module__, make.__qualname__, parts))
    return _cache_figure(hashlib.sha256(key).hexdigest(), lambda: make(*arguments))


@st.cache_resource(scope="session", max_entries=48, show_spinner=False)
def _cache_figure(key: str, _make: Callable[[], go.Figure]) -> HeadedFigure:
    return split_headline(_make())


def _show(key: str, figure: go.Figure, description: str, arguments: tuple[Any, ...]) -> None:
    _show_fault_marks(figure, arguments)
    st.plotly_chart(figure, key=f"figure_{key}", config=_config(key), alt=description)
    _saving(figure, key)


def _show_fault_marks(figure: go.Figure, arguments: tuple[Any, ...]) -> None:
    """Name in red the variants of no use that a figure draws, by what it is made from."""
    run = current_run()
    faults = {} if run is None else dict(run.faults)
    for source in arguments:
        comparison = source.comparison if isinstance(source, Evaluation) else source
        if isinstance(comparison, Comparison):
            faults |= comparison.fault_by_variant
    for mark in fault_marks(figure, faults):
        st.markdown(f":red[:material/error: {plain(mark)}]")


def _config(key: str) -> dict[str, Any]:
    """Configure Plotly's toolbar; its camera saves in the format that was chosen below."""
    kind = st.session_state.get(f"format_{key}") or PNG
    picture = {"format": str(kind).lower(), "filename": key, "scale": 2}
    return {"displaylogo": False, "toImageButtonOptions": picture}


def _saving(figure: go.Figure, key: str) -> None:
    with (
        st.container(horizontal=True, horizontal_alignment="right", key=f"saving_{key}"),
        st.popover("Save", icon=":material/download:", width="content", type="tertiary"),
    ):
        st.download_button(
            "The data as CSV",
            lambda: plots.figure_csv(figure),
            file_name=f"{key}.csv",
            mime="text/csv",
            key=f"csv_{key}",
            icon=":material/table:",
            on_click="ignore",
        )
        st.segmented_control(
            "The camera below the plot saves",
            [PNG, SVG],
            default=PNG,
            required=True,
            key=f"format_{key}",
        )


def align_right(names: Iterable[str], help: Mapping[str, str] = _NO_HELP) -> dict[str, Any]:
    """Configure columns of a table that hold numbers as text."""
    text = st.column_config.TextColumn
    return {name: text(alignment="right", help=help.get(name)) for name in names}


def show_rows(
    rows: Sequence[Mapping[str, object]],
    columns: Mapping[str, Any],
    faulty: Sequence[bool] = (),
    row_height: int | None = None,
) -> None:
    """Show a table; rows about models of no use are red, and ``row_height`` is in pixels."""
    frame = pd.DataFrame(rows)
    red = frame.style.apply(lambda column: [RED_GROUND * fault for fault in faulty])
    st.dataframe(
        red if any(faulty) else frame,
        hide_index=True,
        width="stretch",
        height="content" if len(rows) <= _ROWS_AT_ONCE else "auto",
        column_config=columns,
        row_height=row_height,
    )
