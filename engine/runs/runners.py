"""Runners of the models of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.core.errors import RunError
from engine.core.system import usable_cores
from engine.core.types import ORIGINAL
from engine.networks.runners.base import Runner
from engine.networks.runners.onnx import OnnxRunner
from engine.networks.runners.pytorch import TorchRunner
from engine.networks.runners.tflite import TfliteRunner
from engine.networks.source import ModelChoice, TorchSource
from engine.runs.run import ONNX_COLUMN, Run

if TYPE_CHECKING:
    import torch


def column_runner(run: Run, column: str, threads: int | None) -> Runner:
    """Make the runner of a column of a run, with so many threads; None lets it use every core."""
    if column == ORIGINAL:
        return original_runner(run, threads)
    if column == ONNX_COLUMN:
        return onnx_runner(run, threads)
    return TfliteRunner(
        run.file(column), layout=run.layout(column), threads=threads or usable_cores()
    )


def original_runner(run: Run, threads: int | None) -> Runner:
    """Make the runner of the model that a run was made from; None leaves the threads to it.

    Raises:
        RunError: Its weights are not what they were.
        ModelError: Its weights are gone.
    """
    model = run.manifest.model
    if model.kind == "onnx":
        return onnx_runner(run, threads)
    return TorchRunner(_original_source(run).build, threads)


def onnx_runner(run: Run, threads: int | None) -> Runner:
    """Make the runner of the ONNX file of a run, which may come from a stranger.

    Raises:
        ModelError: The file keeps tensors elsewhere: ONNX Runtime would read them from there.
    """
    from engine.networks.onnx_parts import demand_whole
    from engine.networks.onnx_reading import read_onnx

    demand_whole(run.onnx_file)
    read_onnx(run.onnx_file)
    return OnnxRunner(run.onnx_file, layout=run.manifest.layout, threads=threads)


def original_network(run: Run) -> torch.nn.Module:
    """Build the PyTorch network that a run was made from, in evaluation mode.

    Raises:
        RunError: Its weights are not what they were.
        ModelError: Its weights are gone.
    """
    return _original_source(run).build().eval()


def _original_source(run: Run) -> TorchSource:
    model = run.manifest.model
    from engine.networks.catalog import torch_source

    choice = ModelChoice(
        name=model.name,
        checkpoint=model.weights_file,
        weights_of=model.weights_of,
        random_weights=model.random,
    )
    size = run.manifest.preprocess
    source: TorchSource = torch_source(choice, (size.height, size.width))
    if source.identity.weights_sha256 != model.weights_sha256:
        raise RunError(
            f"Loading the original of the run {run.folder.name}",
            got=f"weights with the digest {source.identity.weights_sha256[:12]}",
            expected=f"those it was made from, {model.weights_sha256[:12]}",
            todo="Put the old weights back, make the run again, or compare with the ONNX file "
            "instead (--reference onnx).",
        )
    if source.identity.weights_of != model.weights_of:
        raise RunError(
            f"Loading the original of the run {run.folder.name}",
            got=f"a checkpoint that holds several sets of weights, of which "
            f"'{source.identity.weights_of}' is taken",
            expected="a note of the run which of them it was made from",
            todo="Make the run again, or compare with the ONNX file instead (--reference onnx).",
        )
    return source
