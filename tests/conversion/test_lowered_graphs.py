"""What the lowering makes of small networks: the same answers, with the operators known by hand."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from engine.conversion.onnx_from_torch import onnx_from_torch
from engine.conversion.savedmodel_from_onnx import savedmodel_from_onnx
from engine.conversion.tflite_from_savedmodel import tflite_from_savedmodel
from engine.networks.runners.tflite import TfliteRunner
from engine.quantization.recipes import FLOAT32
from engine.tflite.artifact import artifact_of

pytestmark = pytest.mark.slow
SIZE = 12
Operators = Counter[str]


class Network(nn.Module):
    """Modules, and what to do with them."""

    def __init__(
        self, forward: Callable[[Network, torch.Tensor], torch.Tensor], **modules: nn.Module
    ):
        super().__init__()
        self.run = forward
        for name, module in modules.items():
            self.add_module(name, module)

    def forward(self, picture: torch.Tensor) -> torch.Tensor:
        return self.run(self, picture)


def lowered(network: nn.Module, folder: Path) -> Operators:
    """Convert, hold the answers against PyTorch's, and count the operators."""
    torch.manual_seed(0)
    for parameter in network.parameters():
        nn.init.normal_(parameter, 0.1, 0.3)
    network.eval()
    onnx_from_torch(network, folder / "m.onnx", height=SIZE, width=SIZE, opset=None)
    savedmodel_from_onnx(
        onnx.load(folder / "m.onnx"),
        folder / "saved",
        layout="NCHW",
        input_layout="NHWC",
        lowering="nhwc",
    )
    file = folder / "m.tflite"
    file.write_bytes(tflite_from_savedmodel(folder / "saved", FLOAT32))
    pictures = np.random.default_rng(0).normal(size=(3, SIZE, SIZE, 3)).astype(np.float32)
    with torch.no_grad():
        expected = network(torch.from_numpy(pictures.transpose(0, 3, 1, 2).copy())).numpy()
    with TfliteRunner(file, layout="NHWC") as runner:
        np.testing.assert_allclose(runner.infer(pictures), expected, rtol=1e-4, atol=1e-4)
    return Counter(artifact_of(file, variant="float32", layout="NHWC").operators)


