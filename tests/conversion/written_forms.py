"""Operators as one operator set after the other writes them, answered by ONNX Runtime."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import onnx.parser
import onnxruntime
from onnx import numpy_helper

from engine.networks.onnx_contents import nodes_of
from engine.networks.onnx_tidying import tidy_model
from tests.conversion.node_forms import Form, sets_of

X = np.random.default_rng(0).normal(size=(2, 3, 4, 6)).astype(np.float32)
REDUCTIONS = [
    "ReduceL1",
    "ReduceL2",
    "ReduceLogSum",
    "ReduceLogSumExp",
    "ReduceMax",
    "ReduceMean",
    "ReduceMin",
    "ReduceProd",
    "ReduceSumSquare",
]
LAST = 24


def _drawn(*shape: int) -> np.ndarray:
    return np.random.default_rng(len(shape)).normal(size=shape).astype(np.float32)


CONSTANTS: dict[str, np.ndarray] = {
    "row": _drawn(6),
    "channels": _drawn(3, 1, 1),
    "same": _drawn(2, 3, 4, 6),
    "zero": np.float32(0),
    "half": np.float32(0.5),
    "minus": np.float32(-0.5),
    "count": np.array([2]),
    "three": np.array([3], np.int32),
    "first": np.array([1]),
    "last": np.array([-1]),
    "axis": np.array(1),
    "middle": np.array([1, 2]),
    "ends": np.array([0, -1]),
    "none": np.array([], np.int64),
    "no_numbers": np.array([], np.float32),
    "starts": np.array([1, -3]),
    "stops": np.array([2**31 - 1, -1]),
    "axes": np.array([2, 3]),
    "down": np.array([-1, -9]),
    "back": np.array([-1, -2]),
    "pads": np.array([0, 0, 1, 2, 0, 0, 0, 1]),
    "side": np.array([2, 1]),
    "cut": np.array([0, 0, -1, 2, 0, 0, 1, -2]),
    "parts": np.array([1, 2]),
    "scales": np.array([1, 1, 2, 1.5], np.float32),
    "factors": np.array([2, 0.5], np.float32),
    "sizes": np.array([2, 3, 7, 5]),
    "wide": np.array([1, 2, 1, 1, 1]),
    "places": np.array([[[[0, -1, 2, 0, 1, 2]]]]).repeat(2, 0),
    "points": np.array([[0, 1], [1, -1]]),
    "point_updates": _drawn(2, 4, 6),
    "place_updates": _drawn(2, 1, 1, 6),
    "grid": np.random.default_rng(5).uniform(-1.2, 1.2, (2, 3, 5, 2)).astype(np.float32),
    "scale3": np.array([0.5, 1, 2], np.float32),
    "shift3": np.array([0, 1, -1], np.float32),
    "mean3": np.array([0.1, 0.2, -0.3], np.float32),
    "variance3": np.array([0.5, 1.5, 1], np.float32),
    "matrix": _drawn(6, 5),
    "turned": _drawn(5, 6),
    "bias": _drawn(5),
    "kernel": _drawn(4, 3, 3, 3),
    "kernel_back": _drawn(3, 4, 3, 3),
    "bias4": _drawn(4),
    "depths": np.array(4),
    "on_off": np.array([0.25, 2], np.float32),
    "to_steps": np.array([4, 2, 18]),
    "to_rows": np.array([24, 6]),
    "to_blocks": np.array([2, 12, 2, 3]),
    "zero_stays": np.array([0, -1, 3]),
    "rnn_w": _drawn(1, 5, 18) / 4,
    "rnn_r": _drawn(1, 5, 5) / 2,
    "gru_w": _drawn(1, 15, 18) / 4,
    "gru_r": _drawn(1, 15, 5) / 2,
    "lstm_w": _drawn(1, 20, 18) / 4,
    "lstm_r": _drawn(1, 20, 5) / 2,
    "yes": np.array(True),
    "mask": np.arange(6) % 2 == 0,
    "seven": np.array(7, np.int32),
    "turns": np.array(3),
    "one": np.array(1, np.uint8),
    "batch_points": np.array([[[0, 1]], [[2, -1]]]),
    "plane": _drawn(4, 6),
    "count_scalar": np.array(4),
    "repeats": np.array([1, 2, 1, 3]),
    "last_one": np.array(-1),
    "first_scale": np.array([2], np.float32),
    "first_shift": np.array([-1], np.float32),
}
# From and up to which operator set, and lines that compute y from x.
WRITTEN: list[tuple[int, int, str]] = [
    *((7, 12, f"y = {kind}(x)") for kind in ("Softmax", "LogSoftmax", "Hardmax")),
    *((7, LAST, f"y = {kind}<axis = 3>(x)") for kind in ("Softmax", "LogSoftmax", "Hardmax")),
    *((7, LAST, f"y = {kind}<axis = 2>(x)") for kind in ("Softmax", "LogSoftmax", "Hardmax")),
    *((7, LAST, f"y = {kind}<axis = 0>(x)") for kind in ("Softmax", "LogSoftmax", "Hardmax")),
    *((11, LAST, f"y = {kind}<axis = -3>(x)") for kind in ("Softmax", "LogSoftmax", "Hardmax")),
    *((13, LAST, f"y = {kind}(x)") for kind in ("Softmax", "LogSoftmax", "Hardmax")),
    *(
        (7, 8, f'y = Upsample<mode = "{mode}", scales = [1.0, 1.0, 2.0, 3.0]>(x)')
        for mode in ("nearest", "linear")
    ),
    *((9, 9, f'y = Upsample<mode = "{mode}">(x, scales)') for mode in ("nearest", "linear")),
    *((10, 10, f'y = Resize<mode = "{mode}">(x, scales)') for mode in ("nearest", "linear")),
    *(
        (since, last, f'y = Resize<mode = "{mode}"{more}>(x, {given})')
        for since, last, given in (
            (11, 12, "no_numbers, scales"),
            (11, 12, "no_numbers, no_numbers, sizes"),
            (13, LAST, ", scales"),
            (13, LAST, ", , sizes"),
        )
        for mode in ("nearest", "linear", "cubic")
        for more in ("", ', coordinate_transformation_mode = "align_corners"')
    ),
    (18, LAST, 'y = Resize<mode = "linear", axes = [3, 2]>(x, , factors)'),
    (7, LAST, "y = BatchNormalization<epsilon = 0.01>(x, scale3, shift3, mean3, variance3)"),
    (7, 8, "y = BatchNormalization<spatial = 1>(x, scale3, shift3, mean3, variance3)"),
    (7, LAST, "y = InstanceNormalization(x, scale3, shift3)"),
    (7, 11, "y = Dropout<ratio = 0.25>(x)"),
    (12, LAST, "y = Dropout(x, half)"),
    (12, LAST, "y = Dropout(x)"),
    (7, 9, "v, p = TopK<k = 2>(x)\nf = Cast<to = 1>(p)\ny = Concat<axis = 3>(v, f)"),
    (7, 9, "v, p = TopK<k = 2, axis = 1>(x)\nf = Cast<to = 1>(p)\ny = Concat<axis = 3>(v, f)"),
    (10, LAST, "v, p = TopK<axis = 2>(x, count)\nf = Cast<to = 1>(p)\ny = Concat<axis = 3>(v, f)"),
    (11, LAST, "v, p = TopK<largest = 0>(x, count)\nf = Cast<to = 1>(p)\ny = Sub(v, f)"),
    (7, 10, "y = Clip<min = -0.5, max = 0.5>(x)"),
    (7, 10, "y = Clip<min = -0.5>(x)"),
    (7, 10, "y = Clip<max = 0.5>(x)"),
    (7, 10, "y = Clip(x)"),
    (11, LAST, "y = Clip(x, minus, half)"),
    (11, LAST, "y = Clip(x, , half)"),
    (11, LAST, "y = Clip(x, zero)"),
    (7, 9, "y = Slice<starts = [1, -3], ends = [9, -1]>(x)"),
    (7, 9, "y = Slice<starts = [1, -3], ends = [2147483647, -1], axes = [2, 3]>(x)"),
    (10, LAST, "y = Slice(x, starts, stops, axes)"),
    (10, LAST, "y = Slice(x, starts, stops)"),
    (10, LAST, "y = Slice(x, ends, down, axes, back)"),
    *(
        (7, 10, f'y = Pad<mode = "{mode}", pads = [0, 0, 1, 2, 0, 0, 0, 1]>(x)')
        for mode in ("constant", "reflect", "edge")
    ),
    (7, 10, "y = Pad<value = 1.5, pads = [0, 0, -1, 2, 0, 0, 1, -2]>(x)"),
    *((11, LAST, f'y = Pad<mode = "{mode}">(x, pads)') for mode in ("constant", "reflect", "edge")),
    (11, LAST, "y = Pad(x, cut, half)"),
    (18, LAST, "y = Pad(x, side, , last)"),
    (18, LAST, 'y = Pad<mode = "edge">(x, side, , first)'),
    (19, LAST, 'y = Pad<mode = "wrap">(x, pads)'),
    (7, 12, "a, b = Split<axis = 1, split = [1, 2]>(x)\ny = Concat<axis = 1>(b, a)"),
    (7, 17, "a, b = Split<axis = 3>(x)\ny = Sub(a, b)"),
    (11, 12, "a, b = Split<axis = -3, split = [1, 2]>(x)\ny = Concat<axis = -3>(b, a)"),
    (13, LAST, "a, b = Split<axis = -3>(x, parts)\ny = Concat<axis = -3>(b, a)"),
    (18, LAST, "a, b = Split<axis = 1, num_outputs = 2>(x)\ny = Concat<axis = 1>(b, a)"),
    (7, 12, "u = Unsqueeze<axes = [0, 3]>(x)\ny = Squeeze<axes = [3]>(u)"),
    (11, 12, "u = Unsqueeze<axes = [-1, 1]>(x)\ny = Squeeze<axes = [-1]>(u)"),
    (13, LAST, "u = Unsqueeze(x, ends)\ny = Squeeze(u, last)"),
    (7, LAST, "s = ReduceMean<keepdims = 1>(x)\nz = Squeeze(s)\ny = Add(z, x)"),
    *((7, 17, f"p = Abs(x)\ny = {kind}<axes = [1, 3]>(p)") for kind in REDUCTIONS),
    *((7, 17, f"p = Abs(x)\ny = {kind}<axes = [2], keepdims = 0>(p)") for kind in REDUCTIONS),
    *((11, 17, f"p = Abs(x)\ny = {kind}<axes = [-1, 1]>(p)") for kind in REDUCTIONS),
    *((7, LAST, f"p = Abs(x)\ny = {kind}(p)") for kind in [*REDUCTIONS, "ReduceSum"]),
    *((7, LAST, f"p = Abs(x)\ny = {kind}<keepdims = 0>(p)") for kind in [*REDUCTIONS, "ReduceSum"]),
    *((18, LAST, f"p = Abs(x)\ny = {kind}(p, middle)") for kind in REDUCTIONS),
    *((18, LAST, f"p = Abs(x)\ny = {kind}<keepdims = 0>(p, last)") for kind in REDUCTIONS),
    *((18, LAST, f"p = Abs(x)\ny = {kind}(p, none)") for kind in REDUCTIONS),
    *(
        (18, LAST, f"p = Abs(x)\ny = {kind}<noop_with_empty_axes = 0>(p, none)")
        for kind in REDUCTIONS
    ),
    *((18, LAST, f"p = Abs(x)\ny = {kind}<noop_with_empty_axes = 1>(p)") for kind in REDUCTIONS),
    *(
        (18, LAST, f"p = Abs(x)\ny = {kind}<noop_with_empty_axes = 1>(p, none)")
        for kind in REDUCTIONS
    ),
    (7, 12, "y = ReduceSum<axes = [1, 3]>(x)"),
    (7, 12, "y = ReduceSum<axes = [2], keepdims = 0>(x)"),
    (13, LAST, "y = ReduceSum(x, middle)"),
    (13, LAST, "y = ReduceSum<keepdims = 0>(x, last)"),
    (13, LAST, "y = ReduceSum<noop_with_empty_axes = 1>(x)"),
    (13, LAST, "y = ReduceSum<noop_with_empty_axes = 1>(x, none)"),
    (9, 10, "y = Scatter<axis = 3>(x, places, place_updates)"),
    (9, 10, "y = Scatter<axis = 1>(x, places, place_updates)"),
    (11, LAST, "y = ScatterElements<axis = 1>(x, places, place_updates)"),
    *(
        (
            since,
            LAST,
            f'y = ScatterElements<axis = -2, reduction = "{kind}">(x, places, place_updates)',
        )
        for since, kind in ((16, "add"), (16, "mul"), (18, "max"), (18, "min"))
    ),
    (11, LAST, "y = ScatterND(x, points, point_updates)"),
    *(
        (since, LAST, f'y = ScatterND<reduction = "{kind}">(x, points, point_updates)')
        for since, kind in ((16, "add"), (16, "mul"), (18, "max"), (18, "min"))
    ),
    (7, LAST, "y = Gather<axis = 2>(x, count)"),
    (11, LAST, "y = Gather<axis = -1>(x, ends)"),
    (11, LAST, "y = GatherElements<axis = 1>(x, places)"),
    (11, LAST, "y = GatherND(x, points)"),
    (12, LAST, "y = GatherND<batch_dims = 1>(x, batch_points)"),
    (9, LAST, "m = ArgMax<axis = 3, keepdims = 0>(x)\ny = OneHot(m, depths, on_off)"),
    (9, LAST, "m = ArgMax<axis = 3, keepdims = 0>(x)\ny = OneHot<axis = 1>(m, depths, on_off)"),
    (11, LAST, "m = ArgMax<axis = -1, keepdims = 0>(x)\ny = OneHot<axis = -2>(m, depths, on_off)"),
    *(
        (7, LAST, f"m = {kind}<axis = {axis}>(x)\ny = Cast<to = 1>(m)")
        for kind in ("ArgMax", "ArgMin")
        for axis in (0, 1, 3)
    ),
    (12, LAST, "r = Round(x)\nm = ArgMax<axis = 3, select_last_index = 1>(r)\ny = Cast<to = 1>(m)"),
    *(
        (7, LAST, f"s = Reshape(x, to_steps)\ny, z = {kind}<hidden_size = 5>(s, {w}_w, {w}_r)")
        for kind, w in (("RNN", "rnn"), ("GRU", "gru"))
    ),
    (7, LAST, "s = Reshape(x, to_steps)\ny, z, c = LSTM<hidden_size = 5>(s, lstm_w, lstm_r)"),
    (7, LAST, "r = Reshape(x, to_rows)\ny = Gemm<alpha = 0.5, beta = 2.0>(r, matrix, bias)"),
    (7, LAST, "r = Reshape(x, to_rows)\ny = Gemm<transB = 1>(r, turned, bias)"),
    (7, LAST, "r = Reshape(x, to_rows)\nt = Transpose(r)\ny = Gemm<transA = 1>(t, matrix, bias)"),
    (11, LAST, "r = Reshape(x, to_rows)\ny = Gemm(r, matrix)"),
    (7, LAST, "y = MatMul(x, matrix)"),
    (7, LAST, "t = Transpose<perm = [0, 1, 3, 2]>(x)\ny = MatMul(x, t)"),
    *((7, LAST, f"c = Cast<to = {kind}>(x)\ny = Cast<to = 1>(c)") for kind in (6, 7, 9, 10, 11)),
    *((7, LAST, f"y = Flatten<axis = {axis}>(x)") for axis in (0, 1, 3, 4)),
    (11, LAST, "y = Flatten<axis = -1>(x)"),
    (7, LAST, "r = Reshape(x, to_rows)\ny = Reshape(r, zero_stays)"),
    *(
        (since, LAST, f"y = {pool}<kernel_shape = [2, 3]{more}>(x)")
        for since, pool, more in [
            (since, pool, more)
            for since, more in (
                (7, ""),
                (7, ", strides = [2, 2], pads = [1, 1, 0, 2]"),
                (7, ', strides = [2, 2], auto_pad = "SAME_UPPER"'),
                (7, ', strides = [3, 1], auto_pad = "SAME_LOWER"'),
                (10, ", strides = [3, 2], ceil_mode = 1"),
            )
            for pool in ("MaxPool", "AveragePool")
        ]
    ),
    (
        7,
        LAST,
        "y = AveragePool<kernel_shape = [2, 3], pads = [1, 1, 0, 2], count_include_pad = 1>(x)",
    ),
    (19, LAST, "y = AveragePool<kernel_shape = [2, 2], dilations = [2, 3]>(x)"),
    (10, LAST, "y = MaxPool<kernel_shape = [2, 2], dilations = [2, 3]>(x)"),
    (
        8,
        LAST,
        "v, p = MaxPool<kernel_shape = [2, 2], storage_order = 1>(x)\n"
        "f = Cast<to = 1>(p)\ny = Concat<axis = 1>(v, f)",
    ),
    *((7, LAST, f"y = {kind}(x)") for kind in ("GlobalAveragePool", "GlobalMaxPool")),
    (7, 21, "y = GlobalLpPool<p = 1>(x)"),
    (7, LAST, "y = LpPool<kernel_shape = [2, 2], strides = [2, 1]>(x)"),
    (18, LAST, "y = LpPool<kernel_shape = [2, 2], dilations = [2, 1], ceil_mode = 1>(x)"),
    *(
        (
            16,
            19,
            f'y = GridSample<mode = "{mode}", align_corners = {corners}, '
            f'padding_mode = "{padding}">(x, grid)',
        )
        for mode in ("bilinear", "nearest", "bicubic")
        for corners, padding in ((0, "zeros"), (1, "border"), (0, "reflection"))
    ),
    *(
        (
            20,
            LAST,
            f'y = GridSample<mode = "{mode}", align_corners = {corners}, '
            f'padding_mode = "{padding}">(x, grid)',
        )
        for mode in ("linear", "nearest", "cubic")
        for corners, padding in ((0, "zeros"), (1, "border"), (0, "reflection"))
    ),
    (20, LAST, "y = Gelu(x)"),
    (20, LAST, 'y = Gelu<approximate = "tanh">(x)'),
    (14, LAST, "y = HardSwish(x)"),
    (7, LAST, "y = HardSigmoid(x)"),
    (7, LAST, "y = HardSigmoid<alpha = 0.3, beta = 0.4>(x)"),
    (17, LAST, "y = LayerNormalization(x, row, row)"),
    (17, LAST, "y = LayerNormalization<axis = -2, epsilon = 0.01>(x, plane)"),
    (18, 20, "y = GroupNormalization<num_groups = 3>(x, scale3, shift3)"),
    (18, 20, "y = GroupNormalization<num_groups = 1>(x, first_scale, first_shift)"),
    (21, LAST, "y = GroupNormalization<num_groups = 3>(x, scale3, shift3)"),
    (21, LAST, "y = GroupNormalization<num_groups = 1, epsilon = 0.1>(x, scale3, shift3)"),
    (23, LAST, "y = RMSNormalization(x, row)"),
    (23, LAST, "y = RMSNormalization<axis = 2>(x, plane)"),
    (9, LAST, "y = MeanVarianceNormalization(x)"),
    (7, LAST, "y = LpNormalization<axis = 1, p = 1>(x)"),
    (7, LAST, "y = LRN<size = 3>(x)"),
    *(
        (11, LAST, f"y = CumSum{more}(x, axis)")
        for more in ("", "<exclusive = 1>", "<reverse = 1>")
    ),
    (12, LAST, 'y = Einsum<equation = "bchw,wk->bkhc">(x, matrix)'),
    (12, LAST, 'y = Einsum<equation = "b...w,w->b...">(x, row)'),
    *(
        (
            11,
            LAST,
            f'a = Abs(x)\nu = Cast<to = 2>(a)\nb = BitShift<direction = "{way}">(u, one)\n'
            "y = Cast<to = 1>(b)",
        )
        for way in ("LEFT", "RIGHT")
    ),
    (10, LAST, "y = Mod<fmod = 1>(x, half)"),
    (10, LAST, "m = Mul(x, x)\ni = Cast<to = 6>(m)\nr = Mod(i, seven)\ny = Cast<to = 1>(r)"),
    (7, LAST, "i = Cast<to = 6>(x)\nj = Cast<to = 6>(same)\nb = Equal(i, j)\ny = Cast<to = 1>(b)"),
    (7, LAST, "i = Cast<to = 9>(x)\nb = Equal(i, yes)\ny = Cast<to = 1>(b)"),
    (11, LAST, "b = Equal(x, same)\ny = Cast<to = 1>(b)"),
    *((7, LAST, f"b = {kind}(x, row)\ny = Cast<to = 1>(b)") for kind in ("Greater", "Less")),
    *(
        (9, LAST, f"i = Cast<to = 7>(x)\nb = {kind}(i, count)\ny = Cast<to = 1>(b)")
        for kind in ("Greater", "Less")
    ),
    *(
        (12, LAST, f"b = {kind}(x, row)\ny = Cast<to = 1>(b)")
        for kind in ("GreaterOrEqual", "LessOrEqual")
    ),
    (9, LAST, "y = Where(mask, x, same)"),
    (9, LAST, "b = Less(x, same)\ny = Where(b, x, zero)"),
    *(
        (
            7,
            LAST,
            f"a = Less(x, same)\nb = Less(x, row)\nc = {kind}(a, b)\nd = Not(c)\n"
            "y = Cast<to = 1>(d)",
        )
        for kind in ("And", "Or", "Xor")
    ),
    *((7, LAST, f"y = {kind}(x, same)") for kind in ("Add", "Sub", "Mul", "Div", "Max", "Min")),
    *((8, LAST, f"y = {kind}(x, row, channels)") for kind in ("Max", "Min", "Sum", "Mean")),
    (7, LAST, "y = PRelu(x, channels)"),
    (7, LAST, "a = Abs(x)\ny = Pow(a, row)"),
    (12, LAST, "y = Pow(x, count)"),
    (8, LAST, "y = Expand(x, wide)"),
    (7, LAST, "y = Tile(x, repeats)"),
    *(
        (7, LAST, f"y = {kind}(x)")
        for kind in (
            "Abs",
            "Ceil",
            "Cos",
            "Elu",
            "Exp",
            "Floor",
            "Identity",
            "LeakyRelu",
            "Neg",
            "Reciprocal",
            "Relu",
            "Selu",
            "Sigmoid",
            "Sin",
            "Softplus",
            "Softsign",
            "Tan",
            "Tanh",
        )
    ),
    *((9, LAST, f"y = {kind}(x)") for kind in ("Erf", "Sign", "Sinh", "Cosh", "Asinh", "Shrink")),
    (7, LAST, "t = Tanh(x)\ny = Asin(t)"),
    (7, LAST, "t = Tanh(x)\ny = Acos(t)"),
    (7, LAST, "y = Atan(x)"),
    (9, LAST, "t = Tanh(x)\nh = Mul(t, half)\ny = Atanh(h)"),
    (9, LAST, "b = IsNaN(x)\ny = Cast<to = 1>(b)"),
    (10, LAST, "b = IsInf(x)\ny = Cast<to = 1>(b)"),
    (10, LAST, "y = ThresholdedRelu<alpha = 0.5>(x)"),
    (11, LAST, "y = Round(x)"),
    (12, LAST, "y = Celu<alpha = 0.5>(x)"),
    (14, LAST, "y = Trilu(x)"),
    (14, LAST, "y = Trilu<upper = 0>(x, last_one)"),
    (7, LAST, "y = Conv<pads = [1, 1, 1, 1]>(x, kernel, bias4)"),
    (7, LAST, "y = Conv<strides = [2, 1], dilations = [1, 2], pads = [1, 2, 1, 2]>(x, kernel)"),
    (7, LAST, 'y = Conv<auto_pad = "SAME_LOWER", strides = [2, 2]>(x, kernel)'),
    (
        7,
        LAST,
        "y = ConvTranspose<strides = [2, 2], output_padding = [1, 0]>(x, kernel_back, bias4)",
    ),
    (7, LAST, "y = ConvTranspose<output_shape = [9, 12], strides = [2, 2]>(x, kernel_back)"),
    (11, LAST, 'r = Reshape(x, to_blocks)\ny = DepthToSpace<blocksize = 2, mode = "CRD">(r)'),
    (7, LAST, "r = Reshape(x, to_blocks)\ny = DepthToSpace<blocksize = 2>(r)"),
    (7, LAST, "y = SpaceToDepth<blocksize = 2>(x)"),
    (9, LAST, "s = Shape(x)\nc = ConstantOfShape(s)\ny = Add(x, c)"),
    (15, LAST, "s = Shape<start = -2>(x)\nf = Cast<to = 1>(s)\nr = ReduceMean(f)\ny = Mul(x, r)"),
    (7, LAST, "s = Size(x)\nf = Cast<to = 1>(s)\ny = Div(x, f)"),
    (
        11,
        LAST,
        "i = Identity(x)\nq = SequenceConstruct(x, i)\n"
        "y = ConcatFromSequence<axis = 1, new_axis = 1>(q)",
    ),
    (11, LAST, "q = SplitToSequence<axis = 3>(x, count_scalar)\ny = SequenceAt(q, axis)"),
    (20, LAST, "y = ReduceMax<keepdims = 0>(x, last)"),
    (
        7,
        LAST,
        """s = Shape(x)
  n = Gather(s, axis)
  b = Equal(n, turns)
  y = If(b) <
    then_branch = same_as () => (float[a] t) { t = Relu(x) },
    else_branch = other () => (float[a] e) { e = Neg(x) }>""",
    ),
    (
        7,
        LAST,
        """y = Loop(turns, , x) <
    body = g (int64 i, bool c, float[a] v) => (bool d, float[a] w) {
      d = Identity(c)
      w = Mul(v, half) }>""",
    ),
]


def written_forms() -> Iterator[Form]:
    """The forms above, in each operator set that changed one of their operators."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # warnings are about the shape of y, which is left open
    for first, last, lines in WRITTEN:
        written = onnx.parser.parse_model(
            f'<ir_version: 8, opset_import: ["": {first}]>\n'
            f"network (float[2, 3, 4, 6] x) => (float[any] y)\n{{\n{lines}\n}}"
        )
        read = {name for node in nodes_of(written) for name in node.input}
        written.graph.initializer.extend(
            numpy_helper.from_array(value, name)
            for name, value in CONSTANTS.items()
            if name in read
        )
        for sets in sets_of(written, first, last):
            model = onnx.ModelProto()
            model.CopyFrom(written)
            model.opset_import[0].version = sets[-1]
            model = tidy_model(model, lines)
            session = onnxruntime.InferenceSession(model.SerializeToString(), options)
            (expected,) = session.run(None, {"x": X})
            name = lines.splitlines()[-1] if "\n" not in lines else " ".join(lines.split())
            yield Form(name, sets, model, {"x": X}, [expected], rtol=1e-5, atol=1e-5)
