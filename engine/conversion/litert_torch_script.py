"""Run in litert-torch's own environment: ``FOLDER LAYOUT CHANNELS HEIGHT WIDTH``.

Reads ``network.pt`` and, where there is one, ``calibration.npy`` (NHWC) from the folder, and writes
``float32.tflite`` and ``int8.tflite`` into it, each with a ``.txt`` that says what made it. Only
packages of that environment may be imported here.
"""

from __future__ import annotations

import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np


def main(folder: Path, layout: str, channels: int, height: int, width: int) -> None:
    """Convert, and quantize where there are pictures."""
    import litert_torch
    import torch

    from engine.networks.catalog_network import import_torchvision

    import_torchvision()
    # Written a moment ago by our own worker: nothing from outside is unpickled.
    network = torch.load(folder / "network.pt", weights_only=False).eval()
    shape = (1, height, width, channels) if layout == "NHWC" else (1, channels, height, width)
    if layout == "NHWC":
        network = litert_torch.to_channel_last_io(network, args=[0]).eval()
    float32 = folder / "float32.tflite"
    litert_torch.convert(network, (torch.zeros(shape),)).export(str(float32))
    made_by = f"litert-torch {version('litert-torch')}"
    (folder / "float32.txt").write_text(made_by)
    calibration = folder / "calibration.npy"
    if calibration.exists():
        pictures = np.load(calibration)
        if layout == "NCHW":
            pictures = np.ascontiguousarray(pictures.transpose(0, 3, 1, 2))
        (folder / "int8.tflite").write_bytes(quantize(float32, pictures))
        made_by += f", litert-quantizer {version('litert-quantizer')}"
        (folder / "int8.txt").write_text(made_by)


def quantize(float32: Path, pictures: np.ndarray) -> bytes:
    """Quantize weights and activations to 8 bits, by litert-quantizer's own recipe."""
    from ai_edge_litert.interpreter import Interpreter
    from litert_quantizer import quantizer, recipe

    ((signature, edges),) = Interpreter(str(float32)).get_signature_list().items()
    (name,) = edges["inputs"]
    maker = quantizer.Quantizer(str(float32), recipe.static_wi8_ai8())
    samples = {signature: [{name: picture[None]} for picture in pictures]}
    return bytes(maker.quantize(maker.calibrate(samples)).quantized_model)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], *map(int, sys.argv[3:]))
