from __future__ import annotations

import pytest

from engine import glossary, tables
from engine.errors import OptionError


def test_every_column_of_a_table_is_explained() -> None:
    for columns in (tables.OVERVIEW, tables.LOGITS, tables.EVERYTHING):
        for column in columns:
            assert glossary.meaning(column.term).endswith(".")


def test_an_unknown_term_is_a_sentence() -> None:
    with pytest.raises(OptionError, match="glossary"):
        glossary.meaning("flux")
