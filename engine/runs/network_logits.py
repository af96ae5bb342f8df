"""What a network of the person's own process answers itself, kept in the run made from it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from engine.core.errors import OptionError
from engine.core.parity import hop_errors
from engine.core.types import FloatArray, Progress
from engine.images.cache import FittedPictures
from engine.images.pictures import Picture
from engine.networks.given_network import in_float32
from engine.networks.network_outputs import TriedNetwork, try_network
from engine.networks.runners.base import one_by_one
from engine.networks.runners.pytorch import TorchRunner
from engine.runs.manifest import CHECKED, PYTORCH
from engine.runs.results import NETWORK, KnownRows, keep_rows
from engine.runs.run import WORK, Run
from engine.workers.host import Host

if TYPE_CHECKING:
    import torch

SAME_NETWORK = 1e-4
"""Largest difference of check logits, relative to the largest, that other threads or another
version of PyTorch make."""


def keep_own_logits(
    run: Run, network: torch.nn.Module, pictures: tuple[Picture, ...], host: Host
) -> None:
    """Keep what a network of this process answers to pictures, in the run that was made from it.

    Args:
        run: The run.
        network: As `given_network` gives it.
        pictures: The pictures; those that it answered before are passed over.
        host: Gets progress.

    Raises:
        OptionError: The run was made from something else.
        PictureError: A picture cannot be decoded.
    """
    stage = f"Taking the network's own logits into the run {run.folder.name}"
    spec, name = run.manifest.preprocess, run.manifest.model.name
    if run.manifest.model.weights != "network":
        raise OptionError(
            stage,
            got=f"a network for a run of {name} that was made without one",
            expected="a run that engine.convert(network) made",
            todo="Leave the network out.",
        )
    stored = KnownRows(run, NETWORK)
    waiting = {p.sha256: p for p in pictures if stored.of(p.sha256) is None}
    with in_float32(network) as float_network:
        tried = try_network(float_network, name, spec.height, spec.width)
        output = _same_output(run, tried)
        if output is None:
            raise OptionError(
                stage,
                got="a network that answers the run's check pictures otherwise than then",
                expected="the network that the run was made from, with the same weights",
                todo="Convert this network: engine.convert(network).",
            )
        if not waiting:
            return
        fitted, rows = FittedPictures(spec, set(waiting)), list[FloatArray]()
        with TorchRunner(partial(tried.with_output, output)) as runner:
            for picture in waiting.values():
                host.report(Progress(f"Showing pictures to {name}", len(rows), len(waiting)))
                rows.append(runner.infer(fitted.input_of(picture)[None])[0])
    keep_rows(run, NETWORK, tuple(waiting.values()), np.stack(rows))


def _same_output(run: Run, tried: TriedNetwork) -> str | None:
    """Find the output that gives the logits which the run was checked against."""
    expected = np.load(run.intact(f"{WORK}/{PYTORCH}.npy"))
    pictures = np.load(run.intact(f"{WORK}/{CHECKED}.npy"))
    inputs = np.stack([run.manifest.preprocess.normalized(picture) for picture in pictures])
    for output, value in tried.values.items():
        if value.size != run.manifest.model.classes or value.dtype.kind != "f":
            continue
        with TorchRunner(partial(tried.with_output, output)) as runner:
            if hop_errors(expected, one_by_one(runner, inputs))[1] <= SAME_NETWORK:
                return output
    return None
