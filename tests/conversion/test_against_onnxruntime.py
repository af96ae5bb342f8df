"""The lowering against ONNX Runtime, through to a TFLite file that is run."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import onnx
import pytest

from engine.tflite.artifact import artifact_of
from tests.helpers.integer_models import (
    PICTURES,
    answers_of,
    decibels,
    expected_answers,
    parse_network,
)

pytestmark = pytest.mark.slow


def check(model: onnx.ModelProto, folder: Path) -> None:
    """Hold the float32 file against ONNX Runtime."""
    np.testing.assert_allclose(
        answers_of(model, "float32", folder), expected_answers(model), rtol=1e-4, atol=1e-5
    )


def test_a_padded_maximum_of_negative_maxima(tmp_path: Path) -> None:
    model = parse_network("""
  positive = Abs(picture)
  negative = Neg(positive)
  maxima = MaxPool<kernel_shape = [2, 2], strides = [2, 2]>(negative)
  logits = MaxPool<kernel_shape = [3, 3], strides = [2, 2], pads = [1, 1, 1, 1]>(maxima)
""")
    check(model, tmp_path)


@pytest.mark.parametrize("pads", [[0, 0, 1, 1], [1, 2, 2, 0]])
def test_a_maximum_hides_a_padding_of_minus_infinity(pads: list[int], tmp_path: Path) -> None:
    model = parse_network(
        """
  wide = Pad(picture, pads, lowest)
  logits = MaxPool<kernel_shape = [3, 3], strides = [2, 2]>(wide)
""",
        {"pads": np.array([0, 0, *pads[:2], 0, 0, *pads[2:]]), "lowest": np.float32(-np.inf)},
    )
    expected = expected_answers(model)
    np.testing.assert_allclose(answers_of(model, "float32", tmp_path), expected)
    for variant in ("int8_float_io", "int16x8"):
        assert decibels(answers_of(model, variant, tmp_path), expected) > 30


KINDS = [
    *(
        f'mode = "nearest", nearest_mode = "{rounding}"'
        for rounding in ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil")
    ),
    'mode = "linear"',
    'mode = "cubic"',
    'mode = "cubic", cubic_coeff_a = -0.5, exclude_outside = 1',
]
COORDINATES = [
    "half_pixel",
    "half_pixel_symmetric",
    "pytorch_half_pixel",
    "align_corners",
    "asymmetric",
    "tf_half_pixel_for_nn",
]
FACTORS = [(1.5, 0.7), (0.125, 1.3), (1.7, 0.35)]


def joined(
    calls: list[str], constants: dict[str, np.ndarray] | None = None, opset: int = 13
) -> onnx.ModelProto:
    """Make a network of many operators on the picture, whose results are joined."""
    lines = [
        line
        for place, call in enumerate(calls)
        for line in (f"result{place} = {call}", f"flat{place} = Flatten(result{place})")
    ]
    flat = ", ".join(f"flat{place}" for place in range(len(calls)))
    return parse_network(
        "\n".join([*lines, f"logits = Concat<axis = 1>({flat})"]), constants, opset
    )


def test_resizes_by_fractions(tmp_path: Path) -> None:
    calls = [
        f'Resize<{kind}, coordinate_transformation_mode = "{coordinates}">(picture, , scales{n})'
        for kind in KINDS
        for coordinates in COORDINATES
        for n in range(len(FACTORS))
    ]
    scales = {
        f"scales{n}": np.array([1, 1, *factors], np.float32) for n, factors in enumerate(FACTORS)
    }
    check(joined(calls, scales, opset=13), tmp_path)


def test_resizes_of_operator_set_18(tmp_path: Path) -> None:
    crop = 'coordinate_transformation_mode = "tf_crop_and_resize", axes = [3, 2]'
    calls = [
        *(
            f"Resize<{kind}, {crop}, extrapolation_value = 3.0>(picture, {region}, , {sizes})"
            for kind in ('mode = "nearest"', 'mode = "linear"', 'mode = "cubic"')
            for region in ("beyond", "turned")
            for sizes in ("sizes", "wider")
        ),
        *(
            f'Resize<{kind}, keep_aspect_ratio_policy = "{policy}", axes = [2, 3]>'
            "(picture, , , sizes)"
            for kind in ('mode = "nearest"', 'mode = "linear"')
            for policy in ("not_larger", "not_smaller")
        ),
        *(
            f"Resize<{kind}, antialias = 1, axes = [-1]>(picture, , half)"
            for kind in (
                'mode = "linear"',
                'mode = "cubic"',
                'mode = "linear", exclude_outside = 1',
            )
        ),
        # No length changes by itself, but the other one's does.
        'Resize<mode = "linear">(picture, , barely)',
        'Resize<mode = "nearest">(picture, , all_axes)',
    ]
    constants = {
        "beyond": np.array([0.2, -0.3, 0.9, 1.4], np.float32),
        "turned": np.array([0.9, 1, 0.1, 0], np.float32),
        "sizes": np.array([11, 11]),
        "wider": np.array([9, 8]),
        "half": np.array([0.55], np.float32),
        "barely": np.array([1, 1, 1.05, 2], np.float32),
        "all_axes": np.array([1, 3, 2, 1], np.float32),
    }
    check(joined(calls, constants, opset=19), tmp_path)


SPATIAL = {3: [18, 8], 4: [3, 8, 6], 5: [4, 3, 4, 3]}
"""Sizes of the picture's numbers as channels and one to three dimensions."""


