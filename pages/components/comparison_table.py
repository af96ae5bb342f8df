"""A comparison as a table."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import streamlit as st
from pandas.io.formats.style import Styler

from engine.comparison.comparison import Comparison
from engine.reporting import tables
from engine.reporting.glossary import meaning
from pages.components.faults import RED_GROUND


def show_table(comparison: Comparison) -> None:
    """Show one row a variant: agreement, differences, size."""
    show_columns(comparison, tables.LOGITS)


def show_columns(comparison: Comparison, columns: Sequence[tables.Column]) -> None:
    """Show one row a variant.

    Args:
        comparison: The figures.
        columns: Some of the columns of `engine.reporting.tables`.
    """
    table = tables.comparison_table(comparison, columns)
    rows = [
        {"variant": f"{name} {table.faults[name]}" if name in table.faults else name}
        | {column.title: cell for column, cell in zip(table.columns, cells, strict=True)}
        for name, cells in table.rows
    ]
    right = {
        column.title: st.column_config.TextColumn(alignment="right", help=meaning(column.term))
        for column in table.columns
    }
    data = rows_in_red(pd.DataFrame(rows), [name in table.faults for name, _ in table.rows])
    st.dataframe(data, hide_index=True, column_config=right, width="stretch")


def rows_in_red(frame: pd.DataFrame, faulty: Sequence[bool]) -> pd.DataFrame | Styler:
    """Mark rows about models of no use, for `st.dataframe`."""
    marked = frame.style.apply(lambda column: [RED_GROUND * fault for fault in faulty])
    return marked if any(faulty) else frame
