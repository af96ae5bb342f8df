"""The functions of ``import engine``: conversion, comparison, layers, timing, kits, catalogue."""

from __future__ import annotations

import os
import shlex
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from engine.comparison.latency import Latency
from engine.conversion.missing_variants import missing_of, missing_sentences
from engine.core.errors import MissingVariantWarning
from engine.core.types import ORIGINAL, Layout, LoweringName, Progress
from engine.images.preprocess import PreprocessChoice
from engine.networks.source import DEFAULT_MODEL, ModelChoice
from engine.quantization.calibration import DEFAULT_CALIBRATION_COUNT, CalibrationChoice
from engine.quantization.recipes import RANGE_METHODS
from engine.runs.request import ConvertRequest, checked_request
from engine.tasks.layers import DEFAULT_LAYERS_COUNT
from engine.tasks.litert_torch import RouteName
from engine.tasks.sweep.sweep import DEFAULT_RECIPES, DEFAULT_SEEDS

if TYPE_CHECKING:
    import torch

    from engine.comparison.comparison import Comparison
    from engine.comparison.layers.records import LayerErrors
    from engine.core.types import OnProgress
    from engine.deployment.kit import Kit
    from engine.images.pictures import Picture
    from engine.images.preprocess import InputSize
    from engine.networks.catalog_network import CatalogEntry
    from engine.reporting.report import Report
    from engine.runs.run import Run
    from engine.tasks.sweep.records import Sweep

PathLike = str | os.PathLike[str]


def _silent(progress: Progress) -> None:
    """Take no note."""


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
    on_progress: OnProgress = _silent,
) -> Run:
    """Convert a classifier to TFLite variants.

    What was made before is not made again: a second call with one more variant adds that one.

    A variant that cannot be made costs itself alone. The run is returned with all others, its
    ``missing`` names those that failed with the reason, and a `MissingVariantWarning` is issued
    by every call that asks for one of them; ``warnings.simplefilter("error",
    engine.MissingVariantWarning)`` makes that an exception.

    A network is exported to ONNX in this process, in evaluation mode and float32 on the processor,
    and left as it was; the file has to answer like it on the check pictures. Its own logits are
    kept for the calibration pictures and the sample images, and `compare` takes them for the
    original where it has them for every picture.

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
        calibration: Folder of pictures like those the model will meet; None takes crops of the
            sample images (demo calibration).
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
        UserMistake: Something asked for can be mended.
        ConversionError: A stage failed that every variant needs: float32, or one before it.
        WorkerError: The worker process failed.
    """
    from engine.tasks.convert import convert_request
    from engine.tasks.litert_torch import add_litert_torch, check_route
    from engine.workers.process import Foreground

    _check_model(model, name=name, weights_of=(checkpoint, onnx, random_weights or None))
    named = model if isinstance(model, str) else None
    routes = tuple(routes)
    if routes:
        check_route("torchvision" if named and onnx is None else "onnx")
    host = Foreground(on_progress)
    choice = _preprocess(preprocess or PreprocessChoice(), input_size, mean, std)
    names = None if labels is None or isinstance(labels, str | os.PathLike) else _names(labels)
    request = checked_request(
        ConvertRequest(
            model=ModelChoice(
                name=named or DEFAULT_MODEL,
                checkpoint=_text(checkpoint),
                weights_of=weights_of,
                onnx=_text(onnx),
                output=output,
                random_weights=random_weights,
                labels=_text(labels) if isinstance(labels, str | os.PathLike) else None,
                names=names,
            ),
            preprocess=choice,
            variants=(variants,) if isinstance(variants, str) else tuple(variants),
            calibration=CalibrationChoice(
                folder=_text(calibration), count=calibration_count, seed=seed
            ),
            opset=opset,
            allow_flex=allow_flex,
            lowering=lowering,
            input_layout=input_layout,
            out=_text(out),
            retry=retry,
        )
    )
    if named is not None:
        run = convert_request(request, host)
    else:
        from engine.tasks.network_export import convert_network

        run = convert_network(model, request, host, name=name)
    if absent := missing_of(run.missing, request.variants):
        sentences = missing_sentences(absent)
        warnings.warn("\n".join(sentences), MissingVariantWarning, stacklevel=2)
    return add_litert_torch(run, host) if routes else run


