"""What a person asks for: the records that the command line, Python and the pages fill in.

They travel to the worker process as JSON, so paths are strings here.
"""

from __future__ import annotations

from dataclasses import dataclass

from engine.core.types import Layout
from engine.images.pictures import PictureFile

DEFAULT_LAYERS_COUNT = 32
TRYING = "Trying the file on a picture"
"""Stage that a worker reports when it begins to read a file from elsewhere."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluateRequest:
    """Show pictures to models of a run and keep their logits.

    Attributes:
        run: Run folder.
        columns: ``original``, ``onnx`` or names of variants.
        pictures: The pictures, in the order of the rows.
        folder: Where to write ``<column>.npy``.
    """

    run: str
    columns: tuple[str, ...]
    pictures: tuple[PictureFile, ...]
    folder: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LayersRequest:
    """Measure what each operator of an integer variant loses against float32.

    Attributes:
        run: Run folder.
        variant: Name of the variant, or of a file from elsewhere.
        pictures: Pictures to show to both.
    """

    run: str
    variant: str
    pictures: tuple[PictureFile, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepRequest:
    """Quantize the float32 model of a run many times, and measure each.

    Attributes:
        run: Run folder.
        calibration: Folder of calibration pictures; None takes crops of the sample images.
        pictures: Pictures to measure on.
        cells: Full names of recipes, with count and seed.
        folder: Where finished cells go.
    """

    run: str
    calibration: str | None
    pictures: tuple[PictureFile, ...]
    cells: tuple[str, ...]
    folder: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DeployRequest:
    """Make the files of a kit that need a model to be run.

    Attributes:
        run: Run folder.
        variant: Name of the variant, or of a file from elsewhere.
        pictures: Pictures of the golden set.
        probabilities: Whether the variant's outputs are those of a softmax.
        folder: Where to write them.
    """

    run: str
    variant: str
    pictures: tuple[PictureFile, ...]
    probabilities: bool
    folder: str


@dataclass(frozen=True, slots=True)
class WarmUpRequest:
    """Import what the models of a run need, before somebody waits for it.

    Attributes:
        run: Run folder.
    """

    run: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LatencyRequest:
    """Time one call of each model of a run.

    Attributes:
        run: Run folder.
        columns: ``original``, ``onnx`` or names of variants.
        threads: Threads each model gets.
        rounds: Timed calls of each model.
        warmup: Calls of each model before timing starts.
        picture: A picture to feed; None feeds a picture made of noise.
    """

    run: str
    columns: tuple[str, ...]
    threads: int = 1
    rounds: int = 50
    warmup: int = 5
    picture: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileRequest:
    """Ask LiteRT's profiler what each operator of a variant takes.

    Attributes:
        run: Run folder.
        variant: One of the run's TFLite files.
        threads: Threads it gets.
        picture: A picture to feed; None feeds a picture made of noise.
    """

    run: str
    variant: str
    threads: int = 1
    picture: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TimedFile:
    """A TFLite file to be timed.

    Attributes:
        name: What to call its samples.
        file: Its path.
        layout: Order of its input's dimensions.
    """

    name: str
    file: str
    layout: Layout


@dataclass(frozen=True, slots=True)
class MixedLatencyRequest:
    """What to time of an integer variant with some layers in float32.

    Attributes:
        run: Folder of the run.
        whole: Name of the variant without a layer in float32.
        layers: Numbers of layers in float32.
        columns: Variants of the run to time in the same turns.
        threads: Threads each model gets.
        rounds: Timed calls of each.
        warmup: Calls of each before timing starts.
    """

    run: str
    whole: str
    layers: tuple[int, ...]
    columns: tuple[str, ...] = ()
    threads: int = 1
    rounds: int = 30
    warmup: int = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class FileLatencyRequest:
    """Time one call of each of some TFLite files for the pictures of a run.

    Attributes:
        run: Run folder, for its preprocessing.
        files: The files.
        threads: Threads each model gets.
        rounds: Timed calls of each model.
        warmup: Calls of each model before timing starts.
    """

    run: str
    files: tuple[TimedFile, ...]
    threads: int = 1
    rounds: int = 50
    warmup: int = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteRequest:
    """Convert the network of a run with another converter.

    Attributes:
        run: Run folder.
        folder: Empty folder to write the files to.
    """

    run: str
    folder: str


@dataclass(frozen=True, slots=True, kw_only=True)
class InspectRequest:
    """Read a TFLite file from elsewhere and try it on a picture.

    Attributes:
        run: Run folder that it shall be compared in.
        name: What to call it.
        file: Its path.
    """

    run: str
    name: str
    file: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogRequest:
    """Ask which models there are."""
