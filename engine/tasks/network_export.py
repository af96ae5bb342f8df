"""`engine.convert` with a network of the person's own process, whose code cannot travel.

It is exported to ONNX there, checked against that file, and goes on as an ONNX model. What it
answers itself is kept in the run, so that later comparisons need neither it nor PyTorch.
"""

from __future__ import annotations

import re
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from engine.comparison.hops import NUDGE, check_hop, check_reference
from engine.conversion.build import check_pictures
from engine.conversion.onnx_from_torch import (
    STAGE,
    onnx_from_exported_program,
    onnx_from_torch,
    torch_export_note,
)
from engine.conversion.write_manifest import ONNX
from engine.core.checksums import digest_of_file
from engine.core.errors import ConversionError, EngineError, OptionError
from engine.core.files import translate_disk_errors
from engine.core.limits import demand_fits
from engine.core.store import CALIBRATION_IMAGES, SAMPLE_IMAGES
from engine.core.system import demand_packages
from engine.core.types import FloatArray, Progress
from engine.images.pictures import pictures_in
from engine.images.preprocess import (
    PreprocessChoice,
    PreprocessSpec,
    default_preprocess,
    demand_plausible,
    height_and_width,
)
from engine.networks.given_network import (
    given_network,
    holds_fake_quantization,
    in_float32,
    number_formats,
)
from engine.networks.load import preprocess_words, with_choice
from engine.networks.network_outputs import TriedNetwork, try_network
from engine.networks.onnx_io import choose_output, describe_output
from engine.networks.onnx_reading import onnx_reading
from engine.networks.runners.base import Runner, depends_on_batch, one_by_one
from engine.networks.runners.onnx import OnnxRunner
from engine.networks.runners.pytorch import TorchRunner
from engine.networks.source import ExportedNetwork, OwnPreprocess, own_preprocess
from engine.quantization.calibration import Calibrations, representative_dataset
from engine.quantization.recipes import recipes_named
from engine.runs.manifest import CHECKED, PYTORCH
from engine.runs.request import ConvertRequest
from engine.runs.results import keep_own_logits
from engine.runs.run import Run
from engine.tasks.convert import convert_request
from engine.workers.process import Host

if TYPE_CHECKING:
    import torch

USUAL_SIZE = 224
"""Height and width of the input where neither the person nor the network says any."""
ORIGINAL_NOTE = (
    "The original is a network of a Python process: its own logits are stored for the pictures of "
    "the calibration folder and the sample images; on others the ONNX file that was exported from "
    "it answers."
)


def convert_network(
    model: object,
    request: ConvertRequest,
    host: Host,
    *,
    name: str | None = None,
) -> Run:
    """Convert a network of this process, and keep its own logits in the run.

    See `engine.convert`. Where the request names no input size, the network's own is taken.
    """
    demand_packages()
    network = given_network(model)
    dataset = representative_dataset(request.calibration, CALIBRATION_IMAGES)
    pictures = () if dataset.info.demo else dataset.pictures
    with tempfile.TemporaryDirectory(prefix="qlab-network-") as folder:
        with translate_disk_errors(STAGE):
            exported = export_network(network, request, Path(folder), host, name=name)
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
) -> ConvertRequest:
    """Write a network's ONNX file, and the network's own logits on the check pictures.

    Args:
        network: As `given_network` gives it.
        request: What to make of it.
        folder: Where to write.
        host: Gets progress.
        name: See `convert_network`.

    Returns:
        The request for that file.

    Raises:
        UserMistake: The network cannot be used.
        ConversionError: No exporter gives a file that answers like the network.
    """
    started = time.perf_counter()
    size = request.preprocess.input_size
    own = own_preprocess(network, None if size is None else height_and_width(size))
    title = name or (own and own.architecture) or _class_name(network)
    demand_fits(title, sum(parameter.numel() for parameter in network.parameters()))
    preprocess = request.preprocess if own is None else _fill(request.preprocess, own.choice)
    given = preprocess.input_size
    height, width = height_and_width(USUAL_SIZE if given is None else given)
    preprocess = replace(preprocess, input_size=(height, width))
    file = folder / ((re.sub(r"\W+", "_", title)[:60].strip("_") or "network") + ".onnx")
    host.report(Progress(f"Exporting {title} to ONNX", 0, 1))
    with in_float32(network) as float_network:
        tried = try_network(float_network, title, height, width)
        output, notes = _output(tried.values, request.model.output, title)
        spec = _spec(preprocess, tried.channels, height, width)
        pictures = _check_pictures(spec, request)
        inputs = np.stack([spec.normalized(picture) for picture in pictures])
        with TorchRunner(partial(tried.with_output, output)) as runner:
            own_logits = one_by_one(runner, inputs)
            notes += _batch_note(runner, inputs, own_logits)
        _check_own(float_network, own_logits)
        check = partial(_check_file, file, inputs, own_logits)
        notes += _write(tried, output, file, (height, width), request.opset, check)
    notes += (*_own_note(spec, request.preprocess, own), *_number_notes(network))
    np.save(folder / f"{CHECKED}.npy", pictures)
    np.save(folder / f"{PYTORCH}.npy", own_logits)
    exported = ExportedNetwork(
        name=title,
        sha256=digest_of_file(file),
        pictures=str(folder / f"{CHECKED}.npy"),
        logits=str(folder / f"{PYTORCH}.npy"),
        seconds=time.perf_counter() - started,
        notes=(ORIGINAL_NOTE, *notes),
        recorded=_recorded(request.preprocess, own),
    )
    model = replace(request.model, onnx=str(file), network=exported)
    return replace(request, model=model, preprocess=preprocess)