def compare(
    run: Run | PathLike,
    images: PathLike | Iterable[PathLike],
    *,
    reference: str = ORIGINAL,
    variants: Iterable[str] = (),
    labels_csv: PathLike | None = None,
    labels_from_folders: bool = False,
    also: Mapping[str, PathLike] | None = None,
    network: torch.nn.Module | None = None,
    latency: Latency | None = None,
    dask: str | None = None,
    on_progress: OnProgress = _silent,
) -> Comparison:
    """Compare the variants of a run with a reference on the same pictures.

    Args:
        run: A run, or its folder.
        images: A folder of pictures, or picture files.
        reference: ``original``, ``onnx`` or a variant.
        variants: What to compare; all variants when empty.
        labels_csv: Table of right answers with the columns ``filename,class_index``.
        labels_from_folders: Whether the folder of each picture names its class.
        also: TFLite files of other tools by the name to give them; they are copied into the run,
            and compared in later calls, too.
        network: The network that the run was made from: its own logits on the pictures are kept
            in the run first. Without it, the ONNX file that was exported from it answers for the
            original where the run does not hold the network's logits for every picture; the notes
            say which.
        latency: Timings to show beside, as `latency` gives them.
        dask: Let a Dask cluster find the answers, shard by shard: ``local`` for two workers on
            this machine, or a scheduler's address; see `sweep`.
        on_progress: Called for every step.

    Returns:
        The comparison; see its ``to_frame`` and ``to_dict``.

    Raises:
        UserMistake: A name, a picture or a label is wrong.
        WorkerError: The worker process failed.
    """
    from engine.tasks.evaluate import evaluate, right_answers
    from engine.workers.process import Foreground

    opened = add_files(_run(run), also or {}, on_progress=on_progress)
    chosen = tuple(variants)
    pictures = _pictures(images)
    labels = right_answers(
        opened,
        pictures,
        table=None if labels_csv is None else Path(labels_csv),
        from_folders=labels_from_folders,
    )
    host = Foreground(on_progress)
    if network is not None:
        from engine.networks.given_network import given_network
        from engine.runs.results import keep_own_logits

        keep_own_logits(opened, given_network(network), pictures, host)
    compared = (*chosen, *(also or ())) if chosen else ()
    if dask is not None:
        from engine.tasks.evaluate_dask import evaluate_by_shards

        columns = tuple(dict.fromkeys((reference, *(compared or opened.runnable))))
        evaluate_by_shards(opened, pictures, columns, dask, host)
    return evaluate(
        opened,
        pictures,
        host,
        reference=reference,
        variants=compared,
        labels=labels,
        latency=latency,
    ).comparison


def report(
    run: Run | PathLike,
    images: PathLike | Iterable[PathLike],
    out: PathLike | None = None,
    *,
    reference: str = ORIGINAL,
    labels_csv: PathLike | None = None,
    labels_from_folders: bool = False,
    against: Run | PathLike | None = None,
    threads: int = 1,
    need: float = 0.95,
    on_progress: OnProgress = _silent,
) -> Report:
    """Gather everything about a run on pictures, to take home as one HTML file.

    Args:
        run: A run, or its folder.
        images: A folder of pictures, or picture files.
        out: HTML file to write; None writes none.
        reference: ``original``, ``onnx`` or a variant.
        labels_csv: Table of right answers with the columns ``filename,class_index``.
        labels_from_folders: Whether the folder of each picture names its class.
        against: Another run, to hold it against on the same pictures.
        threads: Which stored timings stand beside the figures; see `latency`.
        need: Share of equal first answers that the recommendation asks for, 0 to 1.
        on_progress: Called for every step.

    Returns:
        The report; see its ``to_html``, ``to_dict`` and ``to_csv``.

    Raises:
        UserMistake: A name, a picture, a label or a number is wrong, or ``out`` cannot be written.
        WorkerError: The worker process failed.
    """
    from engine.reporting.report import report_of
    from engine.tasks.evaluate import right_answers
    from engine.workers.process import Foreground

    opened, pictures = _run(run), _pictures(images)
    labels = right_answers(
        opened,
        pictures,
        table=None if labels_csv is None else Path(labels_csv),
        from_folders=labels_from_folders,
    )
    made = report_of(
        opened,
        pictures,
        Foreground(on_progress),
        reference=reference,
        labels=labels,
        against=None if against is None else _run(against),
        threads=threads,
        need=need,
    )
    if out is not None:
        made.save(os.fspath(out))
    return made


