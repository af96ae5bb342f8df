"""Run a TFLite file with LiteRT."""

from __future__ import annotations

from pathlib import Path

from engine.core.errors import ConversionError
from engine.core.types import FloatArray, Layout
from engine.networks.runners.base import Runner
from engine.tflite.interpreter import dequantize, load_interpreter, quantize

_LEAVE_OUT = "Leave this variant out."


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
        stage = f"Loading {self._file.name}"
        self._interpreter = load_interpreter(self._file, self._threads, stage, _LEAVE_OUT)
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
        return dequantize(self._interpreter.get_tensor(self._output["index"]), self._output)

    def feed_impl(self, batch: FloatArray) -> None:
        self._interpreter.set_tensor(self._input["index"], quantize(batch, self._input))

    def fed(self) -> bytes:
        """Give the last input as bytes, in the file's own type and order of dimensions."""
        content: bytes = self._interpreter.get_tensor(self._input["index"]).tobytes()
        return content

    def invoke(self) -> None:
        self._interpreter.invoke()

    def unload_impl(self) -> None:
        del self._interpreter
