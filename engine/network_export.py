"""`engine.convert` with a network of the person's own process, whose code cannot travel.

It is exported to ONNX there, checked against that file, and goes on as an ONNX model. What it
answers itself is kept in the run, so that later comparisons need neither it nor PyTorch.
"""

from __future__ import annotations

import re
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from engine.calibrations import Calibrations
from engine.comparison.hops import NUDGE, check_hop, check_reference, hop_errors
from engine.conversion import CHECKED, FLOAT_TOLERANCE, check_pictures
from engine.conversion_record import ONNX, PYTORCH
from engine.converters.calibration import representative_dataset
from engine.converters.onnx_from_torch import (
    LOWEST_DYNAMO_OPSET,
    STAGE,
    onnx_from_exported_program,
    onnx_from_torch,
)
from engine.converters.recipes import recipes_named
from engine.disk import told_of_the_disk
from engine.errors import ConversionError, EngineError, HopError, ModelError, OptionError
from engine.fitted_pictures import FittedPictures
from engine.images import Picture, pictures_in
from engine.logits import NETWORK, KnownRows, keep_rows
from engine.networks.checkpoints import sha256_of
from engine.networks.given_network import given_network, in_float32, number_formats
from engine.networks.network_outputs import try_network
from engine.networks.onnx_files import read_onnx
from engine.networks.onnx_outputs import choose_output, describe_output
from engine.networks.own_preprocess import OwnPreprocess, own_preprocess
from engine.networks.size_limit import demand_fits
from engine.packages import demand_packages
from engine.preprocess import PreprocessSpec, demand_plausible
from engine.requests import ConvertRequest, ExportedNetwork, PreprocessChoice
from engine.run.base import Runner
from engine.run.onnx_runner import OnnxRunner
from engine.run.torch_runner import TorchRunner
from engine.runs import WORK, Run
from engine.service import Host, convert_request
from engine.sources import preprocess_words, with_choice
from engine.store import SAMPLE_IMAGES
from engine.types import FloatArray, Progress

if TYPE_CHECKING:
    import torch

USUAL_SIZE = 224
"""Height and width of the input where neither the person nor the network says any."""
SAME_NETWORK = 1e-4
"""Largest difference of check logits, relative to the largest, that other threads or another
version of PyTorch make."""
ORIGINAL_NOTE = (
    "The original is a network of a Python process: its own logits are stored for the calibration "
    "pictures and the sample images; on others the ONNX file that was exported from it answers."
)


def convert_network(
    model: object,
    request: ConvertRequest,
    host: Host,
    *,
    name: str | None = None,
    size: tuple[int, int] | None = None,
) -> Run:
    """Convert a network of this process, and keep its own logits in the run.

    Args:
        model: A ``torch.nn.Module``, or what `given_network` takes one out of; left as it was.
        request: What to make; of its model, labels and output count.
        host: Gets progress and the worker.
        name: What to call it; None takes timm's name for it, or that of its class.
        size: Height and width of its input, in pixels; None takes the network's own.

    Returns:
        The finished run.

    Raises:
        UserMistake: The network, or something else that was asked for, cannot be used.
        ConversionError: A stage failed.
        WorkerError: The worker process failed.
    """
    demand_packages()
    network = given_network(model)
    pictures = representative_dataset(request.calibration, SAMPLE_IMAGES).pictures
    with tempfile.TemporaryDirectory(prefix="qlab-network-") as folder:
        with told_of_the_disk(STAGE):
            exported = export_network(network, request, Path(folder), host, name=name, size=size)
        run = convert_request(exported, host)
    keep_own_logits(run, network, (*pictures, *pictures_in(SAMPLE_IMAGES)), host)
    return run


