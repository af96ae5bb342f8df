"""The results as a Markdown table."""

from __future__ import annotations

from benchmarks.attempts import PRECISIONS, Precision
from benchmarks.results import OURS, Entry, Results
from benchmarks.statistics import Ratio

NOTHING = "–"


def markdown(results: Results) -> str:
    """Everything a reader wants to hold against another, one table a precision.

    Args:
        results: A bench.

    Returns:
        A page of Markdown.
    """
    parts = ["# The bench", "", *_preface(results)]
    for precision in PRECISIONS:
        parts += ["", f"## {precision}", "", headline(results, precision), ""]
        parts += _ratio_table(results, precision)
        parts += ["", "What stands behind it:", "", *_figure_table(results, precision)]
    parts += ["", "## What failed", "", *failures(results)]
    parts += ["", "## What to know", "", *_notes(results)]
    return "\n".join(parts) + "\n"


def headline(results: Results, precision: Precision) -> str:
    """One sentence: the geometric mean over models of ours over the quickest peer."""
    result = results.mean_to_best(precision)
    if result is None:
        return "No model was timed with ours and a peer."
    mean, names = result
    left_out = [row.model for row in results.models if row.model not in names]
    sentence = (
        f"Geometric mean of ours ÷ quickest peer over {len(names)} models: "
        f"**{_interval(mean)}** (below 1, ours is quicker)."
    )
    return sentence + (f" Left out: {', '.join(left_out)}." if left_out else "")


def _preface(results: Results) -> list[str]:
    hosts = sorted({result.host for result in results.models if result.host})
    versions = [
        f"- {tool}: " + ", ".join(f"{name} {version}" for name, version in packages.items())
        for tool, packages in results.versions.items()
    ]
    return [
        f"Made {results.made_at} by `make bench` on {'; '.join(hosts) or 'no machine'}. "
        f"LiteRT {results.runtime}, {results.threads} thread; the files of one model and precision "
        "are timed in turns, in several processes. Ratios are of medians, with 95 % intervals from "
        "a bootstrap over processes and rounds. Only efficientnet_lite0 has trained weights; the "
        "errors of the others are those of random weights, so hold them against each other only. "
        f"Errors are over {results.check_pictures} pictures, int8 is calibrated with "
        f"{results.calibration_pictures} crops. Seconds run from starting Python to the file, "
        "imports and (for ours) all checks of the hops included; they were taken one converter "
        "after the other, so other work on the machine shows in them.",
        "",
        *versions,
    ]


def _ratio_table(results: Results, precision: Precision) -> list[str]:
    tools = list(results.versions)
    peers = [tool for tool in tools if tool != OURS]
    head = ["model", *(f"{tool} ms" for tool in tools), *(f"ours ÷ {peer}" for peer in peers)]
    rows = []
    for result in results.models:
        times = [_milliseconds(result.entry(tool, precision)) for tool in tools]
        ratios = [_interval(result.ratio(peer, precision)) for peer in peers]
        rows.append(
            [f"`{result.model}`", *times, *ratios, _interval(result.ratio_to_best(precision))]
        )
    return _table([*head, "ours ÷ quickest"], rows)


def _figure_table(results: Results, precision: Precision) -> list[str]:
    error = "max error" if precision == "float32" else "SQNR"
    head = ["model", "converter", "seconds", "MB", error, "TRANSPOSE", "RESHAPE", "operators"]
    rows = []
    for result in results.models:
        for tool in results.versions:
            entry = result.entry(tool, precision)
            if entry is not None:
                rows.append([f"`{result.model}`", tool, *_figures(entry)])
    return _table(head, rows)


def _figures(entry: Entry) -> list[str]:
    seconds = NOTHING if entry.total_seconds is None else f"{entry.total_seconds:.1f}"
    check = entry.check
    if check is None:
        return [seconds, "failed", *[NOTHING] * 4]
    if entry.precision == "float32":
        error = f"{check.max_rel_error:.1e}"
    else:
        error = NOTHING if check.sqnr_db is None else f"{check.sqnr_db:.1f} dB"
    counts = [check.operators.get(name, 0) for name in ("TRANSPOSE", "RESHAPE")]
    total = sum(check.operators.values())
    return [seconds, f"{check.file_bytes / 1e6:.1f}", error, *map(str, [*counts, total])]


def failures(results: Results) -> list[str]:
    """One line of Markdown for every file that a converter did not make, or that does not run."""
    lines = [
        f"- `{result.model}`, {entry.tool}, {entry.precision}: {entry.failure}"
        for result in results.models
        for entry in result.entries
        if entry.failure is not None
    ]
    return lines or ["Nothing."]


def _notes(results: Results) -> list[str]:
    edges = sorted({result.int8_edges for result in results.models})
    lines = [f"- Input and output of the int8 files: {', '.join(edges)}, the same for all."]
    return lines + [
        f"- `{result.model}`, {entry.tool}, {entry.precision}: {entry.note}."
        for result in results.models
        for entry in result.entries
        if entry.note and entry.failure is None
    ]


def _milliseconds(entry: Entry | None) -> str:
    return NOTHING if entry is None or not entry.samples_ms else f"{entry.median_ms:.2f}"


def _interval(ratio: Ratio | None) -> str:
    return NOTHING if ratio is None else f"{ratio.value:.2f} ({ratio.low:.2f}–{ratio.high:.2f})"


def _table(head: list[str], rows: list[list[str]]) -> list[str]:
    rule = ["---", *["--:"] * (len(head) - 1)]
    return [f"| {' | '.join(cells)} |" for cells in [head, rule, *rows]]
