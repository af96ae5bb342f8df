"""Kits of tiny models, made in this process in milliseconds."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from engine.comparison.comparison import compare
from engine.core.types import Layout
from engine.deployment.kit import DeployRequest, run_deploy, write_texts
from engine.images.pictures import picture_at
from engine.images.preprocess import PreprocessSpec
from engine.runs.manifest import FILE_NAME
from engine.runs.run import Run
from engine.tasks.targets import read_memory
from engine.tflite.artifact import artifact_of
from tests.helpers.tiny_run import CLASSES, SIDE, tiny_run
from tests.helpers.tiny_tflite import reshape_file

LABELS = tuple(f"class, no. {index}" for index in range(CLASSES))
SPEC = PreprocessSpec(
    height=SIDE,
    width=SIDE,
    resize_size=SIDE + 2,
    interpolation="bicubic",
    channel_order="BGR",
    mean=(0.1, 0.2, 0.3),
    std=(0.5, 0.6, 0.7),
)


def run_of(
    folder: Path,
    dtype: str,
    layout: Layout = "NHWC",
    spec: PreprocessSpec = SPEC,
    labels: tuple[str, ...] | None = LABELS,
    batch: int = 1,
) -> Run:
    """A run whose variant ``int8`` has edges of a type and layout, whatever its name says."""
    run = tiny_run(folder)
    shape = (batch, SIDE, SIDE, 3) if layout == "NHWC" else (batch, 3, SIDE, SIDE)
    scale = None if dtype == "float32" else 0.05 if "8" in dtype else 0.0005
    file = reshape_file(folder / "int8.tflite", shape, dtype=dtype, scale=scale)
    card = artifact_of(file, variant="int8", layout=layout)
    artifacts = (run.artifact("float32"), card)
    manifest = replace(run.manifest, artifacts=artifacts, preprocess=spec, labels=labels)
    (folder / FILE_NAME).write_bytes(manifest.to_json())
    return Run.open(folder)


def kit_of(run: Run, photos: Path, folder: Path) -> Path:
    """The kit of the variant ``int8`` as a folder."""
    folder.mkdir()
    files = sorted(photos.glob("*.png"))
    pictures = tuple(map(picture_at, files))
    request = DeployRequest(
        run=str(run.folder),
        variant="int8",
        pictures=pictures,
        probabilities=False,
        folder=str(folder),
    )
    golden = run_deploy(request, lambda _: None)
    rows = np.zeros((len(files), CLASSES), dtype=np.float32)
    comparison = compare(
        run="run",
        reference_name="original",
        logits={"original": rows, "int8": rows},
        pictures=[p.name for p in files],
        memory=read_memory(run),
    )
    write_texts(run, "int8", folder, golden, comparison)
    return folder
