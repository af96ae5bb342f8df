"""Run a TFLite file with LiteRT."""

from __future__ import annotations

from pathlib import Path

from engine.core.errors import ConversionError, first_line
from engine.core.types import FloatArray, Layout
from engine.networks.runners.base import Runner
from engine.tflite.interpreter import dequantized, quantized

_LEAVE_OUT = "Leave this variant out."
_KNOWN = {
    "affine_quantization->zero_point": "A kernel that is computed from the picture has a zero "
    "point in int8, which LiteRT's convolution does not take. Leave the variants with int8 "
    "activations out.",
    "create XNNPACK runtime": "XNNPACK refuses scales that lie too far apart, as those of a range "
    "do that one value blows up. Calibrate with other pictures, or leave this variant out.",
}
"""What to do about refusals of LiteRT that it words for itself alone."""


class TfliteRunner(Runner):
    """Runs a TFLite file; integer edges are quantized and dequantized outside the model.

    Args:
        file: The file.
        layout: Order of the picture input's dimensions.
        threads: Threads of the interpreter.

    Raises:
        ConversionError: On entering: the interpreter refuses the file.
    """

    def __init__(self, file: Path, *, layout: Layout = "NCHW", threads: int = 1) -> None:
        self.layout = layout
        self._file = file
        self._threads = threads

    def load_impl(self) -> None:
        from ai_edge_litert.interpreter import Interpreter

        try:
            self._interpreter = Interpreter(str(self._file), num_threads=self._threads)
            self._interpreter.allocate_tensors()
        except (RuntimeError, ValueError) as error:
            reason = first_line(error)
            raise ConversionError(
                f"Loading {self._file.name}",
                got=f"a refusal of the LiteRT interpreter ({reason})",
                expected="a file that it runs",
                todo=next((todo for words, todo in _KNOWN.items() if words in reason), _LEAVE_OUT),
            ) from error
        self._input = self._interpreter.get_input_details()[0]
        self._output = self._interpreter.get_output_details()[0]
        self.batch = int(self._input["shape"][0])

    def infer_impl(self, batch: FloatArray) -> FloatArray:
        self.feed_impl(batch)
        try:
            self._interpreter.invoke()
        except RuntimeError as error:
            reason = " ".join(str(error).split())
            raise ConversionError(
                f"Running {self._file.name}",
                got=f"a failure of the LiteRT interpreter ({reason})",
                expected="logits",
                todo="Leave this variant out, or write the operator named in another way.",
            ) from error
        return dequantized(self._interpreter.get_tensor(self._output["index"]), self._output)

    def feed_impl(self, batch: FloatArray) -> None:
        self._interpreter.set_tensor(self._input["index"], quantized(batch, self._input))

    def fed(self) -> bytes:
        """Give the last input as bytes, in the file's own type and order of dimensions."""
        content: bytes = self._interpreter.get_tensor(self._input["index"]).tobytes()
        return content

    def invoke(self) -> None:
        self._interpreter.invoke()

    def unload_impl(self) -> None:
        del self._interpreter
