"""Figures on a page: the headline as text, the plot, and its downloads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import plotly.graph_objects as go
import streamlit as st

from engine import plots
from pages.components.problems import plain

PNG, SVG = "PNG", "SVG"


@st.cache_data(scope="session", max_entries=24, show_spinner=False)
def kept_figure(key: str, _make: Callable[[], go.Figure]) -> go.Figure:
    """A figure that takes a while over many pictures, made once for each key.

    Args:
        key: Tells it from every other figure; see `pages.components.evaluation.key_of`.
        _make: Makes it.
    """
    return _make()


def show_figure(figure: go.Figure, key: str) -> None:
    """Show a figure under the headline that its data gave it.

    Args:
        figure: A figure of `engine.plots`; its title is taken off.
        key: Unique on the page; also the stem of saved files.
    """
    headline = plots.headline_of(figure)
    st.header(plain(headline), anchor=False)
    st.plotly_chart(
        plots.take_title_off(figure),
        key=f"figure_{key}",
        config=_config(key),
        alt=headline,
    )
    _saving(figure, key)


def show_picking_figure(figure: go.Figure, key: str) -> list[dict[str, Any]]:
    """Show a figure whose marks can be clicked.

    Args:
        figure: A figure of `engine.plots`; its title is taken off.
        key: Unique on the page; also the stem of saved files.

    Returns:
        The marks that are chosen.
    """
    headline = plots.headline_of(figure)
    st.header(plain(headline), anchor=False)
    picked = st.plotly_chart(
        plots.take_title_off(figure),
        key=f"figure_{key}",
        config=_config(key),
        alt=headline,
        on_select="rerun",
    )
    _saving(figure, key)
    points: list[dict[str, Any]] = picked["selection"]["points"]
    return points


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
