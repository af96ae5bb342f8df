"""A bench whose figures are easy to follow by hand."""

from __future__ import annotations

from benchmarks.attempts import Precision
from benchmarks.checks import Check
from benchmarks.results import Entry, ModelResult, Results


def entry(
    tool: str,
    precision: Precision,
    *samples_ms: float,
    failure: str | None = None,
    note: str = "",
) -> Entry:
    check = Check(
        file_bytes=2_000_000,
        sha256="0" * 64,
        operators={"CONV_2D": 5, "TRANSPOSE": 2},
        layout="NHWC",
        input_dtype="float32",
        output_dtype="float32",
        max_rel_error=1.5e-6,
        sqnr_db=20.25,
        agreement=1.0,
    )
    return Entry(
        tool=tool,
        precision=precision,
        failure=failure,
        import_seconds=None if failure else 2.0,
        convert_seconds=None if failure else 3.5,
        note=note,
        check=None if failure else check,
        samples_ms=(samples_ms,) if samples_ms else (),
    )


def model(name: str, *entries: Entry) -> ModelResult:
    return ModelResult(
        model=name,
        parameters=1000,
        height=224,
        width=224,
        random_weights=True,
        opset=13,
        measured_at="2026-01-02T03:04:05+00:00",
        host="a machine",
        cores=2,
        int8_edges="int8",
        entries=entries,
    )


def results(*models: ModelResult) -> Results:
    return Results(
        made_at="2026-01-02T03:04:05+00:00",
        threads=1,
        calibration_pictures=20,
        check_pictures=13,
        runtime="2.3.0",
        versions={"ours": {"torch": "1"}, "fast": {"fast": "2"}, "slow": {"slow": "3"}},
        models=models,
    )


def two_models() -> Results:
    """Ours: half of fast's latency in net_a, where slow failed, and twice slow's in net_b."""
    return results(
        model(
            "net_a",
            entry("ours", "float32", 1.0, 1.0, 1.0),
            entry("fast", "float32", 2.0, 2.0, 2.0),
            entry("slow", "float32", failure="OpError: no kernel for Frobnicate"),
        ),
        model(
            "net_b",
            entry("ours", "float32", 4.0, 4.0, 4.0),
            entry("fast", "float32", 8.0, 8.0, 8.0),
            entry("slow", "float32", 2.0, 2.0, 2.0, note="one scale a tensor"),
        ),
    )
