"""What became of each model of the coverage run, as a page."""

from __future__ import annotations

import html
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from engine.core import formats
from engine.core.limits import LARGEST_FILE_BYTES

ERROR_LIMIT = 1e-4
_HEAD = (
    "model",
    "parameters",
    "input",
    "opset",
    "float32 error",
    "operators",
    "TRANSPOSE",
    "float32",
    "int8",
    "int8 SQNR",
    "time",
    "memory",
    "result",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One model.

    Attributes:
        name: Name in the catalogue.
        parameters: Number of parameters.
        input_size: Height and width of its input in pixels.
        seconds: Wall time of the whole conversion, checks included.
        peak_bytes: Largest resident memory of the worker process.
        opset: ONNX operator set; None where float32 failed, as for all down to ``operators``.
        error: Largest difference of a logit to PyTorch's over the check pictures, divided by the
            largest absolute logit.
        float32_bytes: Size of the float32 file.
        operators: How often each operator occurs in the float32 file.
        int8_bytes: Size of the int8 file; None where int8 failed.
        int8_sqnr_db: Signal to quantization noise ratio of its logits on the check pictures.
        float32_reason: Why float32 failed; None where it did not.
        int8_reason: Why int8 failed, or what makes its answers useless; None where neither is.
        converter: Digest of the source that it was tried with.
        made_on: Date on which it was tried.
        host: The machine on which it was tried.
    """

    name: str
    parameters: int
    input_size: int
    seconds: float
    peak_bytes: int
    opset: int | None = None
    error: float | None = None
    float32_bytes: int | None = None
    operators: Mapping[str, int] | None = None
    int8_bytes: int | None = None
    int8_sqnr_db: float | None = None
    float32_reason: str | None = None
    int8_reason: str | None = None
    converter: str = ""
    made_on: str = ""
    host: str = ""

    @property
    def too_large(self) -> bool:
        """Whether its float32 file cannot exist."""
        return 4 * self.parameters > LARGEST_FILE_BYTES

    @property
    def float32_ok(self) -> bool:
        """Whether it converts to float32 and answers like PyTorch within `ERROR_LIMIT`."""
        return self.error is not None and self.error <= ERROR_LIMIT

    @property
    def int8_ok(self) -> bool:
        """Whether it converts to int8 and gives finite logits that follow the picture."""
        return self.int8_bytes is not None and self.int8_reason is None


def as_markdown(
    title: str,
    rows: Sequence[Row],
    *,
    missing: Sequence[str],
    versions: Mapping[str, str],
    calibration_count: int,
) -> str:
    """Write the page.

    Args:
        title: First line of the page.
        rows: Models that were tried.
        missing: Names of models that were not.
        versions: Versions of the packages that take part.
        calibration_count: Pictures that int8 was calibrated with.

    Returns:
        The page in Markdown.
    """
    ordered = sorted(rows, key=lambda row: row.parameters)
    possible = [row for row in ordered if not row.too_large]
    float32 = sum(row.float32_ok for row in possible)
    int8 = sum(row.int8_ok for row in possible)
    packages = ", ".join(f"{name} {version}" for name, version in versions.items())
    lines = [
        title,
        "",
        f"Made by `make coverage`, with {packages}. {_tries(ordered)}",
        "",
        f"Of {len(possible)} models whose float32 file can exist (2.1 GB is the most that the "
        f"format holds), **{_share(float32, len(possible))} convert to float32** with a relative "
        f"error of at most {ERROR_LIMIT:g}, and **{_share(int8, len(possible))} to int8** with "
        "answers that are finite and not the same for every picture.",
        "",
    ]
    if missing:
        lines += [f"Not tried: {', '.join(missing)}.", ""]
    lines += [
        "Weights are random, chosen so that the answers differ from picture to picture. The error "
        "is the largest difference of a logit to PyTorch's on four sample pictures, divided by the "
        f"largest logit. int8 was calibrated with {calibration_count} pictures only, so its SQNR "
        "(of logits, against float32) says whether it works, not how well it can be. Operators are "
        "those of the float32 file; time is that of the whole conversion to both variants, checks "
        "included, on a machine that may have had other work. A row stays until the model is tried "
        "again, so it may be of an older converter than today's.",
        "",
        _line(_HEAD),
        _line(["---", *["--:"] * 11, "---"]),
        *(_line(_cells(row)) for row in ordered),
    ]
    failed = [row for row in ordered if _reasons(row)]
    if failed:
        lines += ["", "## What failed, and why", ""]
        lines += [f"- `{row.name}`: {html.escape(_reasons(row), quote=False)}" for row in failed]
    return "\n".join(lines) + "\n"


def _cells(row: Row) -> list[str]:
    operators = row.operators
    return [
        row.name,
        f"{row.parameters / 1e6:.1f} M",
        str(row.input_size),
        _or_unknown(row.opset),
        formats.small(row.error),
        formats.UNKNOWN if operators is None else str(sum(operators.values())),
        formats.UNKNOWN if operators is None else str(operators.get("TRANSPOSE", 0)),
        formats.megabytes(row.float32_bytes),
        formats.megabytes(row.int8_bytes),
        formats.UNKNOWN if row.int8_sqnr_db is None else f"{row.int8_sqnr_db:.1f} dB",
        formats.seconds(row.seconds),
        f"{row.peak_bytes / 1e9:.1f} GB",
        _result(row),
    ]


def _result(row: Row) -> str:
    if row.too_large:
        return "too large for the format"
    if row.float32_ok and row.int8_ok:
        return "both"
    works = [name for name, ok in (("float32", row.float32_ok), ("int8", row.int8_ok)) if ok]
    return f"**{works[0]} only**" if works else "**neither**"


def _reasons(row: Row) -> str:
    reasons = []
    if row.float32_reason is not None:
        reasons.append(f"float32: {row.float32_reason}")
    elif not row.float32_ok:
        reasons.append(f"float32: the error {row.error:.2g} is above {ERROR_LIMIT:g}")
    if row.int8_reason is not None and row.int8_reason != row.float32_reason:
        reasons.append(f"int8: {row.int8_reason}")
    return "; ".join(reasons)


def _tries(rows: Sequence[Row]) -> str:
    """When and where the models were tried, and with which state of the converter."""
    counts = Counter((row.made_on, row.host, row.converter) for row in rows)
    sentences = [
        f"{count} on {day}, on {host} (converter {converter})"
        for (day, host, converter), count in sorted(counts.items())
    ]
    return f"Models tried: {'; '.join(sentences)}."


def _share(count: int, total: int) -> str:
    return f"{count} ({formats.percent(count / total if total else None)})"


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _or_unknown(value: int | None) -> str:
    return formats.UNKNOWN if value is None else str(value)
