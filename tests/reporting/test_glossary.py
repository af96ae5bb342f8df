from __future__ import annotations

import pytest

from engine.core.errors import OptionError
from engine.reporting import glossary, tables
from tests.helpers.factories import LOGITS, comparison, latency


def test_every_column_of_a_table_is_explained() -> None:
    for columns in (tables.OVERVIEW, tables.LOGITS, tables.EVERYTHING):
        for column in columns:
            assert glossary.meaning(column.term).endswith(".")


def test_ratios_mean_what_their_keys_in_json_hold() -> None:
    timed = latency({"float32": 8.0, "int8": 4.0})
    found = comparison(
        {"float32": LOGITS, "int8": LOGITS},
        sizes={"float32": 400, "int8": 100},
        float32_bytes=400,
        latency=timed,
    )
    figures = found.to_dict()["variants"]["int8"]
    assert (figures["size_ratio"], figures["latency_ratio"]) == (0.25, 0.5)
    for term in ("size ratio", "latency ratio"):
        assert (
            glossary.meaning(term)
            .partition(" divided by ")[0]
            .endswith(("variant's file", "variant"))
        )
    shown = dict(
        zip(
            ("smaller", "quicker"),
            tables.comparison_table(found, (tables.SMALLER, tables.QUICKER)).rows[1][1],
            strict=True,
        )
    )
    assert shown == {"smaller": "4.0\xa0×", "quicker": "2.0\xa0×"}
    for column in (tables.SMALLER, tables.QUICKER):
        assert "float32" in glossary.meaning(column.term).partition(" divided by ")[0]


def test_an_unknown_term_is_a_sentence() -> None:
    with pytest.raises(OptionError, match="glossary"):
        glossary.meaning("flux")
