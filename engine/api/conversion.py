"""Functions of ``import engine`` that make and extend runs."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from engine.core.errors import MissingVariantWarning, OptionError
from engine.core.types import Layout, LoweringName, Progress
from engine.images.pictures import Picture, as_pictures, pictures_in
from engine.images.preprocess import InputSize, PreprocessChoice
from engine.networks.source import DEFAULT_MODEL, ModelChoice
from engine.quantization.calibration import DEFAULT_CALIBRATION_COUNT, CalibrationChoice
from engine.runs.request import ConvertRequest, join_preprocess, read_names, validate_request
from engine.runs.run import Run
from engine.workers.process import Foreground

if TYPE_CHECKING:
    import torch

    from engine.core.types import OnProgress
    from engine.networks.catalog_network import CatalogEntry
    from engine.quantization.records import MixedCurve
    from engine.tasks.litert_torch import RouteName
    from engine.tasks.lowerings import Lowerings
    from engine.tasks.own_model import ModelReading, Preview

PathLike = str | os.PathLike[str]


def ignore(progress: Progress) -> None:
    """Take no note."""


def path_text(path: PathLike | None) -> str | None:
    """Return a path as text."""
    return None if path is None else os.fspath(path)


def open_run(run: Run | PathLike) -> Run:
    """Open a run, unless it is one already."""
    return run if isinstance(run, Run) else Run.open(Path(run))


def pictures_of(images: PathLike | Iterable[PathLike]) -> tuple[Picture, ...]:
    """List the pictures of a folder, or describe picture files."""
    if isinstance(images, str | os.PathLike):
        return pictures_in(Path(images))
    return as_pictures(Path(image) for image in images)


def convert(
    model: str | torch.nn.Module = DEFAULT_MODEL,
    *,
    name: str | None = None,
    checkpoint: PathLike | None = None,
    weights_of: str | None = None,
    onnx: PathLike | None = None,
    output: str | None = None,
    random_weights: bool = False,
    labels: PathLike | Iterable[str] | None = None,
    input_size: InputSize | None = None,
    mean: float | Iterable[float] | None = None,
    std: float | Iterable[float] | None = None,
    preprocess: PreprocessChoice | None = None,
    variants: Iterable[str] | str = "all",
    targets: Iterable[str] = (),
    calibration: PathLike | None = None,
    calibration_count: int = DEFAULT_CALIBRATION_COUNT,
    seed: int = 0,
    opset: int | None = None,
    allow_flex: bool = False,
    lowering: LoweringName = "nhwc",
    input_layout: Layout = "NHWC",
    routes: Iterable[RouteName] = (),
    out: PathLike | None = None,
    retry: bool = False,
    on_progress: OnProgress = ignore,
) -> Run:
    """Convert a classifier to TFLite variants.

    What was made before is not made again: a second call with one more variant adds that one.

    A variant that cannot be made costs itself alone. The run is returned with all others, its
    ``missing`` names those that failed with the reason, and a `MissingVariantWarning` is issued
    by every call that asks for one of them; ``warnings.simplefilter("error",
    engine.MissingVariantWarning)`` makes that an exception.

    A network is exported to ONNX in this process, in evaluation mode and float32 on the processor,
    and left as it was; the file has to answer like it on the check pictures. Its own logits are
    kept for the pictures of the calibration folder and the sample images, and `compare` takes them
    for the original where it has them for every picture.

    Args:
        model: Name in the catalogue, or a network: a ``torch.nn.Module`` that takes pictures of
            shape (1, channels, height, width), float32, and gives logits, perhaps beside other
            tensors. It may be in training mode, half precision or on a GPU, compiled, scripted,
            exported by ``torch.export``, or wrapped in ``DataParallel``.
        name: What to call the network; None takes timm's name for it, or that of its class.
        checkpoint: State dict for that model (``.pth``, ``.pt``, ``.bin``, ``.safetensors``), the
            index of one in several files, or the folder of either.
        weights_of: Name of the set of weights to take of a checkpoint that holds several, such as
            ``state_dict_ema``; None takes the average over the training where there is one.
        onnx: An ONNX file, with its data beside it where it keeps weights there, or a zip of both,
            instead of a catalogue model.
        output: Name of the output of the ONNX file or network that holds the logits; None takes
            the only one that can.
        random_weights: Fresh weights, for size and latency only.
        labels: Class names in the order of the logits; or a file with them: one a line, or JSON,
            YAML or CSV with indices.
        input_size: Height and width of the input in pixels, or one number for both.
        mean: Subtracted from pixels of 0 to 1, one a channel, or one number for all.
        std: Divided by after that, likewise.
        preprocess: Further deviations from the model's own preprocessing. What nobody gives is
            taken from a network's ``pretrained_cfg``, as timm's have it, or assumed to be
            ImageNet's; the run's notes say which.
        variants: Names of recipes, or ``all``.
        targets: Names of targets, as `engine.targets` has them: ``all`` then makes what suits
            them, such as ``int8`` for ``microcontroller``.
        calibration: Folder of pictures like those the model will meet; None takes crops of the
            supplied pictures (demo calibration).
        calibration_count: Pictures to calibrate with.
        seed: Seed of the choice among them.
        opset: ONNX operator set; None takes the lowest from 13 on that works.
        allow_flex: Whether operators outside TFLite's built-in set may stay.
        lowering: ``nhwc`` for our handlers of ONNX operators, ``stock`` for onnx-tf's own.
        input_layout: Order of the picture input's dimensions in the TFLite files.
        routes: Other converters whose files shall stand beside the variants.
        out: Run folder; None puts it into the store.
        retry: Whether variants that could not be made before are tried once more.
        on_progress: Called for every step.

    Returns:
        The finished run.

    Warns:
        MissingVariantWarning: Variants that were asked for could not be made.

    Raises:
        UserMistake: Something asked for has to be changed.
        ConversionError: A stage failed that every variant needs: float32, or one before it.
        WorkerError: The worker process failed.
    """
    from engine.conversion.missing_variants import missing_of, missing_sentences
    from engine.tasks import convert as convert_module
    from engine.tasks import litert_torch
    from engine.tasks.targets import choose_variants

    names_asked = (variants,) if isinstance(variants, str) else tuple(variants)
    _check_model(model, name=name, weights_of=(checkpoint, onnx, random_weights or None))
    named = model if isinstance(model, str) else None
    routes = tuple(routes)
    if routes:
        litert_torch.check_route("torchvision" if named and onnx is None else "onnx")
    host = Foreground(on_progress)
    choice = join_preprocess(preprocess or PreprocessChoice(), input_size, mean, std)
    file, names = None, None
    if isinstance(labels, str | os.PathLike):
        file = os.fspath(labels)
    elif labels is not None:
        names = read_names(labels)
    request = validate_request(
        ConvertRequest(
            model=ModelChoice(
                name=named or DEFAULT_MODEL,
                checkpoint=path_text(checkpoint),
                weights_of=weights_of,
                onnx=path_text(onnx),
                output=output,
                random_weights=random_weights,
                labels=file,
                names=names,
            ),
            preprocess=choice,
            variants=choose_variants(targets, names_asked),
            calibration=CalibrationChoice(
                folder=path_text(calibration), count=calibration_count, seed=seed
            ),
            opset=opset,
            allow_flex=allow_flex,
            lowering=lowering,
            input_layout=input_layout,
            out=path_text(out),
            retry=retry,
        )
    )
    if named is not None:
        run = convert_module.convert_request(request, host)
    else:  # the file imports what only such a network needs
        from engine.tasks.network_export import convert_network

        run = convert_network(model, request, host, name=name)
    if absent := missing_of(run.missing, request.variants):
        sentences = missing_sentences(absent)
        warnings.warn("\n".join(sentences), MissingVariantWarning, stacklevel=2)
    return litert_torch.add_litert_torch(run, host) if routes else run


def _check_model(
    model: str | torch.nn.Module, *, name: str | None, weights_of: tuple[object, ...]
) -> None:
    """Refuse options that contradict what the model is."""
    if isinstance(model, str) and name is not None:
        raise OptionError(
            "Choosing the model",
            got=f"the name '{name}' for a model that has one",
            expected="a name for a network of this process alone",
            todo="Leave name out; the model itself is the first argument.",
        )
    if not isinstance(model, str) and any(value is not None for value in weights_of):
        raise OptionError(
            "Choosing the model",
            got="a network together with a checkpoint, an ONNX file or random weights",
            expected="the network alone, which holds its weights",
            todo="Leave the rest out.",
        )


def add_files(
    run: Run | PathLike, files: Mapping[str, PathLike], *, on_progress: OnProgress = ignore
) -> Run:
    """Put TFLite files of other tools beside the variants of a run.

    Args:
        run: A run, or its folder.
        files: Files by the name to give them.
        on_progress: Called for every step.

    Returns:
        The run with the files.

    Raises:
        UserMistake: A name cannot be used, or a file cannot be compared in this run.
    """
    from engine.tasks import add_file

    opened = open_run(run)
    for name, file in files.items():
        opened = add_file.add_file(opened, name, Path(file), Foreground(on_progress))
    return opened


def improve(run: Run | PathLike, variant: str = "int8", *, on_progress: OnProgress = ignore) -> Run:
    """Add a better integer variant: weights, biases and ranges chosen by another method.

    Args:
        run: A run, or its folder.
        variant: One of its integer variants.
        on_progress: Called for every step.

    Returns:
        The run with ``<variant>_optimized`` beside the variant.

    Raises:
        UserMistake: The variant cannot be improved, or its calibration pictures are gone.
        ConversionError: The pass failed.
        WorkerError: The worker process failed.
    """
    from engine.tasks import improve as improve_module

    return improve_module.improve(open_run(run), variant, Foreground(on_progress))


def mix(
    run: Run | PathLike,
    *,
    layers: int | None = None,
    target_rms: float | None = None,
    target_agreement: float | None = None,
    on_progress: OnProgress = ignore,
) -> Run:
    """Add an int8 variant with some layers in float32: those whose rounding costs most.

    Args:
        run: A run, or its folder.
        layers: How many layers; exactly one of this and the targets is given.
        target_rms: Logit rms that as few of them as it takes have to bring, on calibration
            pictures.
        target_agreement: Share of answers that have to stay, in the same way.
        on_progress: Called for every step.

    Returns:
        The run with the variant beside the others.

    Raises:
        UserMistake: A target cannot be reached, or the calibration pictures are gone.
        ConversionError: The model cannot be taken apart.
        WorkerError: The worker process failed.
    """
    from engine.tasks import improve as improve_module

    name = improve_module.name_mixed(
        layers=layers, target_rms=target_rms, target_agreement=target_agreement
    )
    return improve_module.mix(open_run(run), name, Foreground(on_progress))


def time_curve(
    run: Run | PathLike, variant: str, *, rounds: int = 30, on_progress: OnProgress = ignore
) -> MixedCurve:
    """Time points of the curve that a mixed variant was chosen from, on this machine.

    Raises:
        UserMistake: The variant is not mixed, or has no curve.
        WorkerError: The worker process failed.
    """
    from engine.tasks import improve as improve_module

    host = Foreground(on_progress)
    return improve_module.time_curve(open_run(run), variant, host, rounds=rounds)


def lowerings(
    run: Run | PathLike, *, rounds: int = 50, on_progress: OnProgress = ignore
) -> Lowerings:
    """Convert a run's model with onnx-tf's own lowering, too, and time both in turns.

    Raises:
        UserMistake: The run has neither float32 nor int8.
        WorkerError: The worker process failed.
    """
    from engine.tasks import lowerings as lowerings_module

    return lowerings_module.compare_lowerings(open_run(run), Foreground(on_progress), rounds=rounds)


def read_model(
    model: str = DEFAULT_MODEL,
    *,
    checkpoint: PathLike | None = None,
    weights_of: str | None = None,
    onnx: PathLike | None = None,
    output: str | None = None,
    input_size: InputSize | None = None,
    on_progress: OnProgress = ignore,
) -> ModelReading:
    """Read a model file of your own in a worker process, without converting it.

    Args:
        model: Name in the catalogue of the network that a checkpoint is for.
        checkpoint: As for `convert`.
        weights_of: As for `convert`.
        onnx: As for `convert`.
        output: As for `convert`.
        input_size: Height and width to feed in pixels, or one number, where the file leaves them
            open.
        on_progress: Called for every step.

    Returns:
        Input, layout, type, classes, operator set, parameters and size of the file, and the
        preprocessing that `convert` assumes for it.

    Raises:
        UserMistake: There is no such file, or it is none that can be converted.
        WorkerError: The worker process failed.
    """
    from engine.tasks import own_model

    choice = ModelChoice(
        name=model,
        checkpoint=path_text(checkpoint),
        weights_of=weights_of,
        onnx=path_text(onnx),
        output=output,
    )
    return own_model.read_model(choice, Foreground(on_progress), input_size=input_size)


def preview(
    picture: PathLike,
    model: str = DEFAULT_MODEL,
    *,
    checkpoint: PathLike | None = None,
    weights_of: str | None = None,
    onnx: PathLike | None = None,
    output: str | None = None,
    labels: PathLike | None = None,
    preprocess: PreprocessChoice | None = None,
    on_progress: OnProgress = ignore,
) -> Preview:
    """Show one picture to a float model, to see whether its preprocessing is right.

    Args:
        picture: A picture file whose class you know.
        model: Name in the catalogue; with ``checkpoint``, of the network that it is for.
        checkpoint: As for `convert`.
        weights_of: As for `convert`.
        onnx: As for `convert`.
        output: As for `convert`.
        labels: File with class names, as for `convert`.
        preprocess: What differs from the preprocessing of `read_model`.
        on_progress: Called for every step.

    Returns:
        The preprocessing, the range of the values fed, and the model's five surest classes.

    Raises:
        UserMistake: The model or the picture cannot be read, or the preprocessing contradicts it.
        WorkerError: The worker process failed.
    """
    from engine.tasks import own_model

    choice = ModelChoice(
        name=model,
        checkpoint=path_text(checkpoint),
        weights_of=weights_of,
        onnx=path_text(onnx),
        output=output,
        labels=path_text(labels),
    )
    (described,) = as_pictures([Path(picture)])
    host = Foreground(on_progress)
    return own_model.preview(choice, (preprocess or PreprocessChoice(),), described, host)[0]


def models(*, on_progress: OnProgress = ignore) -> tuple[CatalogEntry, ...]:
    """List the catalogue: what `convert` takes by name.

    Args:
        on_progress: Called for every step.

    Returns:
        One entry a model, the default first.
    """
    from engine.tasks import catalog

    return catalog.models(Foreground(on_progress))
