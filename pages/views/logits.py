"""One picture with every model's logits, and the table of a comparison."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from engine.comparison.comparison import Comparison
from engine.core import formats
from engine.images.pictures import Picture
from engine.images.preprocess import PreprocessSpec
from engine.networks.load import preprocess_words
from engine.reporting import plots, tables
from engine.reporting.glossary import meaning
from engine.reporting.plots.palette import marker_image
from engine.reporting.text.runs import reference_title
from pages.state import session as address
from pages.state.evaluation import Evaluation
from pages.state.messages import html, plain
from pages.state.session import scroll_to
from pages.views.figures import align_right, show_described_figure, show_rows

_ROW = "at"
_CLASSES = 5
_WORST = 5


def link_to_logits(evaluation: Evaluation, row: int, label: str) -> None:
    """Show a link to one picture's logits on the page Logits, where it comes into view."""
    st.page_link(
        "pages/dashboard/logit_differences.py",
        label=label,
        icon=":material/scatter_plot:",
        # By its row: a name comes from outside, and no link holds such text.
        query_params={_ROW: str(row)},
    )


def choose_picture(names: Sequence[str], rows: list[int], clicked: int | None) -> int:
    """Show the pictures of some rows to choose from; the address names the one chosen.

    ``clicked`` is the row that was chosen in a figure, if any.
    """
    named, linked = address.named("picture"), st.query_params.get(_ROW, "")
    start = clicked
    if linked in map(str, range(len(names))):
        start = int(linked)
    elif start is None:
        start = names.index(named) if named in names else rows[0]
    row = st.selectbox(
        "Picture",
        options := rows if start in rows else [start, *rows],
        index=options.index(start),
        format_func=lambda row: names[row],
        label_visibility="collapsed",
    )
    address.name("picture", names[row])
    return row


def show_worst(comparison: Comparison, rows: Sequence[int]) -> None:
    """Show for a phone the pictures that lead some rows, each with the variant that moves it most.

    Where there is room, the heatmap shows them; see ``look.css``.
    """
    leading = rows[:_WORST]
    worst = [
        max(comparison.variants, key=lambda side: np.nan_to_num(side.picture_rms[row], nan=np.inf))
        for row in leading
    ]
    values = [side.picture_rms[row] for side, row in zip(worst, leading, strict=True)]
    most = max((value for value in values if np.isfinite(value)), default=1.0) or 1.0
    lines = (
        f"<li>{html(comparison.pictures[row])}: <b>{formats.logits(value)}</b> in "
        f"{marker_image(side.variant)} {html(side.variant)}"
        f'<i style="--share:{value / most if np.isfinite(value) else 1:.3f}"></i></li>'
        for row, side, value in zip(leading, worst, values, strict=True)
    )
    with st.container(key="worst_moved"):
        st.html(f'<ol class="q-moved">{"".join(lines)}</ol>')


def show_picture(evaluation: Evaluation, row: int) -> None:
    """Show the picture of a row beside its largest logits."""
    if st.query_params.pop(_ROW, None) is not None:
        scroll_to("one_picture", row, block="start")
    comparison = evaluation.comparison
    left, right = st.container(key="one_picture").columns([2, 3], gap="medium")
    picture = evaluation.pictures[row]
    with left:
        given, seen = st.columns(2)
        given.image(picture.decode(), caption=plain(picture.name), alt=picture.name)
        with seen:
            _show_input(evaluation.run.manifest.preprocess, picture)
    columns = (comparison.reference, *(variant.variant for variant in comparison.variants))
    reference, *others = (np.asarray(evaluation.comparable(c, *columns)[row]) for c in columns)
    labels = tuple(map(evaluation.label, range(len(reference))))
    rows = dict(zip(columns[1:], others, strict=True))
    baseline = reference_title(comparison)
    description = f"The largest logits of {picture.name} in {baseline} and variants."
    with right:
        show_described_figure(
            f"top_logits_{row}",
            description,
            plots.top_logits,
            labels,
            reference,
            rows,
            _CLASSES,
            baseline,
        )


def _show_input(preprocess: PreprocessSpec, picture: Picture) -> None:
    size = formats.sides((preprocess.height, preprocess.width))
    fitting = preprocess_words(preprocess, ("channel_order", "resize", "resize_size", "pad_value"))
    st.image(
        _visible(picture.sha256, preprocess.fitting_key, picture, preprocess),
        caption=f"As the network sees it: {size} pixels; {plain(fitting)}",
        alt=f"{picture.name} as the network sees it",
    )


@st.cache_data(scope="session", max_entries=20, show_spinner=False)
def _visible(
    sha256: str, fitting: str, _picture: Picture, _preprocess: PreprocessSpec
) -> NDArray[np.uint8]:
    return _preprocess.visible(_picture.decode(_preprocess.picture_mode))


def show_comparison(comparison: Comparison, columns: Sequence[tables.Column]) -> None:
    """Show one row a variant, with columns of `engine.reporting.tables`."""
    table = tables.comparison_table(comparison, columns)
    rows = [
        {"variant": f"{name} {table.faults[name]}" if name in table.faults else name}
        | {column.title: cell for column, cell in zip(table.columns, cells, strict=True)}
        for name, cells in table.rows
    ]
    terms = {column.title: meaning(column.term) for column in table.columns}
    show_rows(rows, align_right(terms, terms), [name in table.faults for name, _ in table.rows])