def layers(
    run: Run | PathLike,
    variant: str,
    images: PathLike | Iterable[PathLike],
    *,
    count: int = DEFAULT_LAYERS_COUNT,
    on_progress: OnProgress = _silent,
) -> LayerErrors:
    """Measure what each operator of an integer variant loses against float32, and why.

    Args:
        run: A run, or its folder.
        variant: An integer variant, or an integer file of another tool that was added.
        images: A folder of pictures, or picture files.
        count: Pictures to use: all where there are fewer, else some at equal distances.
        on_progress: Called for every step.

    Returns:
        One record an operator; see its ``by_loss``, ``to_frame`` and ``to_dict``.

    Raises:
        UserMistake: A name, a picture or the count is wrong.
        ConversionError: The variant gives other answers when its activations are kept.
        WorkerError: The worker process failed.
    """
    from engine.tasks import layers as layers_module
    from engine.workers import process as host_module

    host = host_module.Foreground(on_progress)
    return layers_module.layers(_run(run), variant, _pictures(images), host, count=count)


def add_files(
    run: Run | PathLike, files: Mapping[str, PathLike], *, on_progress: OnProgress = _silent
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
    from engine.tasks.add_file import add_file
    from engine.workers.process import Foreground

    opened = _run(run)
    for name, file in files.items():
        opened = add_file(opened, name, Path(file), Foreground(on_progress))
    return opened


def improve(
    run: Run | PathLike, variant: str = "int8", *, on_progress: OnProgress = _silent
) -> Run:
    """Add a better integer variant: weights, biases and ranges chosen anew.

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
    from engine.tasks.improve import improve as improved
    from engine.workers.process import Foreground

    return improved(_run(run), variant, Foreground(on_progress))


def mix(
    run: Run | PathLike,
    *,
    layers: int | None = None,
    target_rms: float | None = None,
    target_agreement: float | None = None,
    on_progress: OnProgress = _silent,
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
    from engine.tasks.improve import mix as mixed
    from engine.tasks.improve import mixed_name
    from engine.workers.process import Foreground

    name = mixed_name(layers=layers, target_rms=target_rms, target_agreement=target_agreement)
    return mixed(_run(run), name, Foreground(on_progress))


def sweep(
    run: Run | PathLike,
    images: PathLike | Iterable[PathLike],
    *,
    calibration: PathLike | None = None,
    recipes: Iterable[str] = DEFAULT_RECIPES,
    counts: Iterable[int] = (),
    seeds: Iterable[int] = DEFAULT_SEEDS,
    ranges: Iterable[str] = RANGE_METHODS,
    dask: str | None = None,
    on_progress: OnProgress = _silent,
) -> Sweep:
    """Find out how many calibration pictures are enough, and which ranges are best.

    The float32 model of the run is quantized for every recipe, count, seed and range method, and
    each is compared with float32. Nothing is added to the run. Finished cells are kept in the
    store, so that a sweep that was ended goes on where it was.

    Args:
        run: A run, or its folder; see `convert`.
        images: A folder of pictures, or picture files, to measure on; those that calibration may
            use are left out.
        calibration: Folder of pictures to choose from; None takes that of the run.
        recipes: Calibrated recipes without count, seed and range.
        counts: Calibration pictures; none takes those of 8, 16, 32, 64 and 128 that there are.
        seeds: Seeds of the choice among the pictures.
        ranges: Methods by which ranges follow from the values seen.
        dask: Let a Dask cluster do it: ``local`` for two workers on this machine, or a scheduler's
            address. The figures are the same. A script that names ``local`` needs the usual
            ``if __name__ == "__main__":``, since workers import it.
        on_progress: Called for every step.

    Returns:
        One record a cell; see its ``groups``, ``to_frame`` and ``write``.

    Raises:
        UserMistake: A name, number, picture or address is wrong, or no picture is left.
        ConversionError: A cell cannot be made.
        WorkerError: The worker process failed.
    """
    from engine.tasks.sweep.sweep import SweepChoice
    from engine.tasks.sweep.sweep import sweep as swept
    from engine.workers.process import Foreground

    choice = SweepChoice(
        recipes=tuple(recipes), counts=tuple(counts), seeds=tuple(seeds), ranges=tuple(ranges)
    )
    return swept(
        _run(run),
        _pictures(images),
        Foreground(on_progress),
        choice,
        calibration=_text(calibration),
        dask=dask,
    )


def latency(
    run: Run | PathLike,
    *,
    variants: Iterable[str] = (),
    threads: int = 1,
    rounds: int = 50,
    warmup: int = 5,
    on_progress: OnProgress = _silent,
) -> Latency:
    """Time one call of the original and of every variant on this machine, in turns.

    Args:
        run: A run, or its folder.
        variants: ``original``, ``onnx`` or variants; the original and all variants when empty.
        threads: Threads each model gets.
        rounds: Timed calls of each.
        warmup: Calls of each before timing starts.
        on_progress: Called for every step.

    Returns:
        Raw samples and the machine they were taken on.

    Raises:
        UserMistake: A name or number is wrong.
        WorkerError: The worker process failed.
    """
    from engine.tasks.latency import measure
    from engine.workers.process import Foreground

    return measure(
        _run(run),
        Foreground(on_progress),
        columns=tuple(variants),
        threads=threads,
        rounds=rounds,
        warmup=warmup,
    )


def pin(run: Run | PathLike, images: PathLike | Iterable[PathLike]) -> None:
    """Copy pictures into a run's regression set.

    Args:
        run: A run, or its folder.
        images: A folder of pictures, or files.

    Raises:
        UserMistake: One is no picture.
    """
    from engine.runs.pinned import pin as pin_one

    opened = _run(run)
    for picture in _pictures(images):
        pin_one(opened, picture)


def pinned(run: Run | PathLike) -> tuple[Path, ...]:
    """Files of the pictures that are pinned to a run, by name, for `compare` and `report`.

    Args:
        run: A run, or its folder.

    Raises:
        UserMistake: There is none, or one has changed since.
    """
    from engine.core.errors import PictureError
    from engine.runs.pinned import pinned_pictures

    opened = _run(run)
    found = tuple(picture.path for picture in pinned_pictures(opened))
    if not found:
        raise PictureError(
            "Looking for pinned pictures",
            got=f"none in {opened.folder.name}",
            expected="at least one",
            todo=f"Pin some: python -m engine pin --run {shlex.quote(str(opened.folder))} "
            "--images FOLDER.",
        )
    return found


def deploy(
    run: Run | PathLike,
    variant: str,
    images: PathLike | Iterable[PathLike],
    *,
    out: PathLike | None = None,
    reference: str = ORIGINAL,
    labels_csv: PathLike | None = None,
    labels_from_folders: bool = False,
    on_progress: OnProgress = _silent,
) -> Kit:
    """Pack a variant for an app: model with metadata, golden set, script, snippets, model card.

    Args:
        run: A run, or its folder.
        variant: One of its variants, or a file of another tool that was added.
        images: A folder of pictures, or picture files: up to five become the golden set, all give
            the figures of the model card.
        out: The zip to write; None puts it into the run.
        reference: ``original``, ``onnx`` or another variant, for those figures.
        labels_csv: Table of right answers with the columns ``filename,class_index``.
        labels_from_folders: Whether the folder of each picture names its class.
        on_progress: Called for every step.

    Returns:
        The kit; ``file`` is the zip.

    Raises:
        UserMistake: A name, a picture or a label is wrong, the variant answers NaN or the same for
            every picture, or the zip cannot be written.
        ConversionError: LiteRT refuses the variant, or its answers change with the metadata.
        WorkerError: The worker process failed.
    """
    from engine.deployment.kit import make_kit
    from engine.tasks.evaluate import right_answers
    from engine.workers.process import Foreground

    opened, pictures = _run(run), _pictures(images)
    table = None if labels_csv is None else Path(labels_csv)
    return make_kit(
        opened,
        variant,
        pictures,
        Foreground(on_progress),
        out=None if out is None else Path(out),
        reference=reference,
        labels=right_answers(opened, pictures, table=table, from_folders=labels_from_folders),
    )


def models(*, on_progress: OnProgress = _silent) -> tuple[CatalogEntry, ...]:
    """The catalogue: what `convert` takes by name.

    Args:
        on_progress: Called for every step.

    Returns:
        One entry a model, the default first.
    """
    from engine.tasks import catalog
    from engine.workers import process as host_module

    return catalog.models(host_module.Foreground(on_progress))


def _check_model(
    model: str | torch.nn.Module, *, name: str | None, weights_of: tuple[object, ...]
) -> None:
    """Refuse options that contradict what the model is."""
    from engine.core.errors import OptionError

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


def _preprocess(
    choice: PreprocessChoice,
    input_size: InputSize | None,
    mean: float | Iterable[float] | None,
    std: float | Iterable[float] | None,
) -> PreprocessChoice:
    """Join a record with values that were given beside it."""
    beside = {"input_size": input_size, "mean": mean, "std": std}
    for field, value in beside.items():
        if value is not None and getattr(choice, field) is not None:
            from engine.core.errors import OptionError

            raise OptionError(
                "Reading the preprocessing",
                got=f"{field} both beside preprocess and in it",
                expected="it once",
                todo="Leave one of the two out.",
            )
    return replace(
        choice,
        input_size=choice.input_size if input_size is None else input_size,
        mean=choice.mean if mean is None else _per_channel("mean", mean),
        std=choice.std if std is None else _per_channel("std", std),
    )


def _per_channel(name: str, value: float | Iterable[float]) -> tuple[float, ...]:
    """Give the numbers of channels; a single one is that of all."""
    try:
        return tuple(map(float, value)) if isinstance(value, Iterable) else (float(value),)
    except (TypeError, ValueError) as error:
        from engine.core.errors import OptionError

        raise OptionError(
            "Reading the preprocessing",
            got=f"{name} {value!r:.80}",
            expected="one number a channel, or one for all of them",
            todo=f"Give {name} as a number or a list of numbers, such as [0.485, 0.456, 0.406].",
        ) from error


def _names(labels: Iterable[str]) -> tuple[str, ...]:
    """Give class names that a person wrote in Python."""
    ordered = isinstance(labels, Iterable) and not isinstance(labels, Mapping | set | frozenset)
    names = tuple(labels) if ordered else ()
    if ordered and all(isinstance(name, str) for name in names):
        return names
    from engine.core.errors import LabelsError

    raise LabelsError(
        "Reading the labels",
        got=f"a {type(labels).__name__}"
        + (" that holds other things than names" if ordered or isinstance(labels, Mapping) else ""),
        expected="a list of class names, or a file with them",
        todo="Give one name a class, in the order of the logits; of names with their indices: "
        "sorted(indices, key=indices.get).",
    )


def _text(path: PathLike | None) -> str | None:
    return None if path is None else os.fspath(path)


def _run(run: Run | PathLike) -> Run:
    from engine.runs.run import Run

    return run if isinstance(run, Run) else Run.open(Path(run))


def _pictures(images: PathLike | Iterable[PathLike]) -> tuple[Picture, ...]:
    from engine.images.pictures import as_pictures, pictures_in

    if isinstance(images, str | os.PathLike):
        return pictures_in(Path(images))
    return as_pictures(Path(image) for image in images)
