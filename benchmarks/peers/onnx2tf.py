"""Convert with onnx2tf, from the ONNX file that the prepare stage exported.

``python -m benchmarks.peers.onnx2tf PREPARED OUT KEY``, in that peer's environment. The seconds of
the export and of importing torch for it are counted, because the others start from PyTorch too.
"""

from __future__ import annotations

import shutil
import sys
import time
from pathlib import Path

from benchmarks.attempts import (
    FLOAT32,
    INT8,
    INT8_FLOAT_IO,
    NEEDS_FLOAT32,
    Prepared,
    Stopwatch,
    read_prepared,
)


def main() -> None:
    """Make ``float32.tflite``, ``int8.tflite`` and ``int8_float_io.tflite``."""
    prepared_in, out, key = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
    prepared = read_prepared(prepared_in)
    started = time.perf_counter()
    import onnx2tf

    imported = time.perf_counter() - started + prepared.import_seconds
    stopwatch = Stopwatch(folder=out, key=key, import_seconds=imported)

    graph = out / Prepared.ONNX
    # A copy, because onnx2tf writes its simplified graph over the file that it is given.
    shutil.copyfile(prepared_in / Prepared.ONNX, graph)

    def convert() -> None:
        onnx2tf.convert(
            input_onnx_file_path=str(graph),
            output_folder_path=str(out / FLOAT32),
            non_verbose=True,
        )
        shutil.copyfile(out / FLOAT32 / "m_float32.tflite", out / f"{FLOAT32}.tflite")

    def quantize(granularity: str) -> None:
        shutil.copyfile(prepared_in / Prepared.ONNX, graph)
        folder = out / INT8
        # The pictures are normalised already: mean 0, standard deviation 1.
        data = [
            Prepared.ONNX_INPUT,
            str(prepared_in / Prepared.CALIBRATION),
            [[[[0.0, 0.0, 0.0]]]],
            [[[[1.0, 1.0, 1.0]]]],
        ]
        files = {
            folder / "m_full_integer_quant.tflite": out / f"{INT8}.tflite",
            folder / "m_integer_quant.tflite": out / f"{INT8_FLOAT_IO}.tflite",
        }
        try:
            onnx2tf.convert(
                input_onnx_file_path=str(graph),
                output_folder_path=str(folder),
                output_integer_quantized_tflite=True,
                quant_type=granularity,
                custom_input_op_name_np_data_path=[data],
                non_verbose=True,
            )
        except RuntimeError:
            # It writes int16 variants last, which nobody asks for here and which may fail.
            if not all(file.is_file() for file in files):
                raise
        for file, copy in files.items():
            shutil.copyfile(file, copy)

    export = prepared.export_seconds
    if stopwatch.attempt("float32", convert, seconds_before=export) is None:
        stopwatch.no_attempt("int8", NEEDS_FLOAT32)
    elif stopwatch.attempt("int8", lambda: quantize("per-channel"), export) is None:
        shutil.rmtree(out / INT8, ignore_errors=True)
        note = "one scale a tensor, because its per-channel file failed its own check"
        stopwatch.attempt("int8", lambda: quantize("per-tensor"), export, note)
    graph.unlink()
    for leftover in (FLOAT32, INT8):
        shutil.rmtree(out / leftover, ignore_errors=True)


if __name__ == "__main__":
    main()
