"""Figures on a page: the headline as text, the plot, and its downloads."""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go
import streamlit as st

from engine.comparison.comparison import Comparison
from engine.reporting import plots
from engine.reporting.plots.figures import fault_marks
from engine.tasks.evaluation import Evaluation
from pages.state.evaluation import key_of
from pages.state.messages import plain
from pages.state.session import current_run

PNG, SVG = "PNG", "SVG"


@dataclass(frozen=True, slots=True)
class HeadedFigure:
    """A figure for a place that shows its headline as text of its own.

    Attributes:
        headline: What its data say; empty where it has none.
        figure: Without it; never to be changed, since the session keeps it.
    """

    headline: str
    figure: go.Figure


def show_figure(key: str, make: Callable[..., go.Figure], *made_from: Any) -> None:
    """Show a figure under the headline that its data gave it.

    Args:
        key: Unique on the page; also the stem of saved files.
        make: Makes it: a function of `engine.reporting.plots` or `engine.reporting.plots.figures`.
        made_from: Its arguments.
    """
    shown = _figure(make, *made_from)
    st.header(plain(shown.headline), anchor=False)
    _show(key, shown.figure, shown.headline, made_from)


def show_described_figure(
    key: str, description: str, make: Callable[..., go.Figure], *made_from: Any
) -> None:
    """Show a figure below words of the page's own.

    Args:
        key: Unique on the page; also the stem of saved files.
        description: What it says, for those who do not see it.
        make: Makes it: a function of `engine.reporting.plots` or `engine.reporting.plots.figures`.
        made_from: Its arguments.
    """
    _show(key, _figure(make, *made_from).figure, description, made_from)


def show_picking_figure(
    key: str, make: Callable[..., go.Figure], *made_from: Any
) -> list[dict[str, Any]]:
    """Show a figure whose marks can be clicked.

    Args:
        key: Unique on the page; also the stem of saved files.
        make: Makes it: a function of `engine.reporting.plots` or `engine.reporting.plots.figures`.
        made_from: Its arguments.

    Returns:
        The marks that are chosen.
    """
    shown = _figure(make, *made_from)
    st.header(plain(shown.headline), anchor=False)
    _show_fault_marks(shown.figure, made_from)
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


def _figure(make: Callable[..., go.Figure], *made_from: Any) -> HeadedFigure:
    """A figure, made once a session from the same: Plotly takes a while over each."""
    # An evaluation holds the logits of every picture, and has a key that is shorter.
    told = [key_of(one) if isinstance(one, Evaluation) else one for one in made_from]
    key = pickle.dumps((make.__module__, make.__qualname__, told))
    return _kept(hashlib.sha256(key).hexdigest(), lambda: make(*made_from))


@st.cache_resource(scope="session", max_entries=48, show_spinner=False)
def _kept(key: str, _make: Callable[[], go.Figure]) -> HeadedFigure:
    figure = _make()
    return HeadedFigure(plots.headline_of(figure), plots.take_title_off(figure))


def _show(key: str, figure: go.Figure, description: str, made_from: tuple[Any, ...]) -> None:
    _show_fault_marks(figure, made_from)
    st.plotly_chart(figure, key=f"figure_{key}", config=_config(key), alt=description)
    _saving(figure, key)


def _show_fault_marks(figure: go.Figure, made_from: tuple[Any, ...]) -> None:
    """Say in red which variants that a figure draws are of no use, by what it is made from."""
    run = current_run()
    faults = {} if run is None else dict(run.faults)
    for source in made_from:
        comparison = source.comparison if isinstance(source, Evaluation) else source
        if isinstance(comparison, Comparison):
            faults |= comparison.fault_by_variant
    for mark in fault_marks(figure, faults):
        st.markdown(f":red[:material/error: {plain(mark)}]")


def _config(key: str) -> dict[str, Any]:
    """Plotly's toolbar; its camera saves in the format that was chosen below the plot."""
    kind = st.session_state.get(f"format_{key}") or PNG
    picture = {"format": str(kind).lower(), "filename": key, "scale": 2}
    return {"displaylogo": False, "toImageButtonOptions": picture}


def _saving(figure: go.Figure, key: str) -> None:
    with (
        st.container(horizontal=True, horizontal_alignment="right"),
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
            "The camera above the plot saves",
            [PNG, SVG],
            default=PNG,
            required=True,
            key=f"format_{key}",
        )
