"""What PyTorch's exporters write for indices, sequences and recurrent layers, through to files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import nn
from torch.nn import functional

from tests.helpers.integer_models import answers_of, decibels, expected_answers

pytestmark = pytest.mark.slow


class Places(nn.Module):
    """Assignments in place, choices and uneven parts."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 12, 3, padding=1)
        self.head = nn.Linear(12, 6)

    def forward(self, picture: torch.Tensor) -> torch.Tensor:
        y = self.stem(picture).relu()
        assigned = y.clone()
        assigned[:, :, 1::2] = y[:, :, 0::2] * 0.5
        assigned[:, 3, :, -2:] = 1
        first, second = torch.tensor([0, 2, 5]), torch.tensor([5, 1, 3])
        assigned[:, :, first, second] = y[:, :, second, first.flip(0)]
        rows = assigned.chunk(5, 2)
        turned = torch.cat([rows[-1], *rows[:-1]], 2)
        turned = torch.stack(list(turned.unbind(1))[::-1], 1)
        turned = turned.index_add(1, torch.tensor([1, 1, 4]), y[:, :3])
        largest, places = turned.topk(3, dim=1)
        pooled = turned.mean((2, 3)) + largest.mean() + places.float().mean() / 10
        gates, experts = pooled.softmax(1).topk(4, dim=1)
        spread = torch.zeros_like(pooled).scatter(1, experts, gates)
        again = torch.gather(pooled, 1, experts.flip(1)).mean(1, keepdim=True)
        named = functional.one_hot(pooled.argmax(1), 12).float()
        mixed = torch.einsum("bc,kc->bk", pooled + spread + named + again, self.head.weight)
        summed: torch.Tensor = self.head(turned.cumsum(2).mean((2, 3)))
        return mixed + summed


class Steps(nn.Module):
    """Recurrent layers one after another, over the columns of a picture."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.lstm = nn.LSTM(8, 8, batch_first=True, bidirectional=True)
        self.gru = nn.GRU(16, 8, batch_first=True, num_layers=2)
        self.rnn = nn.RNN(8, 8, nonlinearity="relu")
        self.head = nn.Linear(24, 6)

    def forward(self, picture: torch.Tensor) -> torch.Tensor:
        y = self.stem(picture).relu().mean(2).transpose(1, 2)
        y, (hidden, _) = self.lstm(y)
        y, _ = self.gru(y)
        y, _ = self.rnn(y.transpose(0, 1))
        answers: torch.Tensor = self.head(torch.cat([y[-1], hidden.transpose(0, 1).flatten(1)], 1))
        return answers


@pytest.mark.filterwarnings("ignore")  # of the exporters
@pytest.mark.parametrize("opset", [13, 17, None], ids=["set 13", "set 17", "torch.export"])
@pytest.mark.parametrize("kind", [Places, Steps])
def test_exported_operators(kind: type[nn.Module], opset: int | None, tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = kind().eval()
    file = tmp_path / "network.onnx"
    names = {"input_names": ["picture"], "output_names": ["logits"]}
    example = (torch.zeros(1, 3, 8, 6),)
    if opset is None:
        torch.onnx.export(network, example, file, **names, verbose=False)
    else:
        torch.onnx.export(network, example, file, **names, dynamo=False, opset_version=opset)
    model = onnx.load(file)
    expected = expected_answers(model)
    np.testing.assert_allclose(
        answers_of(model, "float32", tmp_path), expected, rtol=1e-5, atol=1e-5
    )
    assert decibels(answers_of(model, "int8_float_io", tmp_path), expected) > 15
    assert decibels(answers_of(model, "int16x8", tmp_path), expected) > 28
