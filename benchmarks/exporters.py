"""Networks as torch's exporters write them, against the catalogue's route: errors and operators.

Writes ``exporters.json`` after every network and ``exporters.md`` from it; a network that is in the
former is not converted again.

    python -m benchmarks.exporters mobilenet_v2 swin_t
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

import engine
from engine.networks.catalog import torch_source
from engine.networks.runners.tflite import TfliteRunner
from engine.networks.source import ModelChoice

NETWORKS = (
    "mobilenet_v2",
    "mobilenet_v3_small",
    "resnet18",
    "efficientnet_b0",
    "convnext_tiny",
    "vit_b_16",
    "swin_t",
    "shufflenet_v2_x1_0",
)
EXPORTS = ("plain", "13", "18", "21", "23", "25")
"""How a network is exported: as PyTorch's documentation says, or for an operator set."""

_FOLDER = Path(__file__).parent
_SIZE = 224


def main(names: list[str]) -> None:
    """Convert the networks that the record lacks, and write the table."""
    record = _FOLDER / "exporters.json"
    rows: list[dict[str, Any]] = json.loads(record.read_text()) if record.is_file() else []
    for name in names or NETWORKS:
        if name not in {row["model"] for row in rows}:
            rows += _rows_of(name)
            record.write_text(json.dumps(rows, indent=1) + "\n")
    (_FOLDER / "exporters.md").write_text(_table(rows))


def _rows_of(name: str) -> list[dict[str, Any]]:
    network = torch_source(ModelChoice(name=name, random_weights=True)).build()
    picture = torch.randn(1, 3, _SIZE, _SIZE, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        logits = network(picture).numpy()
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        route = engine.convert(
            name, random_weights=True, variants=["float32"], out=Path(folder) / "catalogue"
        )
        usual = route.artifact("float32").operators
        for how in EXPORTS:
            file = Path(folder) / how / "model.onnx"
            file.parent.mkdir()
            row: dict[str, Any] = {"model": name, "export": how}
            rows.append(row)
            try:
                torch.onnx.export(network, (picture,), file, **_options(how))
                run = engine.convert(
                    onnx=file,
                    variants=["float32", "int8"],
                    calibration_count=8,
                    out=Path(folder) / f"run {how}",
                )
            except (engine.EngineError, torch.onnx.errors.OnnxExporterError) as error:
                row["failed"] = str(error).splitlines()[0].replace("|", "/")
                continue
            row |= {
                "opset": run.manifest.opset,
                "error": _error(run, picture.numpy(), logits),
                "int8": "int8" in run.variants,
                "operators": _differences(run.artifact("float32").operators, usual),
            }
    return rows


def _options(how: str) -> dict[str, Any]:
    if how == "plain":
        return {}
    if how == "13":
        return {"opset_version": 13, "dynamo": False}
    return {"opset_version": int(how)}


def _error(run: engine.Run, picture: np.ndarray, logits: np.ndarray) -> float:
    with TfliteRunner(run.folder / run.artifact("float32").file, layout="NHWC") as runner:
        answers = runner.infer(picture.transpose(0, 2, 3, 1))
    return float(np.abs(answers - logits).max() / np.abs(logits).max())


def _differences(operators: Mapping[str, int], usual: Mapping[str, int]) -> dict[str, int]:
    kinds = sorted(operators.keys() | usual.keys())
    changes = {kind: operators.get(kind, 0) - usual.get(kind, 0) for kind in kinds}
    return {kind: change for kind, change in changes.items() if change}


def _table(rows: list[dict[str, Any]]) -> str:
    lines = [
        "Largest error of a logit against the module's own, as a share of the largest logit, and",
        "the float32 file's operators against those of the catalogue's route.",
        "",
        "| network | export | opset | float32 error | int8 | operators |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        cells = [row["model"], row["export"]]
        if "failed" in row:
            cells += ["", "", "", row["failed"]]
        else:
            changes = ", ".join(f"{kind} {n:+d}" for kind, n in row["operators"].items())
            status = "made" if row["int8"] else "missing"
            cells += [str(row["opset"]), f"{row['error']:.1e}", status, changes or "the same"]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main(sys.argv[1:])
