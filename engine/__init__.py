"""Quantization Lab's engine: PyTorch classifiers become TFLite variants, compared side by side.

>>> import engine
>>> run = engine.convert("efficientnet_lite0", variants=["float32", "int8"])
>>> engine.compare(run, "sample_images").to_frame()

Importing it loads neither torch nor TensorFlow; they are loaded in worker processes.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from engine.api import (
        add_files,
        compare,
        compile_for,
        convert,
        deploy,
        find_flips,
        improve,
        latency,
        layers,
        mix,
        models,
        pin,
        pinned,
        preview,
        read_model,
        report,
        robustness,
        slices,
        sweep,
        targets,
        time_on_phone,
    )
    from engine.comparison.comparison import Comparison
    from engine.comparison.latency import Latency
    from engine.comparison.layers.records import LayerErrors
    from engine.comparison.records import VariantComparison
    from engine.comparison.robustness import PictureFlips, Robustness
    from engine.comparison.slices import Slices
    from engine.core.errors import EngineError, MissingVariantWarning, UserMistake
    from engine.core.system import __version__
    from engine.images.preprocess import PreprocessChoice, PreprocessSpec
    from engine.portability.records import TargetMatrix
    from engine.reporting.report import Report
    from engine.runs.run import Run
    from engine.tasks.own_model import ModelReading, Preview
    from engine.tasks.sweep.records import Sweep

_HOMES = {
    "Comparison": "engine.comparison.comparison",
    "EngineError": "engine.core.errors",
    "Latency": "engine.comparison.latency",
    "LayerErrors": "engine.comparison.layers.records",
    "MissingVariantWarning": "engine.core.errors",
    "ModelReading": "engine.tasks.own_model",
    "PictureFlips": "engine.comparison.robustness",
    "PreprocessChoice": "engine.images.preprocess",
    "PreprocessSpec": "engine.images.preprocess",
    "Preview": "engine.tasks.own_model",
    "Report": "engine.reporting.report",
    "Robustness": "engine.comparison.robustness",
    "Run": "engine.runs.run",
    "Slices": "engine.comparison.slices",
    "Sweep": "engine.tasks.sweep.records",
    "TargetMatrix": "engine.portability.records",
    "UserMistake": "engine.core.errors",
    "VariantComparison": "engine.comparison.records",
    "__version__": "engine.core.system",
    "add_files": "engine.api",
    "compare": "engine.api",
    "compile_for": "engine.api",
    "convert": "engine.api",
    "deploy": "engine.api",
    "find_flips": "engine.api",
    "improve": "engine.api",
    "latency": "engine.api",
    "layers": "engine.api",
    "mix": "engine.api",
    "models": "engine.api",
    "pin": "engine.api",
    "pinned": "engine.api",
    "preview": "engine.api",
    "read_model": "engine.api",
    "sweep": "engine.api",
    "report": "engine.api",
    "robustness": "engine.api",
    "targets": "engine.api",
    "slices": "engine.api",
    "time_on_phone": "engine.api",
}

__all__ = [
    "Comparison",
    "EngineError",
    "Latency",
    "LayerErrors",
    "MissingVariantWarning",
    "ModelReading",
    "PictureFlips",
    "PreprocessChoice",
    "PreprocessSpec",
    "Preview",
    "Report",
    "Robustness",
    "Run",
    "Slices",
    "Sweep",
    "TargetMatrix",
    "UserMistake",
    "VariantComparison",
    "__version__",
    "add_files",
    "compare",
    "compile_for",
    "convert",
    "deploy",
    "find_flips",
    "improve",
    "latency",
    "layers",
    "mix",
    "models",
    "pin",
    "pinned",
    "preview",
    "read_model",
    "report",
    "robustness",
    "slices",
    "sweep",
    "targets",
    "time_on_phone",
]


# What the lines of "Show the code" import, under the names that notebooks of earlier versions use.
_MODULES = {
    "figures": "engine.reporting.plots.figures",
    "layer_sentences": "engine.reporting.text.layers",
    "overview": "engine.comparison.recommendation",
    "overview_sentences": "engine.reporting.text.overview",
    "plots": "engine.reporting.plots",
}


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return import_module(_MODULES[name])
    if name not in _HOMES:
        raise AttributeError(f"module 'engine' has no attribute '{name}'")
    return getattr(import_module(_HOMES[name]), name)