def windows_of(rank: int) -> list[str]:
    """Attributes of windows over some dimensions, in all that pools may ask for."""
    one, two, three = ([number] * (rank - 2) for number in (1, 2, 3))
    return [
        f"kernel_shape = {three}, pads = {two * 2}, dilations = {two}",
        f"kernel_shape = {three}, pads = {one * 2}, dilations = {two}, strides = {two}",
        f"kernel_shape = {two}, pads = {one * 2}, strides = {three}",
        f"kernel_shape = {three}, pads = {one * 2}, strides = {two}, ceil_mode = 1",
        f"kernel_shape = {two}, dilations = {two}, strides = {two}, ceil_mode = 1",
        f'kernel_shape = {two}, strides = {two}, auto_pad = "SAME_UPPER"',
        f'kernel_shape = {two}, strides = {one}, auto_pad = "SAME_LOWER"',
        f'kernel_shape = {three}, strides = {two}, auto_pad = "VALID"',
    ]


@pytest.mark.parametrize("rank", [3, 4, 5])
def test_pools_of_every_window(rank: int, tmp_path: Path) -> None:
    calls = [
        f"{operator}, {windows}>(tensor)"
        for windows in windows_of(rank)
        for operator in (
            "MaxPool<storage_order = 0",
            "AveragePool<count_include_pad = 0",
            "AveragePool<count_include_pad = 1",
            "LpPool<p = 1",
            "LpPool<p = 2",
            "LpPool<p = 3",
        )
    ]
    model = joined(
        [*calls, "GlobalLpPool<p = 3>(tensor)"], {"sizes": np.array([1, *SPATIAL[rank]])}, 19
    )
    # Below 0 everywhere, where zeros in the padding would win.
    for line in ("large = Abs(picture)", "below = Neg(large)", "tensor = Reshape(below, sizes)")[
        ::-1
    ]:
        model.graph.node.insert(0, onnx.parser.parse_node(line))
    check(model, tmp_path)


@pytest.mark.parametrize("rank", [3, 4, 5])
def test_places_of_maxima(rank: int, tmp_path: Path) -> None:
    lines, names = ["tensor = Reshape(rounded, sizes)"], []
    for place, (windows, order) in enumerate(itertools.product(windows_of(rank), (0, 1))):
        lines += [
            f"m{place}, i{place} = MaxPool<{windows}, storage_order = {order}>(tensor)",
            f"n{place} = Cast<to = 1>(i{place})",
            f"f{place} = Flatten(n{place})",
        ]
        names.append(f"f{place}")
    # Rounded, so that some windows have several maxima.
    body = ["rounded = Floor(picture)", *lines, f"logits = Concat<axis = 1>({', '.join(names)})"]
    check(parse_network("\n".join(body), {"sizes": np.array([1, *SPATIAL[rank]])}), tmp_path)