def export_network(
    network: torch.nn.Module,
    request: ConvertRequest,
    folder: Path,
    host: Host,
    *,
    name: str | None = None,
    size: tuple[int, int] | None = None,
) -> ConvertRequest:
    """Write a network's ONNX file, and the network's own logits on the check pictures.

    Args:
        network: As `given_network` gives it.
        request: What to make of it.
        folder: Where to write.
        host: Gets progress.
        name: See `convert_network`.
        size: See `convert_network`.

    Returns:
        The request for that file.

    Raises:
        UserMistake: The network cannot be used.
        ConversionError: No exporter gives a file that answers like the network.
    """
    started = time.perf_counter()
    own = own_preprocess(network, size)
    title = name or (own and own.architecture) or _class_name(network)
    demand_fits(title, sum(parameter.numel() for parameter in network.parameters()))
    if size is None:
        size = (USUAL_SIZE, USUAL_SIZE) if own is None else (own.height, own.width)
    preprocess = request.preprocess if own is None else _filled(request.preprocess, own.choice)
    spec = _spec(preprocess, *size)
    notes = (*_own_note(spec, request.preprocess, own), *_number_note(network))
    file = folder / ((re.sub(r"\W+", "_", title)[:60].strip("_") or "network") + ".onnx")
    host.report(Progress(f"Exporting {title} to ONNX", 0, 1))
    recipes = recipes_named(request.variants)
    chosen = check_pictures(Calibrations(request.calibration, recipes))
    pictures = np.stack([spec.fitted(picture.decode()) for picture in chosen])
    inputs = np.stack([spec.normalized(picture) for picture in pictures])
    with in_float32(network) as float_network:
        tried = try_network(float_network, title, *size)
        if tried.channels != inputs.shape[-1]:
            raise ModelError(
                STAGE,
                got=f"a network whose first convolution takes {tried.channels} channels",
                expected=f"{inputs.shape[-1]} channels, as the pictures have",
                todo="Give a network for such pictures.",
            )
        output, unused = _output(tried.values, request.model.output, title)
        single = tried.with_output(output)
        with TorchRunner(lambda: single) as runner:
            own_logits = _one_by_one(runner, inputs)
            _check_own(float_network, own_logits)
            notes += (*unused, *_batch_note(runner, inputs, own_logits))
        check = partial(_check_file, file, inputs, own_logits)
        notes += _write(single, file, tried.channels, size, output, request.opset, check)
    np.save(folder / f"{CHECKED}.npy", pictures)
    np.save(folder / f"{PYTORCH}.npy", own_logits)
    exported = ExportedNetwork(
        name=title,
        sha256=sha256_of(file),
        height=size[0],
        width=size[1],
        pictures=str(folder / f"{CHECKED}.npy"),
        logits=str(folder / f"{PYTORCH}.npy"),
        seconds=time.perf_counter() - started,
        notes=(ORIGINAL_NOTE, *notes),
    )
    model = replace(request.model, onnx=str(file), network=exported)
    return replace(request, model=model, preprocess=preprocess)


def _class_name(network: torch.nn.Module) -> str:
    # Scripted networks have a class of torch's own.
    return str(getattr(network, "original_name", type(network).__name__))


def _filled(choice: PreprocessChoice, own: PreprocessChoice) -> PreprocessChoice:
    """Take from the network's own record what the person left open."""
    given = {name: value for name, value in asdict(choice).items() if value is not None}
    return replace(own, **given)


def _own_note(
    spec: PreprocessSpec, given: PreprocessChoice, own: OwnPreprocess | None
) -> tuple[str, ...]:
    if own is None:
        return ()
    carried, asked = asdict(own.choice), asdict(given)
    taken = [name for name in asked if asked[name] is None and carried[name] is not None]
    words = preprocess_words(spec, taken)
    return (f"Preprocessing as the network's {own.record} says: {words}.",) if words else ()


def _number_note(network: torch.nn.Module) -> tuple[str, ...]:
    formats = number_formats(network)
    if not formats:
        return ()
    return (
        f"The network holds {' and '.join(formats)}; everything here, the original's logits too, "
        "is computed in float32.",
    )


def _spec(choice: PreprocessChoice, height: int, width: int) -> PreprocessSpec:
    """Find the preprocessing that the worker finds for an ONNX file of that size."""
    square = PreprocessSpec().with_input_size(max(height, width))
    spec = with_choice(replace(square, height=height, width=width), choice)
    demand_plausible(spec)
    return spec


def _output(
    values: Mapping[str, np.ndarray], named: str | None, title: str
) -> tuple[str, tuple[str, ...]]:
    """Choose the output with the logits; give its name, and a note of others."""
    import onnx

    output = choose_output(onnx.ModelProto(), values, 1, named, title)
    unused = [describe_output(name, value) for name, value in values.items() if name != output]
    if not unused:
        return output, ()
    return output, (f"The answer is the output {output}; left out: {'; '.join(unused)}.",)


def _one_by_one(runner: Runner, inputs: FloatArray) -> FloatArray:
    return np.concatenate([runner.infer(picture[None]) for picture in inputs])


def _check_own(network: torch.nn.Module, logits: FloatArray) -> None:
    state = network.state_dict()
    weights = ((name, tensor.numpy()) for name, tensor in state.items())
    check_hop(PYTORCH, None, logits, tolerance=None, weights=lambda: weights)
    check_reference(PYTORCH, logits)


