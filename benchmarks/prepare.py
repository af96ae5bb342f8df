"""Prepare what every converter starts from: one network, one ONNX file, the same pictures.

``python -m benchmarks.prepare MODEL FOLDER``, in the product's environment.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np

from benchmarks.attempts import Prepared, write_record
from engine.networks.source import DEFAULT_MODEL

CALIBRATION_PICTURES = 20


def prepare(model: str, folder: Path) -> None:
    """Write network, ONNX file, calibration inputs, check inputs and PyTorch's logits for them.

    Args:
        model: Name in the catalogue; the default model has its trained weights, others random ones.
        folder: Where to write.
    """
    started = time.perf_counter()
    import torch

    from engine.conversion.onnx_from_torch import onnx_from_torch
    from engine.core.store import CALIBRATION_IMAGES, SAMPLE_IMAGES
    from engine.images.pictures import pictures_in
    from engine.networks.catalog import torch_source
    from engine.networks.catalog_network import import_torchvision
    from engine.networks.runners.pytorch import TorchRunner
    from engine.networks.source import ModelChoice
    from engine.quantization.calibration import CalibrationChoice, representative_dataset

    import_torchvision()
    import_seconds = time.perf_counter() - started
    random = model != DEFAULT_MODEL
    source = torch_source(ModelChoice(name=model, random_weights=random))
    network = source.build()
    size = source.preprocess
    torch.save(network, folder / Prepared.NETWORK)
    torch.save(network.state_dict(), folder / Prepared.WEIGHTS)
    started = time.perf_counter()
    opset = onnx_from_torch(
        network, folder / Prepared.ONNX, height=size.height, width=size.width, opset=None
    )
    export_seconds = time.perf_counter() - started
    dataset = representative_dataset(
        CalibrationChoice(count=CALIBRATION_PICTURES), CALIBRATION_IMAGES
    )
    np.save(folder / Prepared.CALIBRATION, np.stack(list(dataset.inputs(size))))
    checks = np.stack([size.apply(picture.decode()) for picture in pictures_in(SAMPLE_IMAGES)])
    np.save(folder / Prepared.CHECKS, checks)
    with TorchRunner(source.build) as runner:
        np.save(folder / Prepared.LOGITS, runner.infer(checks))
    record = Prepared(
        model=model,
        weights_sha256=source.identity.weights_sha256,
        random_weights=random,
        parameters=source.identity.parameters or 0,
        height=size.height,
        width=size.width,
        opset=opset,
        import_seconds=import_seconds,
        export_seconds=export_seconds,
    )
    write_record(folder / Prepared.FILE, record)


if __name__ == "__main__":
    prepare(sys.argv[1], Path(sys.argv[2]))
