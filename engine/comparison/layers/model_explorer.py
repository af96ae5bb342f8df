"""Layer errors as node data for Google's Model Explorer, which shows them on the graph.

A file of node data holds one figure: a graph's ``results`` by the names of output tensors, with a
gradient for the nodes' colours (the schema of the package ``ai-edge-model-explorer``,
``node_data_builder.GraphNodeData``). Open the integer TFLite file there and add the files.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from engine.comparison.layers.records import LayerErrors

GOOD, BAD = "#e6f4ea", "#d93025"
FIGURES: Mapping[str, tuple[str, bool]] = {
    "own_sqnr_db": ("own SQNR, dB", True),
    "sqnr_db": ("cumulative SQNR, dB", True),
    "mean_shift": ("mean shift", False),
    "saturation": ("share at the ends of the range", False),
    "range_used": ("share of the range used", True),
    "weight_sqnr_db_worst": ("worst channel's weight SQNR, dB", True),
}
"""Titles of the figures written, by key of `LayerErrors.rows`, and whether more is better."""


def node_data_files(errors: LayerErrors, file: str) -> dict[str, str]:
    """Make the files to write.

    Args:
        errors: The layer errors.
        file: Name of the first file, for the own SQNR; those for other figures get their key
            before the ending.

    Returns:
        Content by name of the file. Operators without a figure are left out of its file.
    """
    path = Path(file)
    names = {
        key: str(path if number == 0 else path.with_name(f"{path.stem}.{key}{path.suffix}"))
        for number, key in enumerate(FIGURES)
    }
    return {names[key]: json.dumps(_node_data(errors, key), indent=2) + "\n" for key in FIGURES}


def _node_data(errors: LayerErrors, key: str) -> dict[str, Any]:
    title, more_is_better = FIGURES[key]
    rows = [row for row in errors.rows() if row["matched"] and row[key] is not None]
    ends = (BAD, GOOD) if more_is_better else (GOOD, BAD)
    return {
        "name": f"{errors.variant}: {title}",
        "results": {row["name"]: {"value": row[key]} for row in rows},
        "gradient": [{"stop": stop, "bgColor": ends[stop]} for stop in (0, 1)],
    }