@pytest.mark.parametrize("kernel", [2, 3])
@pytest.mark.parametrize("rank", [3, 4, 5])
def test_maxima_put_back(rank: int, kernel: int, tmp_path: Path) -> None:
    windows = f"kernel_shape = {[kernel] * (rank - 2)}, strides = {[2] * (rank - 2)}"
    sizes = np.array([1, *SPATIAL[rank]])
    model = parse_network(
        "tensor = Reshape(picture, sizes)\n"
        f"maxima, places = MaxPool<{windows}>(tensor)\n"
        f"logits = MaxUnpool<{windows}>(maxima, places, sizes)",
        {"sizes": sizes},
    )
    check(model, tmp_path)


def test_transposed_convolutions_of_every_shape(tmp_path: Path) -> None:
    shapes = [
        "output_shape = [17, 13]",
        "output_shape = [16, 11]",
        'output_shape = [15, 12], auto_pad = "SAME_UPPER"',
        'output_shape = [15, 12], auto_pad = "SAME_LOWER"',
        "output_padding = [1, 1], pads = [1, 0, 1, 2]",
        'auto_pad = "SAME_LOWER"',
        'auto_pad = "VALID", dilations = [2, 1]',
    ]
    calls = [
        f"ConvTranspose<strides = [2, 2], group = {group}, {shape}>(picture, kernel{group})"
        for group in (1, 3)
        for shape in shapes
    ]
    numbers = np.random.default_rng(2).normal(size=(3, 4, 3, 3)).astype(np.float32)
    check(joined(calls, {"kernel1": numbers, "kernel3": numbers[:, :2]}), tmp_path)


def test_convolutions_over_three_dimensions(tmp_path: Path) -> None:
    kinds = [
        "strides = [2, 1, 2], pads = [1, 0, 1, 0, 1, 1]",
        "dilations = [2, 1, 1], pads = [1, 1, 1, 1, 1, 1]",
        'auto_pad = "SAME_LOWER"',
    ]
    shapes = ["output_shape = [6, 8, 5]", "output_padding = [1, 0, 1], pads = [1, 1, 0, 0, 0, 1]"]
    volume = "Conv<group = {group}, {kind}>(volume, kernel{group}, bias)"
    turned = "ConvTranspose<group = {group}, {kind}>(volume, turned{group})"
    calls = [volume.format(group=group, kind=kind) for group in (1, 2) for kind in kinds]
    calls += [
        turned.format(group=group, kind=kind)
        for group in (1, 2)
        for kind in [*kinds, *(f"strides = [2, 2, 2], {shape}" for shape in shapes)]
    ]
    numbers = np.random.default_rng(2).normal(0, 0.4, (4, 4, 3, 2, 3)).astype(np.float32)
    constants = {
        "kernel1": numbers,
        "kernel2": numbers[:, :2],
        "turned1": numbers,
        "turned2": numbers[:, 2:],
        "bias": np.linspace(-1, 1, 4, dtype=np.float32),
        "sizes": np.array([1, *SPATIAL[5]]),
    }
    model = joined(calls, constants)
    model.graph.node.insert(0, onnx.parser.parse_node("volume = Reshape(picture, sizes)"))
    expected = expected_answers(model)
    check(model, tmp_path)
    assert decibels(answers_of(model, "int8_float_io", tmp_path), expected) > 28
    assert decibels(answers_of(model, "int16x8", tmp_path), expected) > 33


COMPUTED = """
  mean = GlobalAveragePool(picture)
  routes = Reshape(mean, flat)
  kernels = MatMul(routes, bank)
  kernel = Reshape(kernels, sizes)
"""


@pytest.mark.parametrize(
    ("sizes", "call", "outputs"),
    [
        ([4, 3, 3, 3], "Conv<pads = [1, 1, 0, 2], strides = [2, 1]>", 4),
        ([6, 1, 3, 3], "Conv<group = 3, dilations = [2, 1], pads = [1, 1, 1, 1]>", 6),
        ([5, 3, 1, 1], "Conv<strides = [1, 1]>", 5),
        ([4, 3, 2, 3], 'Conv<auto_pad = "SAME_LOWER">', 4),
        ([3, 2, 3, 3], "ConvTranspose<group = 3, strides = [2, 1], dilations = [1, 2]>", 6),
        ([3, 2, 2, 3], "ConvTranspose<strides = [2, 3], output_shape = [17, 16]>", 2),
    ],
)
def test_a_kernel_that_the_network_computes(
    sizes: list[int], call: str, outputs: int, tmp_path: Path
) -> None:
    bank = np.random.default_rng(1).normal(size=(3, np.prod(sizes))).astype(np.float32)
    model = parse_network(
        f"{COMPUTED}  logits = {call}(picture, kernel, bias)",
        {
            "flat": np.array([1, 3]),
            "bank": bank,
            "sizes": np.array(sizes),
            "bias": np.linspace(-1, 1, outputs, dtype=np.float32),
        },
    )
    expected = expected_answers(model)
    check(model, tmp_path)
    assert decibels(answers_of(model, "int8_float_io", tmp_path), expected) > 28
    assert decibels(answers_of(model, "int16x8", tmp_path), expected) > 40


