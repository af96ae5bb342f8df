"""A run as plain data."""

from __future__ import annotations

from typing import Any

import msgspec

from engine.comparison.comparison import Comparison
from engine.comparison.latency import Latency
from engine.comparison.serialize import latency_dict
from engine.runs.manifest import Manifest


def run_report(
    manifest: Manifest,
    comparison: Comparison | None,
    timed: Latency | None,
    against: Comparison | None = None,
) -> dict[str, Any]:
    """Everything known about a run, in plain types.

    Args:
        manifest: The run's manifest.
        comparison: On some pictures, where there were some.
        timed: Timings, where there are some.
        against: Of another run on the same pictures, where it is held against one.

    Returns:
        The keys ``manifest``, ``comparison``, ``latency`` and ``against``; None for what there is
        not.
    """
    return {
        "manifest": msgspec.to_builtins(manifest),
        "comparison": None if comparison is None else comparison.to_dict(),
        "latency": None if timed is None else latency_dict(timed),
        "against": None if against is None else against.to_dict(),
    }
