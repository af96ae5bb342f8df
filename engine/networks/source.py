"""`ModelSource`: one record for a model from anywhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from engine.core.types import Layout
from engine.images.preprocess import PreprocessSpec
from engine.networks.onnx_contents import tensors_of
from engine.types import ModelIdentity

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True, kw_only=True)
class TorchSource:
    """A PyTorch network, ready to be built.

    Attributes:
        identity: Name and weights.
        preprocess: What its input expects.
        labels: Class names, or None.
        build: Makes the network with its weights, in evaluation mode.
        notes: What a reader of the run has to know of the model, one sentence each.
    """

    identity: ModelIdentity
    preprocess: PreprocessSpec
    labels: tuple[str, ...] | None
    build: Callable[[], torch.nn.Module]
    notes: tuple[str, ...] = ()

    def weights(self) -> Iterator[tuple[str, np.ndarray]]:
        """Every tensor of the network by its name."""
        for name, tensor in self.build().state_dict().items():
            yield name, tensor.numpy()


@dataclass(frozen=True, slots=True, kw_only=True)
class OnnxSource:
    """A person's own ONNX file.

    Attributes:
        identity: Name and digest.
        preprocess: What its input expects, as far as the person said.
        labels: Class names, or None.
        file: The file as given.
        layout: Order of the picture input's dimensions.
        output: Name of the output that holds the logits.
        output_shape: Its dimensions for one batch.
        batch: Pictures that the network takes at once.
        takes_pixels: Whether the input is uint8, whose normalization is in the graph.
        arithmetic: Operators with which the graph begins; see `first_arithmetic`.
        notes: What a reader of the run has to know of the model, one sentence each.
    """

    identity: ModelIdentity
    preprocess: PreprocessSpec
    labels: tuple[str, ...] | None
    file: Path
    layout: Layout
    output: str
    output_shape: tuple[int, ...]
    batch: int = 1
    takes_pixels: bool = False
    arithmetic: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def weights(self) -> Iterator[tuple[str, np.ndarray]]:
        """Every tensor that the file holds, by its name."""
        from onnx import numpy_helper

        from engine.networks.onnx_reading import read_onnx

        for tensor in tensors_of(read_onnx(self.file)):
            if tensor.data_type != tensor.UNDEFINED:
                yield tensor.name, numpy_helper.to_array(tensor)


ModelSource = TorchSource | OnnxSource
