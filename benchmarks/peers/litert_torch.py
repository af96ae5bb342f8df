"""Convert with litert-torch and litert-quantizer, input in NHWC.

``python -m benchmarks.peers.litert_torch PREPARED OUT KEY``, in that peer's environment.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np

from benchmarks.attempts import FLOAT32, INT8, NEEDS_FLOAT32, Prepared, Stopwatch, read_prepared


def main() -> None:
    """Make ``float32.tflite`` and ``int8.tflite``."""
    prepared_in, out, key = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
    started = time.perf_counter()
    import litert_torch
    import torch
    from litert_quantizer import quantizer, recipe

    from engine.networks.catalog_network import import_torchvision

    import_torchvision()
    stopwatch = Stopwatch(folder=out, key=key, import_seconds=time.perf_counter() - started)
    prepared = read_prepared(prepared_in)
    # Written by our own prepare stage with the same versions of torch and torchvision.
    network = torch.load(prepared_in / Prepared.NETWORK, weights_only=False).eval()
    calibration = np.load(prepared_in / Prepared.CALIBRATION)
    float32, int8 = out / f"{FLOAT32}.tflite", out / f"{INT8}.tflite"

    def convert() -> None:
        example = torch.zeros(1, prepared.height, prepared.width, 3)
        channel_last = litert_torch.to_channel_last_io(network, args=[0]).eval()
        litert_torch.convert(channel_last, (example,)).export(str(float32))

    def quantize() -> None:
        from ai_edge_litert.interpreter import Interpreter

        ((signature, edges),) = Interpreter(str(float32)).get_signature_list().items()
        (name,) = edges["inputs"]
        maker = quantizer.Quantizer(str(float32), recipe.static_wi8_ai8())
        pictures = [{name: picture[None]} for picture in calibration]
        content = maker.quantize(maker.calibrate({signature: pictures})).quantized_model
        int8.write_bytes(content)

    seconds = stopwatch.attempt("float32", convert)
    if seconds is None:
        stopwatch.no_attempt("int8", NEEDS_FLOAT32)
    else:
        stopwatch.attempt("int8", quantize, seconds_before=seconds)


if __name__ == "__main__":
    main()