def _class_name(network: torch.nn.Module) -> str:
    # Scripted networks have a class of torch's own.
    return str(getattr(network, "original_name", type(network).__name__))


def _fill(choice: PreprocessChoice, own: PreprocessChoice) -> PreprocessChoice:
    """Take from the network's own record what the person left open."""
    given = {name: value for name, value in asdict(choice).items() if value is not None}
    return replace(own, **given)


def _recorded(given: PreprocessChoice, own: OwnPreprocess | None) -> tuple[str, ...]:
    """Name the values that come from the network's own record, since the person gave none."""
    carried, asked = {} if own is None else asdict(own.choice), asdict(given)
    return tuple(name for name in carried if asked[name] is None and carried[name] is not None)


def _own_note(
    spec: PreprocessSpec, given: PreprocessChoice, own: OwnPreprocess | None
) -> tuple[str, ...]:
    if own is None:
        return ()
    words = preprocess_words(spec, _recorded(given, own))
    return (f"Preprocessing as the network's {own.record} says: {words}.",) if words else ()


def _number_notes(network: torch.nn.Module) -> Iterator[str]:
    formats = number_formats(network)
    if formats:
        yield (
            f"The network holds {' and '.join(formats)}; everything here, the original's logits "
            "too, is computed in float32."
        )
    if holds_fake_quantization(network):
        yield (
            "The network simulates quantization, as torch.ao's training does: its float values are "
            "taken and its scales left out, for the original's logits too."
        )


def _spec(choice: PreprocessChoice, channels: int, height: int, width: int) -> PreprocessSpec:
    """Find the preprocessing that the worker finds for an ONNX file of that input."""
    assumed = default_preprocess(channels).with_input_size((height, width))
    spec = with_choice(assumed, choice)
    demand_plausible(spec)
    return spec


def _check_pictures(spec: PreprocessSpec, request: ConvertRequest) -> np.ndarray:
    """Fit the pictures that every stage is checked on."""
    calibrations = Calibrations(request.calibration, recipes_named(request.variants))
    return np.stack(
        [spec.fitted(p.decode(spec.picture_mode)) for p in check_pictures(calibrations)]
    )


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


def _check_own(network: torch.nn.Module, logits: FloatArray) -> None:
    named = (*network.named_parameters(), *network.named_buffers())
    weights = ((name, tensor.detach().numpy()) for name, tensor in named)
    check_hop(PYTORCH, None, logits, tolerance=None, weights=lambda: weights)
    check_reference(PYTORCH, logits)


def _batch_note(runner: Runner, inputs: FloatArray, alone: FloatArray) -> tuple[str, ...]:
    """Say that answers depend on the batch, as where a norm takes its statistics from it."""
    try:
        together = runner.infer(inputs)
    except Exception:  # a network may be written for one picture alone
        return ()
    if not depends_on_batch(alone, together):
        return ()
    return (
        "The network answers otherwise where it is shown several pictures at once; here it is "
        "shown one at a time, as an app does.",
    )


def _write(
    tried: TriedNetwork,
    output: str,
    file: Path,
    size: tuple[int, int],
    opset: int | None,
    check: Callable[[], None],
) -> tuple[str, ...]:
    """Write the file with the first exporter whose file passes the check; say if it is another."""
    exporters: list[Callable[..., int]] = [partial(onnx_from_torch, opset=opset)]
    if opset is None:
        exporters.append(onnx_from_exported_program)
    network, failures = tried.with_output(output), list[EngineError]()
    shape = {"channels": tried.channels, "height": size[0], "width": size[1]}
    for export in exporters:
        try:
            export(network, file, output=output, **shape)
            check()
        except OptionError:
            raise
        except EngineError as error:
            failures.append(error)
        else:
            return tuple(
                torch_export_note(f"gave no file that serves: {failure.got}")
                for failure in failures
            )
    raise _no_file(failures)


def _check_file(file: Path, inputs: FloatArray, before: FloatArray) -> None:
    reading = onnx_reading(file)
    with OnnxRunner(reading.model.SerializeToString()) as runner:
        check_hop(
            f"{PYTORCH} to {ONNX}",
            before,
            runner.infer(inputs),
            tolerance=reading.tolerance,
            nudged=lambda: runner.infer(inputs * np.float32(NUDGE)),
        )


def _no_file(failures: list[EngineError]) -> EngineError:
    first = failures[0]
    # Two files that fail at the same check speak of the network, as the first says.
    if len(failures) == 1 or first.stage == failures[1].stage != STAGE:
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