def shuffled(x: torch.Tensor) -> torch.Tensor:
    n, c, h, w = x.shape
    return x.reshape(n, 2, c // 2, h, w).transpose(1, 2).reshape(n, c, h, w)


def shuffle_units(net: Network, x: torch.Tensor) -> torch.Tensor:
    x = shuffled(net.stem(x).relu())
    for unit in (net.one, net.two):
        kept, worked = x.chunk(2, dim=1)
        x = shuffled(torch.cat([kept, unit(worked).relu()], 1))
    return net.head(net.deep(x).mean((2, 3)))


def test_channel_shuffles_go_into_the_weights(tmp_path: Path) -> None:
    network = Network(
        shuffle_units,
        stem=nn.Conv2d(3, 8, 3),
        one=nn.Conv2d(4, 4, 1),
        two=nn.Conv2d(4, 4, 1),
        deep=nn.Sequential(nn.Conv2d(8, 8, 3, groups=8), nn.Conv2d(8, 6, 1)),
        head=nn.Linear(6, 5),
    )
    found = lowered(network, tmp_path)
    assert not found.keys() & {"TRANSPOSE", "RESHAPE", "GATHER"}
    assert (found["CONV_2D"], found["DEPTHWISE_CONV_2D"]) == (4, 1)


def test_a_flattened_picture_goes_into_the_rows_of_the_weights(tmp_path: Path) -> None:
    network = Network(
        lambda net, x: net.head(net.stem(x).relu().flatten(1)),
        stem=nn.Conv2d(3, 4, 5, stride=4),
        head=nn.Linear(16, 5),
    )
    assert lowered(network, tmp_path) == Counter(CONV_2D=1, RESHAPE=1, FULLY_CONNECTED=1)


def block(net: Network, x: torch.Tensor) -> torch.Tensor:
    tokens = net.patches(x).flatten(2).transpose(1, 2)
    normed = net.norm1(tokens)
    q, k, v = net.q(normed), net.k(normed), net.v(normed)
    tokens = tokens + (q @ k.transpose(1, 2)).softmax(-1) @ v
    tokens = tokens + net.out(nn.functional.gelu(net.wide(net.norm2(tokens))))
    return net.head(tokens[:, 0])


def test_an_attention_block_computes_the_token_that_is_read(tmp_path: Path) -> None:
    network = Network(
        block,
        patches=nn.Conv2d(3, 8, 2, stride=2),
        norm1=nn.LayerNorm(8),
        q=nn.Linear(8, 8),
        k=nn.Linear(8, 8),
        v=nn.Linear(8, 8),
        norm2=nn.LayerNorm(8),
        wide=nn.Linear(8, 16),
        out=nn.Linear(16, 8),
        head=nn.Linear(8, 5),
    )
    found = lowered(network, tmp_path)
    assert not found.keys() & {"TRANSPOSE", "POW", "SQRT", "DIV"}
    assert (found["GELU"], found["FULLY_CONNECTED"]) == (1, 6)
    # Two norms without their factors and shifts, which are in the products behind them.
    assert (found["MUL"], found["ADD"], found["SUB"]) == (4, 4, 2)
    assert rows_of_last_products(tmp_path / "m.tflite") == [1, 1, 1]


def rows_of_last_products(file: Path) -> list[int]:
    """Rows that the last three fully connected operators compute."""
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(file.read_bytes(), 0)
    graph = model.subgraphs[0]
    codes = [code.builtinCode for code in model.operatorCodes]
    products = [
        operator
        for operator in graph.operators
        if codes[operator.opcodeIndex] == schema.BuiltinOperator.FULLY_CONNECTED
    ]
    shapes = [graph.tensors[operator.outputs[0]].shape for operator in products[-3:]]
    return [int(np.prod(shape[:-1])) for shape in shapes]


def test_a_norm_before_a_convolution_is_one_addition(tmp_path: Path) -> None:
    network = Network(
        lambda net, x: net.head(net.conv(net.norm(net.pool(net.stem(x))).relu()).mean((2, 3))),
        stem=nn.Conv2d(3, 4, 3),
        pool=nn.MaxPool2d(2),
        norm=nn.BatchNorm2d(4),
        conv=nn.Conv2d(4, 4, 3, padding=1),
        head=nn.Linear(4, 5),
    )
    torch.manual_seed(0)
    found = lowered(PositiveScale(network), tmp_path)
    assert found == Counter(CONV_2D=2, MAX_POOL_2D=1, ADD=1, MEAN=1, FULLY_CONNECTED=1)


def test_a_norm_without_factors_takes_no_powers(tmp_path: Path) -> None:
    network = Network(
        lambda net, x: net.head(net.norm(net.stem(x).flatten(2).transpose(1, 2)).mean(1)),
        stem=nn.Conv2d(3, 4, 5, stride=4),
        norm=nn.LayerNorm(4, elementwise_affine=False),
        head=nn.Linear(4, 5),
    )
    assert "POW" not in lowered(network, tmp_path)


def test_a_pooled_picture_keeps_its_layout_behind_strides(tmp_path: Path) -> None:
    # What torch.export makes of a pool over all of a picture in channels-last order.
    network = Network(
        lambda net, x: net.head(
            net.norm(
                net.stem(x)
                .mean((2, 3), keepdim=True)
                .as_strided((len(x), 4, 1, 1), (4, 1, 4, 4))
                .permute(0, 2, 3, 1)
            ).flatten(1)
        ),
        stem=nn.Conv2d(3, 4, 5, stride=4),
        norm=nn.LayerNorm(4),
        head=nn.Linear(4, 5),
    )
    # The factor and the shift of the norm are in the product.
    assert lowered(network, tmp_path) == Counter(
        CONV_2D=1, MEAN=3, SUB=1, MUL=2, ADD=1, RSQRT=1, FULLY_CONNECTED=1
    )


def test_vectors_of_length_one_take_no_division(tmp_path: Path) -> None:
    network = Network(
        lambda net, x: net.head(nn.functional.normalize(net.stem(x).flatten(2), dim=-1).mean(-1)),
        stem=nn.Conv2d(3, 4, 5, stride=4),
        head=nn.Linear(4, 5),
    )
    found = lowered(network, tmp_path)
    assert found["RSQRT"] == 1
    assert not found.keys() & {"DIV", "SQRT", "BROADCAST_TO"}


def test_a_norm_by_hand_takes_no_division(tmp_path: Path) -> None:
    def normed(net: Network, x: torch.Tensor) -> torch.Tensor:
        tokens = net.stem(x).flatten(2).transpose(1, 2)
        scaled = tokens * torch.rsqrt(tokens.pow(2).mean(-1, keepdim=True) + 1e-6)
        return net.head(scaled.mean(1))

    network = Network(normed, stem=nn.Conv2d(3, 4, 5, stride=4), head=nn.Linear(4, 5))
    found = lowered(network, tmp_path)
    assert found["RSQRT"] == 1
    assert not found.keys() & {"DIV", "SQRT"}


class PositiveScale(nn.Module):
    """Keeps the factor of a batch norm above 0, as trained ones mostly are."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def eval(self) -> PositiveScale:
        super().eval()
        with torch.no_grad():
            self.network.norm.weight.abs_().add_(0.5)  # type: ignore[union-attr, operator]
        return self

    def forward(self, picture: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.network(picture)
        return result


def test_activations_are_one_operator(tmp_path: Path) -> None:
    network = Network(
        lambda net, x: nn.functional.gelu(
            nn.functional.hardswish(net.stem(x)), approximate="tanh"
        ).mean((2, 3)),
        stem=nn.Conv2d(3, 4, 3),
    )
    assert lowered(network, tmp_path) == Counter(CONV_2D=1, HARD_SWISH=1, GELU=1, MEAN=1)


@pytest.mark.parametrize(
    ("unit", "transposes"),
    [
        pytest.param(lambda x: nn.functional.pad(x, (2, 1, 0, 3), mode="replicate"), 0, id="edges"),
        pytest.param(
            lambda x: nn.functional.interpolate(x, scale_factor=2, mode="bicubic"), 0, id="cubic"
        ),
        pytest.param(lambda x: nn.functional.pixel_shuffle(x, 2), 2, id="pixels"),
        pytest.param(lambda x: x.roll((2, -3), (2, 3)), 0, id="roll"),
        pytest.param(lambda x: x.flip(2) + x.mean(1, keepdim=True), 0, id="flip and mean"),
        pytest.param(lambda x: x.softmax(1), 0, id="softmax over channels"),
        pytest.param(lambda x: torch.cat(x.split([1, 5, 2], 1)[::-1], 1), 0, id="uneven split"),
        pytest.param(lambda x: nn.functional.group_norm(x, 2), 2, id="group norm"),
        pytest.param(lambda x: nn.functional.normalize(x + 1, dim=1), 0, id="normalize"),
    ],
)
def test_pictures_stay_as_they_are_kept(
    unit: Callable[[torch.Tensor], torch.Tensor], transposes: int, tmp_path: Path
) -> None:
    network = Network(
        lambda net, x: net.after(unit(net.stem(x).relu())).mean((2, 3)),
        stem=nn.Conv2d(3, 8, 3, padding=1),
        after=nn.LazyConv2d(4, 1),
    )
    network(torch.zeros(1, 3, SIZE, SIZE))
    assert lowered(network, tmp_path)["TRANSPOSE"] == transposes