def _batch_note(runner: Runner, inputs: FloatArray, alone: FloatArray) -> tuple[str, ...]:
    """Say that answers depend on the batch, as where a norm takes its statistics from it."""
    try:
        together = runner.infer(inputs)
    except Exception:  # a network may be written for one picture alone
        return ()
    if together.shape == alone.shape and hop_errors(alone, together)[1] <= FLOAT_TOLERANCE:
        return ()
    return (
        "The network answers otherwise where it is shown several pictures at once; here it is "
        "shown one at a time, as an app does.",
    )


def _write(
    network: torch.nn.Module,
    file: Path,
    channels: int,
    size: tuple[int, int],
    output: str,
    opset: int | None,
    check: Callable[[], None],
) -> tuple[str, ...]:
    """Write the file with the first exporter whose file passes the check; say if it is another."""
    exporters: list[Callable[..., int]] = [partial(onnx_from_torch, opset=opset)]
    if opset is None:
        exporters.append(onnx_from_exported_program)
    failures: list[EngineError] = []
    for export in exporters:
        try:
            export(network, file, height=size[0], width=size[1], channels=channels, output=output)
            check()
        except OptionError:
            raise
        except EngineError as error:
            failures.append(error)
        else:
            return tuple(
                f"Exported for operator set {LOWEST_DYNAMO_OPSET} by way of torch.export, since "
                f"the TorchScript exporter gave no file that serves: {failure.got}."
                for failure in failures
            )
    raise _no_file(failures)


def _check_file(file: Path, inputs: FloatArray, before: FloatArray) -> None:
    read_onnx(file)
    with OnnxRunner(file) as runner:
        check_hop(
            f"{PYTORCH} to {ONNX}",
            before,
            runner.infer(inputs),
            tolerance=FLOAT_TOLERANCE,
            nudged=lambda: runner.infer(inputs * np.float32(NUDGE)),
        )


def _no_file(failures: list[EngineError]) -> EngineError:
    first = failures[0]
    # Files of two exporters that both answer otherwise speak of the network, as the first says.
    if len({f.got for f in failures}) == 1 or all(isinstance(f, HopError) for f in failures):
        return first
    reasons = (
        f"{exporter}: {failure.stage}: {failure.got}"
        for exporter, failure in zip(("TorchScript", "torch.export"), failures, strict=True)
    )
    return ConversionError(
        STAGE,
        got="no file by either exporter of PyTorch (" + "; ".join(reasons) + ")",
        expected="a file that answers like the network",
        todo="Write that part of the network with other operators, and without conditions on the "
        "values in a picture; or export it to ONNX yourself and convert that file (onnx=...).",
    )


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
    spec, name = run.manifest.preprocess, run.manifest.model.name
    stage = f"Taking the network's own logits into the run {run.folder.name}"
    if run.manifest.model.weights != "network":
        raise OptionError(
            stage,
            got=f"a network for a run of {name} that was made without one",
            expected="a run that engine.convert(network) made",
            todo="Leave the network out.",
        )
    stored = KnownRows(run, NETWORK)
    waiting = {p.sha256: p for p in pictures if stored.of(p.sha256) is None}
    checked = np.load(run.intact(f"{WORK}/{CHECKED}.npy"))
    expected = np.load(run.intact(f"{WORK}/{PYTORCH}.npy"))
    inputs = np.stack([spec.normalized(picture) for picture in checked])
    with in_float32(network) as float_network:
        tried = try_network(float_network, name, spec.height, spec.width)
        for output, value in tried.values.items():
            if value.size != run.manifest.model.classes or value.dtype.kind != "f":
                continue
            with TorchRunner(partial(tried.with_output, output)) as runner:
                if hop_errors(expected, _one_by_one(runner, inputs))[1] > SAME_NETWORK:
                    continue
                fitted = FittedPictures(spec, set(waiting))
                rows: list[FloatArray] = []
                for picture in waiting.values():
                    host.report(Progress(f"Showing pictures to {name}", len(rows), len(waiting)))
                    rows.append(runner.infer(fitted.input_of(picture)[None])[0])
            if rows:
                keep_rows(run, NETWORK, tuple(waiting.values()), np.stack(rows))
            return
    raise OptionError(
        stage,
        got="a network that answers the run's check pictures otherwise than then",
        expected="the network that the run was made from, with the same weights",
        todo="Convert this network: engine.convert(network).",
    )
