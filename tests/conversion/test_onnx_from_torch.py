from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from engine.conversion.onnx_from_torch import (
    BASE_OPSET,
    LOWEST_DYNAMO_OPSET,
    onnx_from_either_exporter,
    onnx_from_torch,
)
from engine.core.errors import OperatorError, OptionError
from engine.networks.onnx_tidying import operator_set


class Attention(torch.nn.Module):
    def forward(self, picture: torch.Tensor) -> torch.Tensor:
        tokens = picture.flatten(2).transpose(1, 2)
        return torch.nn.functional.scaled_dot_product_attention(tokens, tokens, tokens).mean(1)


class Eigenvalues(torch.nn.Module):
    def forward(self, picture: torch.Tensor) -> torch.Tensor:
        return torch.linalg.eigvals(picture).real


def exported(network: torch.nn.Module, folder: Path, opset: int | None) -> int:
    file = folder / "m.onnx"
    used = onnx_from_torch(network, file, height=8, width=8, opset=opset)
    assert operator_set(onnx.load(file)) == used
    return used


def test_the_lowest_operator_set_that_works(tmp_path: Path) -> None:
    plain = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU())
    assert exported(plain, tmp_path, None) == BASE_OPSET
    assert exported(plain, tmp_path, 11) == 11
    assert exported(Attention(), tmp_path, None) == 14


def test_a_missing_operator_is_named_and_the_graph_not_printed(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(OperatorError, match=r"scaled_dot_product_attention.*set 13\. Leave"):
        exported(Attention(), tmp_path, 13)
    with pytest.raises(OperatorError, match=r"aten::linalg_eigvals; .*13 to 17\. Write"):
        exported(Eigenvalues(), tmp_path, None)
    threshold = torch.nn.Threshold(0.1, 0.2)
    with pytest.raises(OperatorError, match=r"the operator threshold, non-zero threshold; "):
        exported(threshold, tmp_path, None)
    assert capfd.readouterr() == ("", "")


@pytest.mark.slow
def test_the_other_exporter_takes_what_torchscript_has_no_translation_of(tmp_path: Path) -> None:
    def export(network: torch.nn.Module, opset: int | None = None) -> int:
        return onnx_from_either_exporter(
            network, tmp_path / "m.onnx", height=8, width=8, opset=opset
        )

    assert export(torch.nn.Threshold(0.1, 0.2)) == LOWEST_DYNAMO_OPSET
    assert operator_set(onnx.load(tmp_path / "m.onnx")) == LOWEST_DYNAMO_OPSET
    assert export(Attention()) == 14
    with pytest.raises(OperatorError, match="set 13"):
        export(Attention(), 13)
    with pytest.raises(OperatorError, match="linalg_eigvals"):
        export(Eigenvalues())


def test_operator_sets_out_of_range(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="9 to 17"):
        exported(Attention(), tmp_path, 18)


class WithRolledWindows(torch.nn.Module):
    """As in Swin: the exporter loses the sizes of what a roll and a reshape give."""

    def forward(self, picture: torch.Tensor) -> torch.Tensor:
        rows = picture.permute(0, 2, 3, 1)
        rolled = torch.roll(rows[:, : rows.shape[1] // 2], shifts=(1, 1), dims=(1, 2))
        return torch.nn.functional.adaptive_avg_pool2d(rolled.permute(0, 3, 1, 2), 1)


def test_global_pooling_of_an_unknown_size(tmp_path: Path) -> None:
    assert exported(WithRolledWindows(), tmp_path, None) == BASE_OPSET


@pytest.mark.parametrize("size", [1, 2, 3, 7, 8, (5, 8), (1, 3), 11])
def test_adaptive_pooling_to_any_size(size: int | tuple[int, int], tmp_path: Path) -> None:
    pool = torch.nn.AdaptiveAvgPool2d(size)
    exported(pool, tmp_path, None)
    picture = torch.randn(1, 3, 8, 8)
    session = onnxruntime.InferenceSession(tmp_path / "m.onnx")
    (found,) = session.run(None, {"input": picture.numpy()})
    np.testing.assert_allclose(found, pool(picture).numpy(), atol=1e-6)
