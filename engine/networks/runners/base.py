"""`Runner`: pictures in, logits out, whatever executes the model."""

from __future__ import annotations

from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self

import numpy as np

from engine.core.parity import FLOAT_TOLERANCE, hop_errors
from engine.core.types import FloatArray, Layout
from engine.images.preprocess import CHANNELS, in_layout


class Runner(ABC):
    """A model that is loaded on entering the context and unloaded on leaving it.

    ``infer`` takes preprocessed pictures in one layout, whatever the model wants. For timing,
    ``feed`` hands over one batch beforehand and ``invoke`` runs the model on it, so that only the
    model itself is timed.

    Attributes:
        layout: Order of the model's input dimensions.
        batch: Pictures the model takes at once; None where it takes any number.
        concurrent: Whether several threads may call ``infer`` at the same time.
    """

    layout: Layout = "NCHW"
    batch: int | None = None
    concurrent: bool = False

    def __enter__(self) -> Self:
        self.load_impl()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.unload_impl()

    def infer(self, pictures: FloatArray) -> FloatArray:
        """Run the model on preprocessed pictures.

        Args:
            pictures: Shape (pictures, height, width, channels), float32.

        Returns:
            Logits of shape (pictures, classes), float32; integer outputs are dequantized.

        Raises:
            ValueError: The array is not of that shape or type.
        """
        is_picture = pictures.ndim == 4 and pictures.shape[3] in CHANNELS.values()
        if not is_picture or pictures.dtype != np.float32:
            raise ValueError(
                f"pictures must be float32 (pictures, height, width, channels), "
                f"got {pictures.dtype} {pictures.shape}"
            )
        rows = len(pictures)
        step = self.batch or rows
        chunks = []
        for start in range(0, rows, step):
            chunk = pictures[start : start + step]
            missing = step - len(chunk)
            if missing:
                chunk = np.concatenate([chunk, np.repeat(chunk[-1:], missing, axis=0)])
            logits = self.infer_impl(in_layout(chunk, self.layout))
            chunks.append(logits.reshape(step, -1)[: step - missing])
        return np.concatenate(chunks).astype(np.float32, copy=False)

    def feed(self, picture: FloatArray) -> None:
        """Hand over one picture for `invoke`, as often as the model's batch is fixed to.

        Args:
            picture: Shape (height, width, channels), float32.
        """
        self.feed_impl(in_layout(np.repeat(picture[None], self.batch or 1, axis=0), self.layout))

    @abstractmethod
    def load_impl(self) -> None:
        """Load the model."""

    @abstractmethod
    def infer_impl(self, batch: FloatArray) -> FloatArray:
        """Run one batch in the model's own layout."""

    @abstractmethod
    def feed_impl(self, batch: FloatArray) -> None:
        """Hand over one batch in the model's own layout."""

    @abstractmethod
    def invoke(self) -> None:
        """Run the model once on what was fed last, and drop the answer."""

    def unload_impl(self) -> None:  # noqa: B027 - most runners have nothing to free
        """Free what `load_impl` loaded."""


def one_by_one(runner: Runner, inputs: FloatArray) -> FloatArray:
    """Show pictures (N, H, W, C) to a model one at a time; give logits (N, classes)."""
    return np.concatenate([runner.infer(picture[None]) for picture in inputs])


def alone_and_beside(runner: Runner, picture: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Show a picture and a blank one to a model, one at a time and then side by side.

    Returns:
        Two arrays of shape (2, classes).
    """
    pictures = np.stack([picture, np.zeros_like(picture)])
    return one_by_one(runner, pictures), runner.infer(pictures)


def depends_on_batch(alone: FloatArray, together: FloatArray) -> bool:
    """Tell whether a model answers by the other pictures of a batch, or by the place in it.

    Args:
        alone: Logits of pictures that went through one at a time, shape (pictures, classes).
        together: Logits of the same pictures side by side.
    """
    if alone.shape != together.shape:
        return True
    return hop_errors(alone, together)[1] > FLOAT_TOLERANCE
