"""Run a TensorFlow SavedModel."""

from __future__ import annotations

from pathlib import Path

from engine.core.types import FloatArray, Layout
from engine.networks.runners.base import Runner

SIGNATURE = "serving_default"


class SavedModelRunner(Runner):
    """Runs the serving signature of a SavedModel.

    Args:
        folder: The SavedModel.
        layout: Order of the picture input's dimensions.
    """

    def __init__(self, folder: Path, *, layout: Layout = "NCHW") -> None:
        self.layout = layout
        self._folder = folder

    def load_impl(self) -> None:
        import tensorflow as tf

        # Without oneDNN, TensorFlow fuses grouped convolutions into a kernel that refuses groups.
        tf.config.optimizer.set_experimental_options({"remapping": False})
        self._module = tf.saved_model.load(str(self._folder))
        self._signature = self._module.signatures[SIGNATURE]
        specs = self._signature.structured_input_signature[1]
        (self._input,) = specs
        self.batch = specs[self._input].shape[0]
        (self._output,) = self._signature.structured_outputs

    def infer_impl(self, batch: FloatArray) -> FloatArray:
        self.feed_impl(batch)
        logits: FloatArray = self._signature(**self._fed)[self._output].numpy()
        return logits

    def feed_impl(self, batch: FloatArray) -> None:
        import tensorflow as tf

        self._fed = {self._input: tf.constant(batch)}

    def invoke(self) -> None:
        self._signature(**self._fed)

    def unload_impl(self) -> None:
        del self._signature, self._module
