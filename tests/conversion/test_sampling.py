"""GridSample, AffineGrid and DeformConv against ONNX Runtime, through to a TFLite file."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest

from tests.helpers.integer_models import answers_of, decibels, expected_answers, parse_network

pytestmark = pytest.mark.slow
MODES = ("linear", "nearest", "cubic")
PADDINGS = ("zeros", "border", "reflection")


def grid_samples(picture: str, grid: str, modes: tuple[str, ...] = MODES) -> str:
    """Write one GridSample of every kind, and join their results."""
    lines, names = [], []
    for mode, padding, corners in itertools.product(modes, PADDINGS, (0, 1)):
        name = f"{mode}_{padding}_{corners}"
        attributes = f'mode = "{mode}", padding_mode = "{padding}", align_corners = {corners}'
        lines.append(f"{name} = GridSample<{attributes}>({picture}, {grid})")
        lines.append(f"flat_{name} = Flatten({name})")
        names.append(f"flat_{name}")
    return "\n".join([*lines, f"logits = Concat<axis = 1>({', '.join(names)})"])


def grid_of(*shape: int) -> np.ndarray:
    """Make places of which some lie far outside, on edges, and between two pixels."""
    places = np.random.default_rng(1).uniform(-1.7, 1.7, shape).astype(np.float32)
    flat = places.reshape(-1, shape[-1])
    flat[:6] = np.array([-1, 1, 0, 0.5, -4.2, 5.1])[:, None]
    return places


def test_a_constant_grid(tmp_path: Path) -> None:
    model = parse_network(grid_samples("picture", "grid"), {"grid": grid_of(1, 5, 7, 2)}, 20)
    expected = expected_answers(model)
    np.testing.assert_allclose(answers_of(model, "float32", tmp_path), expected, atol=1e-5)
    assert decibels(answers_of(model, "int8_float_io", tmp_path), expected) > 30
    assert decibels(answers_of(model, "int16x8", tmp_path), expected) > 60


def test_a_grid_that_the_network_computes(tmp_path: Path) -> None:
    body = "columns_last = Transpose<perm = [0, 2, 3, 1]>(picture)\n"
    body += "grid = Slice(columns_last, one, three, three)\n"
    constants = {"one": np.array([1]), "three": np.array([3])}
    model = parse_network(body + grid_samples("picture", "grid"), constants, 20)
    np.testing.assert_allclose(
        answers_of(model, "float32", tmp_path), expected_answers(model), rtol=1e-4, atol=2e-5
    )


def test_volumes(tmp_path: Path) -> None:
    body = "volume = Reshape(picture, sizes)\n" + grid_samples("volume", "grid", MODES[:2])
    constants = {"sizes": np.array([2, 3, 2, 4, 3]), "grid": grid_of(2, 3, 5, 4, 3)}
    joined = body.replace("Concat<axis = 1>", "Concat<axis = 0>")
    model = parse_network(joined, constants, 20)
    np.testing.assert_allclose(
        answers_of(model, "float32", tmp_path), expected_answers(model), atol=1e-5
    )


@pytest.mark.parametrize("corners", [0, 1])
def test_a_spatial_transformer(corners: int, tmp_path: Path) -> None:
    generator = np.random.default_rng(3)
    model = parse_network(
        f"""
  features = Conv(picture, kernel)
  pooled = GlobalAveragePool(features)
  flat = Flatten(pooled)
  numbers = Gemm(flat, weights, bias)
  theta = Reshape(numbers, two_rows)
  grid = AffineGrid<align_corners = {corners}>(theta, size)
  logits = GridSample<mode = "linear", align_corners = {corners}>(picture, grid)
""",
        {
            "kernel": generator.normal(0, 0.3, (4, 3, 3, 3)).astype(np.float32),
            "weights": generator.normal(0, 0.3, (4, 6)).astype(np.float32),
            "bias": np.array([1, 0.1, 0, -0.1, 0.9, 0.1], np.float32),
            "two_rows": np.array([1, 2, 3]),
            "size": np.array([1, 3, 7, 9]),
        },
        20,
    )
    expected = expected_answers(model)
    np.testing.assert_allclose(answers_of(model, "float32", tmp_path), expected, atol=1e-5)
    assert decibels(answers_of(model, "int16x8", tmp_path), expected) > 30


def test_the_grid_of_an_affine_map_of_volumes(tmp_path: Path) -> None:
    model = parse_network(
        "numbers = Reshape(picture, sizes)\ntheta = Slice(numbers, zero, three, one)\n"
        "logits = AffineGrid(theta, size)",
        {
            "sizes": np.array([1, 36, 4]),
            "zero": np.array([0]),
            "one": np.array([1]),
            "three": np.array([3]),
            "size": np.array([1, 3, 4, 3, 2]),
        },
        20,
    )
    np.testing.assert_allclose(
        answers_of(model, "float32", tmp_path), expected_answers(model), atol=1e-5
    )


@pytest.mark.parametrize(
    ("group", "offset_group", "attributes"),
    [(1, 1, "pads = [1, 1, 1, 1]"), (3, 1, "strides = [2, 1]"), (3, 3, "dilations = [2, 1]")],
)
def test_a_deformable_convolution(
    group: int, offset_group: int, attributes: str, tmp_path: Path
) -> None:
    def drawn(*shape: int) -> np.ndarray:
        return np.random.default_rng(1).normal(0, 0.4, shape).astype(np.float32)

    model = parse_network(
        f"""
  offset = Conv<{attributes}>(picture, offset_kernel)
  raw_mask = Conv<{attributes}>(picture, mask_kernel)
  mask = Sigmoid(raw_mask)
  logits = DeformConv<group = {group}, offset_group = {offset_group}, {attributes}>(
    picture, kernel, offset, bias, mask)
""",
        {
            "offset_kernel": drawn(offset_group * 12, 3, 3, 2),
            "mask_kernel": drawn(offset_group * 6, 3, 3, 2),
            "kernel": drawn(6, 3 // group, 3, 2),
            "bias": drawn(6),
        },
        19,
    )
    expected = expected_answers(model)
    np.testing.assert_allclose(
        answers_of(model, "float32", tmp_path), expected, rtol=1e-4, atol=1e-5
    )
    assert decibels(answers_of(model, "int16x8", tmp_path), expected) > 30
