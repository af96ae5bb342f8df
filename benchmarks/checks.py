"""Hold a TFLite file against PyTorch: its error on the check pictures, its operators, its size.

``python -m benchmarks.checks PREPARED FILE OUT``, in a process of its own, because a malformed file
can end the process that runs it.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.attempts import Prepared, write_record
from engine.comparison.metrics import sqnr_db
from engine.core.parity import hop_errors
from engine.core.types import Layout
from engine.networks.runners.tflite import TfliteRunner
from engine.tflite.artifact import artifact_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """What a TFLite file is and how far it is from PyTorch.

    Attributes:
        file_bytes: Size of the file.
        sha256: Digest of the file.
        operators: Number of operators by name.
        layout: Order of the picture input's dimensions.
        input_dtype: Type of the input.
        output_dtype: Type of the output.
        max_rel_error: Largest absolute difference of a logit over the largest absolute logit.
        sqnr_db: Power of PyTorch's logits over that of the differences, in dB; None where the
            logits are equal or not finite.
        agreement: Share of pictures with PyTorch's first answer.
    """

    file_bytes: int
    sha256: str
    operators: dict[str, int]
    layout: Layout
    input_dtype: str
    output_dtype: str
    max_rel_error: float
    sqnr_db: float | None
    agreement: float


def check(prepared: Path, file: Path) -> Check:
    """Run a file on the check pictures.

    Args:
        prepared: Folder of the prepare stage.
        file: The TFLite file.

    Returns:
        What was found.

    Raises:
        ValueError: The file's answers are not finite, or its input is no picture.
    """
    pictures = np.load(prepared / Prepared.CHECKS)
    reference = np.load(prepared / Prepared.LOGITS)
    artifact = artifact_of(file, variant=file.stem, layout="NHWC")
    shape = artifact.inputs[0].shape
    layout: Layout = "NHWC" if shape[-1] == pictures.shape[-1] else "NCHW"
    with TfliteRunner(file, layout=layout) as runner:
        logits = runner.infer(pictures)
    if not np.isfinite(logits).all():
        raise ValueError("answers NaN or Inf")
    sqnr = sqnr_db(reference, logits)
    return Check(
        file_bytes=artifact.bytes,
        sha256=artifact.sha256,
        operators=dict(artifact.operators),
        layout=layout,
        input_dtype=artifact.inputs[0].dtype,
        output_dtype=artifact.outputs[0].dtype,
        max_rel_error=hop_errors(reference, logits)[1],
        sqnr_db=sqnr if np.isfinite(sqnr) else None,
        agreement=float((reference.argmax(1) == logits.argmax(1)).mean()),
    )


if __name__ == "__main__":
    write_record(Path(sys.argv[3]), check(Path(sys.argv[1]), Path(sys.argv[2])))
