"""Run an ONNX model with ONNX Runtime."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from engine.core.errors import ModelError, first_line
from engine.core.types import FloatArray, Layout
from engine.images.preprocess import in_layout
from engine.networks.runners.base import Runner


class OnnxRunner(Runner):
    """Runs an ONNX model on the processor.

    Args:
        model: Path of the file, or its content.
        layout: Order of the picture input's dimensions.
        threads: Threads within an operator; None leaves ONNX Runtime's own choice.

    Raises:
        ModelError: On entering: ONNX Runtime refuses the model.
    """

    concurrent = True

    def __init__(
        self, model: Path | bytes, *, layout: Layout = "NCHW", threads: int | None = None
    ) -> None:
        self.layout = layout
        self._model = model
        self._threads = threads

    def load_impl(self) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3  # errors alone
        if self._threads is not None:
            options.intra_op_num_threads = self._threads
            options.inter_op_num_threads = 1
        model = str(self._model) if isinstance(self._model, Path) else self._model
        try:
            self._session = onnxruntime.InferenceSession(
                model, options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # onnxruntime's errors share no public base class
            raise _refusal(error) from error
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        if not (inputs and outputs):
            raise _no_logits(f"{len(inputs)} inputs and {len(outputs)} outputs")
        first = inputs[0]
        self._input, self._takes_pixels = first.name, first.type == "tensor(uint8)"
        self.batch = first.shape[0] if isinstance(first.shape[0], int) else None
        self._output = outputs[0].name

    def infer_outputs(self, pictures: FloatArray) -> dict[str, object]:
        """Run the model on one batch and give every output by its name.

        Args:
            pictures: Shape (batch, height, width, channels), float32.

        Returns:
            An array for each output; a list or dict where it is no tensor.

        Raises:
            ModelError: ONNX Runtime refuses the pictures.
        """
        feed = self._feed(in_layout(pictures, self.layout))
        try:
            values = self._session.run(None, feed)
        except Exception as error:  # onnxruntime's errors share no public base class
            raise _refusal(error) from error
        names = [output.name for output in self._session.get_outputs()]
        return dict(zip(names, values, strict=True))

    def infer_impl(self, batch: FloatArray) -> FloatArray:
        try:
            values = self._session.run([self._output], self._feed(batch))[0]
        except Exception as error:  # onnxruntime's errors share no public base class
            raise _refusal(error) from error
        numbers = isinstance(values, np.ndarray) and values.dtype.kind in "fiu"
        if not numbers or not values.size or values.size % len(batch):
            shape = f" of shape {values.shape}" if isinstance(values, np.ndarray) else ""
            raise _no_logits(f"an output{shape} for {len(batch)} pictures")
        logits: FloatArray = values
        return logits

    def feed_impl(self, batch: FloatArray) -> None:
        self._fed = self._feed(batch)

    def _feed(self, batch: FloatArray) -> dict[str, np.ndarray]:
        if self._takes_pixels:
            return {self._input: np.clip(np.rint(batch), 0, 255).astype(np.uint8)}
        return {self._input: batch}

    def invoke(self) -> None:
        self._session.run([self._output], self._fed)


def _no_logits(got: str) -> ModelError:
    return ModelError(
        "Running the ONNX model",
        got=got,
        expected="one row of logits a picture",
        todo="Export the classifier with one picture in and its logits out.",
    )


def _refusal(error: Exception) -> ModelError:
    return ModelError(
        "Running the ONNX model",
        got=first_line(error),
        expected="logits",
        todo="Check that the file runs in ONNX Runtime, and export it again if it does not.",
    )
