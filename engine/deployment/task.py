"""The worker's part of a kit: the model with its metadata, and the golden set."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from engine.core.types import Progress
from engine.deployment.description import Scores, metadata_of, model_file
from engine.deployment.golden import GoldenSet, golden_set
from engine.images.pictures import Picture
from engine.requests import DeployRequest
from engine.runs.run import Run
from engine.tflite.metadata import with_metadata

GOLDEN_FILE = "golden.npz"


def deployed(request: DeployRequest, report: Callable[[Progress], None], threads: int) -> GoldenSet:
    """Write a variant's model with metadata and ``golden.npz`` to the request's folder.

    Args:
        request: Variant, pictures of the golden set, folder.
        report: Receives progress.
        threads: As many as there are cores.

    Returns:
        The golden set.

    Raises:
        PictureError: A picture cannot be decoded.
        ConversionError: LiteRT refuses the variant.
        HopError: Its answers change with the metadata, or are not numbers.
    """
    run, folder = Run.open(request.run), Path(request.folder)
    card, spec = run.artifact(request.variant), run.manifest.preprocess
    report(Progress("Writing the metadata", 0, 4))
    before = run.file(request.variant).read_bytes()
    scores: Scores = "probabilities" if request.probabilities else "logits"
    made = with_metadata(before, metadata_of(run, card, scores))
    (folder / model_file(run, request.variant)).write_bytes(made)
    pictures = [Picture(p.name, Path(p.path), p.sha256) for p in request.pictures]
    pixels = np.stack([spec.fitted(picture.decode(spec.picture_mode)) for picture in pictures])
    found, arrays = golden_set(
        made,
        before,
        card.layout,
        [picture.name for picture in pictures],
        pixels,
        spec.normalized,
        probabilities=request.probabilities,
        threads=threads,
        report=report,
    )
    np.savez_compressed(
        folder / GOLDEN_FILE, pixels=arrays.pixels, inputs=arrays.inputs, outputs=arrays.outputs
    )
    return found