def test_blocks_added_to_pictures(tmp_path: Path) -> None:
    blocks = {"size": np.array([5, 6]), "block": np.array([2, 2])}
    # Of 144 numbers: as many blocks as each kind cuts out of its picture.
    calls = [
        "Col2Im<strides = [1, 1]>(columns20, size, block)",
        "Col2Im<strides = [1, 2], pads = [1, 0, 0, 2], dilations = [2, 1]>(columns16, size, block)",
        "Col2Im<strides = [2, 2], pads = [0, 0, 1, 0]>(columns9, size, block)",
    ]
    counts = (20, 16, 9)
    body = [f"columns{count} = Slice(columns, zero, count{count}, two)" for count in counts]
    model = joined(
        calls,
        blocks
        | {f"count{count}": np.array([count]) for count in counts}
        | {"zero": np.array([0]), "two": np.array([2]), "shape": np.array([1, 4, 36])},
        18,
    )
    for line in ["columns = Reshape(picture, shape)", *body][::-1]:
        model.graph.node.insert(0, onnx.parser.parse_node(line))
    check(model, tmp_path)


def test_paddings_of_every_mode(tmp_path: Path) -> None:
    calls = [
        f'Pad<mode = "{mode}">(picture, {arguments})'
        for mode in ("constant", "reflect", "edge", "wrap")
        for arguments in ("pads", "cutting", "two, , axes")
    ]
    constants = {
        "pads": np.array([0, 0, 2, 3, 0, 0, 1, 2]),
        "cutting": np.array([0, 0, -2, 3, 0, 0, 1, -2]),
        "two": np.array([3, 2, 1, 2]),
        "axes": np.array([-1, 2]),
        "far": np.array([0, 0, 19, 3, 0, 0, 1, 13]),
    }
    check(joined([*calls, 'Pad<mode = "wrap">(picture, far)'], constants, 19), tmp_path)


def test_seven_tenths_of_ten_rows_are_seven(tmp_path: Path) -> None:
    model = parse_network(
        "ten = Pad(picture, two_rows)\n"
        'logits = Resize<mode = "nearest", coordinate_transformation_mode = "asymmetric", '
        'nearest_mode = "floor">(ten, , scales)',
        {
            "two_rows": np.array([0, 0, 0, 0, 0, 0, 2, 0]),
            "scales": np.array([1, 1, 0.7, 1], np.float32),
        },
    )
    # In exact numbers, the float32 next to .7 of 10 is less than 7.
    rows = np.pad(PICTURES, [[0, 0], [0, 2], [0, 0], [0, 0]])[:, [0, 1, 2, 4, 5, 7, 8]]
    answers = answers_of(model, "float32", tmp_path)
    np.testing.assert_array_equal(answers, rows.transpose(0, 3, 1, 2).reshape(len(rows), -1))


@pytest.mark.parametrize("rank", [3, 5])
def test_resizes_of_other_ranks(rank: int, tmp_path: Path) -> None:
    sizes = [1, *SPATIAL[rank]]
    body = 'tensor = Reshape(picture, sizes)\nlogits = Resize<mode = "linear">(tensor, , scales)'
    scales = np.array([1, 1, 1.7, 2, 0.5][:rank], np.float32)
    check(parse_network(body, {"sizes": np.array(sizes), "scales": scales}, 18), tmp_path)


