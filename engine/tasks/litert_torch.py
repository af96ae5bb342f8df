"""The route litert-torch: PyTorch to TFLite without ONNX, in an environment of its own.

Its pins collide with TensorFlow's, so its packages live elsewhere and a script there does the
work (`engine.conversion.litert_torch_script`). The network and the calibration pictures are handed
over as files; what comes back is added to the run as any file from elsewhere is.
"""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from engine.core.errors import ConversionError, OptionError, PictureError
from engine.core.store import CALIBRATION_IMAGES
from engine.core.types import (
    Progress,
    Report,
)
from engine.quantization.calibration import CalibrationChoice, representative_dataset
from engine.runs.run import Run
from engine.runs.staging import fresh_staging_folder
from engine.tasks.add_file import add_file
from engine.workers.process import Worker

if TYPE_CHECKING:
    from engine.workers.process import Host

ROUTE = "litert-torch"
PYTHON_VARIABLE = "QLAB_LITERT_TORCH_PYTHON"
PREFIX = "litert_torch_"
NETWORK, CALIBRATION = "network.pt", "calibration.npy"
_ROOT = Path(__file__).resolve().parent.parent.parent
_ENVIRONMENT = ".venv-bench-litert-torch"
_SCRIPT = "engine.conversion.litert_torch_script"


def interpreter() -> Path:
    """Find the Python of litert-torch's environment.

    Returns:
        ``$QLAB_LITERT_TORCH_PYTHON``, or that of the environment that ``make`` builds.

    Raises:
        OptionError: There is none.
    """
    named = os.environ.get(PYTHON_VARIABLE)
    path = Path(named) if named else _ROOT / _ENVIRONMENT / "bin" / "python"
    if path.is_file() and os.access(path, os.X_OK):
        return path
    raise OptionError(
        f"Choosing the route {ROUTE}",
        got=f"no Python at {path}",
        expected="an environment with the packages of litert-torch",
        todo=f"Make it with: make setup-litert-torch, or name its Python in {PYTHON_VARIABLE}.",
    )


def check_route(run_kind: str) -> None:
    """Refuse what the route cannot do, before any work starts.

    Args:
        run_kind: ``ModelIdentity.kind`` of the model.

    Raises:
        OptionError: The model is an ONNX file, or the packages are absent.
    """
    if run_kind == "onnx":
        raise OptionError(
            f"Choosing the route {ROUTE}",
            got="an ONNX file",
            expected="a PyTorch network, which is what litert-torch converts",
            todo="Leave the route out, or take a model of the catalogue with your checkpoint.",
        )
    interpreter()


def add_litert_torch(run: Run, host: Host) -> Run:
    """Convert the network of a run with litert-torch, and put the files beside its variants.

    Args:
        run: The run of a PyTorch network.
        host: Gets the workers and their progress.

    Returns:
        The run with ``litert_torch_float32``; and ``litert_torch_int8`` where the run has
        calibration pictures that are still there.

    Raises:
        OptionError: The route cannot be taken; see `check_route`.
        ConversionError: litert-torch failed on the network.
        WorkerError: The work was cancelled.
    """
    check_route(run.manifest.model.kind)
    with fresh_staging_folder(run.folder / ROUTE) as side:
        request = RouteRequest(run=str(run.folder.absolute()), folder=str(side.absolute()))
        with Worker() as worker:
            host.adopt(worker).run(run_litert_torch, request, host.report)
        for file in sorted(side.glob("*.tflite")):
            origin = file.with_suffix(".txt").read_text()
            run = add_file(run, PREFIX + file.stem, file, host, origin=origin)
    return run


def run_litert_torch(request: RouteRequest, report: Report) -> bool:
    """Hand the network over, and run the script in the other environment."""
    import torch

    from engine.runs.runners import original_network

    run, folder = Run.open(request.run), Path(request.folder)
    steps = 3
    report(Progress("Building the network for litert-torch", 0, steps))
    torch.save(original_network(run), folder / NETWORK)
    inputs = _calibration_inputs(run)
    if inputs is None:
        report(Progress("No calibration pictures: float32 only", 1, steps))
    else:
        np.save(folder / CALIBRATION, inputs)
    layout = run.manifest.artifacts[0].layout
    size = run.manifest.preprocess
    words = [str(folder), layout, *map(str, (size.channels, size.height, size.width))]
    report(Progress("Converting with litert-torch", 2, steps))
    ended = subprocess.run(
        [str(interpreter()), "-m", _SCRIPT, *words],
        env=os.environ | {"PYTHONPATH": str(_ROOT)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    print(ended.stdout, ended.stderr)
    if ended.returncode != 0:
        lines = ended.stderr.strip().splitlines()
        raise ConversionError(
            "PyTorch to TFLite with litert-torch",
            got=f"a failure ({lines[-1][:300] if lines else f'exit code {ended.returncode}'})",
            expected="a TFLite file",
            todo="The variants made here are not touched. Leave the route out for this model.",
        )
    return True


def _calibration_inputs(run: Run) -> np.ndarray | None:
    """Load what the run's integer variants were calibrated with, in NHWC; None where it is gone."""
    info = run.manifest.calibration
    if info is None or not (info.demo or info.source):
        return None
    choice = CalibrationChoice(folder=info.source, count=info.count, seed=info.seed)
    try:
        dataset = representative_dataset(choice, CALIBRATION_IMAGES)
    except PictureError:
        return None
    if dataset.info.digest != info.digest:
        return None
    return np.stack(list(dataset.inputs(run.manifest.preprocess)))


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteRequest:
    """Convert the network of a run with another converter.

    Attributes:
        run: Run folder.
        folder: Empty folder to write the files to.
    """

    run: str
    folder: str


RouteName = Literal["litert-torch"]
ROUTES: tuple[RouteName, ...] = ("litert-torch",)
