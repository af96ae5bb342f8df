"""Run a PyTorch network."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from engine.core.types import FloatArray
from engine.networks.runners.base import Runner

if TYPE_CHECKING:
    import torch


class TorchRunner(Runner):
    """Runs a network in evaluation mode on the processor.

    Args:
        build: Makes the network.
        threads: Threads torch may use, in the whole process; None leaves torch's own choice.
    """

    layout = "NCHW"
    concurrent = True

    def __init__(self, build: Callable[[], torch.nn.Module], threads: int | None = None) -> None:
        self._build = build
        self._threads = threads

    def load_impl(self) -> None:
        import torch

        if self._threads is not None:
            torch.set_num_threads(self._threads)
        self._network = self._build().eval()

    def infer_impl(self, batch: FloatArray) -> FloatArray:
        import torch

        with torch.inference_mode():
            logits: FloatArray = self._network(torch.from_numpy(batch)).numpy()
        return logits

    def feed_impl(self, batch: FloatArray) -> None:
        import torch

        self._fed = torch.from_numpy(batch)

    def invoke(self) -> None:
        import torch

        with torch.inference_mode():
            self._network(self._fed)