@pytest.mark.parametrize(
    ("call", "opset"),
    [
        ('Upsample<mode = "nearest", scales = [1.0, 1.0, 2.0, 1.5]>(picture)', 7),
        ('Upsample<mode = "linear">(picture, larger)', 9),
        ('Resize<mode = "nearest">(picture, scales)', 10),
        ('Resize<mode = "linear">(picture, scales)', 10),
        ('Resize<mode = "cubic">(picture, none, scales)', 11),
        ('Resize<mode = "linear">(picture, none, none, sizes)', 11),
    ],
)
def test_resizes_of_old_operator_sets(call: str, opset: int, tmp_path: Path) -> None:
    model = parse_network(
        f"logits = {call}",
        {
            "larger": np.array([1, 1, 2.3, 3], np.float32),
            "none": np.array([], np.float32),
            "sizes": np.array([1, 3, 4, 9]),
            "scales": np.array([1, 1, 0.7, 1.3], np.float32),
        },
        opset,
    )
    check(model, tmp_path)


@pytest.mark.parametrize(
    ("attributes", "operator"),
    [
        ('mode = "linear"', "RESIZE_BILINEAR"),
        ('mode = "linear", coordinate_transformation_mode = "align_corners"', "RESIZE_BILINEAR"),
        (
            'mode = "nearest", coordinate_transformation_mode = "asymmetric", '
            'nearest_mode = "floor"',
            "RESIZE_NEAREST_NEIGHBOR",
        ),
    ],
)
def test_resizes_that_tflite_has_a_kernel_for(
    attributes: str, operator: str, tmp_path: Path
) -> None:
    model = parse_network(
        f"large = Resize<{attributes}>(picture, , scales)\n"
        f"logits = Resize<{attributes}>(large, , scales)",
        {"scales": np.array([1, 1, 2, 3], np.float32)},
    )
    check(model, tmp_path)
    operators = artifact_of(tmp_path / "float32.tflite", variant="float32", layout="NHWC").operators
    assert set(operators) == {operator, "TRANSPOSE"}


@pytest.mark.parametrize(
    ("body", "constants"),
    [
        pytest.param(
            "logits = Slice(picture, starts, ends, axes, steps)",
            {
                "starts": np.array([-9, -9]),
                "ends": np.array([-99, -99]),
                "axes": np.array([2, 3]),
                "steps": np.array([-1, -2]),
            },
            id="a start below the first place",
        ),
        pytest.param(
            'logits = ConvTranspose<strides = [3, 4], auto_pad = "SAME_UPPER">(picture, kernel)',
            {"kernel": np.linspace(-1, 1, 6, dtype=np.float32).reshape(3, 2, 1, 1)},
            id="strides beyond the kernel",
        ),
        pytest.param(
            "wide = Pad(picture, pads, one)\nlogits = Relu(wide)",
            {"pads": np.array([0, 1, 2, 0, 0, 0, 1, 3]), "one": np.float32(1.5)},
            id="a padding value",
        ),
        pytest.param(
            "kept, mask = Dropout(picture)\nnumbers = Cast<to = 1>(mask)\n"
            "logits = Add(kept, numbers)",
            {},
            id="a mask that is read",
        ),
        pytest.param(
            "maxima, places = MaxPool<kernel_shape = [2, 2]>(picture)\nlogits = Relu(maxima)",
            {},
            id="places that nobody reads",
        ),
        pytest.param(
            "one, two, three = Split<axis = 3>(picture)\nlogits = Relu(two)",
            {},
            id="parts that nobody reads",
        ),
        pytest.param(
            "rows = Reshape(picture, two)\nturned = Transpose<perm = [1, 0]>(rows)\n"
            "scaled = Relu(rows)\nwhole = MatMul(rows, turned)\n"
            "logits = Gather<axis = 0>(whole, first)",
            {"two": np.array([16, 9]), "first": np.array(0)},
            id="a narrowed product with a transposed side",
        ),
    ],
)
def test_answers_like_onnx_runtime(
    body: str, constants: dict[str, np.ndarray], tmp_path: Path
) -> None:
    check(parse_network(body, constants), tmp_path)


def test_deviations_of_a_layer_norm_that_nobody_reads(tmp_path: Path) -> None:
    model = parse_network(
        "normed, mean, deviation = LayerNormalization<axis = 1>(picture, scale)\n"
        "logits = Relu(normed)",
        {"scale": np.linspace(0.5, 2, 144, dtype=np.float32).reshape(3, 8, 6)},
        opset=17,
    )
    check(model, tmp_path)
