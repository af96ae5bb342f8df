from __future__ import annotations

import numpy as np

from engine.reporting import tables
from tests.helpers.factories import LOGITS, comparison, latency, memory_use


def test_cells_by_hand() -> None:
    found = comparison(
        {"float32": LOGITS, "int8": LOGITS[:, [1, 0, 2]]},
        sizes={"float32": 4_000_000, "int8": 1_000_000},
        float32_bytes=4_000_000,
        latency=latency({"float32": 8.0, "int8": 4.0}),
    )
    table = tables.comparison_table(found, tables.OVERVIEW)
    assert [column.title for column in table.columns][-1] == "logit rms"
    assert table.rows[1] == (
        "int8",
        ("1.0\xa0MB", "4.0\xa0×", "4.0\xa0ms", "2.0\xa0×", "1 of 3", "1.414"),
    )


def test_memory_is_shown_where_it_was_measured() -> None:
    answers = {"float32": LOGITS, "int8": LOGITS}
    found = comparison(answers, memory=memory_use({"int8": 15e6}))
    table = tables.comparison_table(found, tables.OVERVIEW)
    assert [column.title for column in table.columns][4:6] == ["peak memory", "load"]
    cells = [row[4:6] for _, row in table.rows]
    assert cells == [("–", "–"), ("15.0\xa0MB", "2.0\xa0ms")]


def test_accuracy_is_a_column_where_labels_are_known() -> None:
    found = comparison({"int8": LOGITS}, labels=np.array([0, 1, 0]))
    table = tables.comparison_table(found, tables.LOGITS)
    assert table.columns[-1].title == "right answers"
    assert table.rows[0][1][-1] == "2 of 3"
    assert table.rows[0][1][-2] == "–", "the size is not known"
