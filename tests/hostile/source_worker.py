"""A worker with one more task: find a person's model as a conversion does, and run it once."""

from __future__ import annotations

from typing import Any

from engine.core.types import Report
from engine.images.preprocess import PreprocessChoice
from engine.networks.source import ModelChoice
from engine.workers import main, protocol


def run_source(choice: ModelChoice, report: Report) -> bool:
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
    protocol.ACCEPTED = ("tests.hostile.source_worker",)
    main.main()
