"""A worker with one more task: find a person's model as a conversion does, and run it once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from engine.images.preprocess import PreprocessChoice
from engine.networks.source import ModelChoice
from engine.workers import main
from engine.workers import protocol as registry


def source(choice: ModelChoice, report: Callable[[Any], None]) -> bool:
    """The first stage of a conversion."""
    from engine.comparison.hops import check_reference
    from engine.conversion.build import check_inputs
    from engine.networks.load import model_source
    from engine.networks.onnx_reading import read_onnx
    from engine.networks.runners.onnx import OnnxRunner
    from engine.networks.runners.pytorch import TorchRunner
    from engine.networks.source import OnnxSource

    small = PreprocessChoice(input_size=None if choice.onnx else 64)
    found = model_source(choice, small)
    if isinstance(found, OnnxSource):
        whole = read_onnx(found.file).SerializeToString()
        runner: Any = OnnxRunner(whole, layout=found.layout)
    else:
        runner = TorchRunner(found.build)
    with runner:
        check_reference("first stage", runner.infer(check_inputs(found.preprocess)))
    return True


if __name__ == "__main__":
    registry.TASKS["source"] = "__main__:source"
    main.main()
