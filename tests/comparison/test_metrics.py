"""Every figure against arithmetic done by hand."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from engine.comparison import metrics as metrics_module
from engine.core import parity
from engine.core.types import FloatArray

NAN, INF = float("nan"), float("inf")


def rows(*values: list[float]) -> FloatArray:
    return np.array(values, dtype=np.float32)


REFERENCE = rows([1, 2, 3], [0, 0, 3])
VARIANT = rows([1, 2, 6], [0, 3, 0])
# Centred: reference [-1, 0, 1], [-1, -1, 2]; variant [-2, -1, 3], [-1, 2, -1].
# Differences: [-1, -1, 2], [0, 3, -3]. Squares sum to 6 + 18 = 24, absolutes to 4 + 6 = 10.


def test_centred_rows_sum_to_zero() -> None:
    assert parity.center_rows(REFERENCE).tolist() == [[-1, 0, 1], [-1, -1, 2]]


def test_difference_is_variant_minus_reference_without_row_means() -> None:
    assert parity.difference(REFERENCE, VARIANT).tolist() == [[-1, -1, 2], [0, 3, -3]]


def test_a_constant_added_to_a_row_is_no_difference() -> None:
    shifted = REFERENCE + np.float32(8)
    assert not parity.difference(REFERENCE, shifted).any()
    assert metrics_module.kl(REFERENCE, shifted).tolist() == pytest.approx([0, 0], abs=1e-15)


def test_rms_mean_and_maximum() -> None:
    differences = parity.difference(REFERENCE, VARIANT)
    assert metrics_module.rms(differences) == pytest.approx(2.0)  # sqrt(24 / 6)
    assert metrics_module.mean_absolute(differences) == pytest.approx(10 / 6)
    assert metrics_module.max_absolute(differences) == 3.0
    # Pictures: sqrt(6 / 3), sqrt(18 / 3). Classes: sqrt(1 / 2), sqrt(10 / 2), sqrt(13 / 2).
    assert metrics_module.rms_along(differences, 1) == pytest.approx([math.sqrt(2), math.sqrt(6)])
    assert metrics_module.rms_along(differences, 0) == pytest.approx(np.sqrt([0.5, 5.0, 6.5]))


def test_sqnr_is_signal_over_noise_in_db() -> None:
    # Signal 2 + 6 = 8, noise 24: 10 log10(1 / 3) = -4.771 dB.
    assert metrics_module.sqnr_db(REFERENCE, VARIANT) == pytest.approx(-4.7712125)
    # Signal [-5, 5]: 50. Noise [-0.05, 0.05]: 0.005. 10 log10(10000) = 40 dB.
    assert metrics_module.sqnr_db(rows([0, 10]), np.array([[0.0, 10.1]])) == pytest.approx(40.0)


def test_sqnr_at_its_ends() -> None:
    constant = rows([2, 2])
    assert metrics_module.sqnr_db(REFERENCE, REFERENCE) == INF
    assert metrics_module.sqnr_db(constant, constant) == INF
    assert metrics_module.sqnr_db(constant, rows([0, 1])) == -INF


def test_cosine_is_the_mean_over_rows() -> None:
    # [3, 4] . [4, 3] = 24, over 5 * 5: 0.96. [1, 0] . [-1, 0] = -1. Mean -0.02.
    assert metrics_module.cosine(rows([3, 4], [1, 0]), rows([4, 3], [-1, 0])) == pytest.approx(
        -0.02
    )


@pytest.mark.parametrize(
    ("reference", "variant", "expected"),
    [([0, 0], [0, 0], 1.0), ([0, 0], [1, 0], 0.0), ([1, 0], [0, 0], 0.0)],
)
def test_cosine_of_rows_of_zeros(
    reference: list[float], variant: list[float], expected: float
) -> None:
    assert metrics_module.cosine(rows(reference), rows(variant)) == expected


def test_kl_in_nats() -> None:
    # p = (1/2, 1/2), q = (3/4, 1/4): 1/2 ln(2/3) + 1/2 ln 2 = 1/2 ln(4/3).
    reference, variant = rows([0, 0]), np.array([[math.log(3), 0.0]])
    assert metrics_module.kl(reference, variant) == pytest.approx([0.5 * math.log(4 / 3)])
    # The other way: 3/4 ln(3/2) + 1/4 ln(1/2).
    expected = 0.75 * math.log(1.5) + 0.25 * math.log(0.5)
    assert metrics_module.kl(variant, reference) == pytest.approx([expected])


def test_kl_is_stable_for_large_logits() -> None:
    # p is (1, 0) and log q of the first class is -2000.
    assert metrics_module.kl(rows([1000, -1000]), rows([-1000, 1000])) == pytest.approx([2000.0])
    largest = float(np.finfo(np.float32).max)
    assert metrics_module.kl(rows([largest, -largest]), rows([0, 0])) == pytest.approx(
        [math.log(2)]
    )


def test_top_k_puts_the_lowest_index_first_among_equals() -> None:
    logits = rows([1, 3, 3, 0, 3], [7, 7, 7, 7, 7])
    assert metrics_module.top_k(logits, 4).tolist() == [[1, 2, 4, 0], [0, 1, 2, 3]]
    assert metrics_module.top_k(logits, 1).tolist() == [[1], [0]]


def test_top_k_is_a_stable_sort_on_coarse_logits() -> None:
    logits = np.random.default_rng(0).integers(-4, 5, (50, 20)).astype(np.float32)
    by_sorting = np.argsort(-logits, axis=1, kind="stable")
    for k in (1, 5, 20):
        assert (metrics_module.top_k(logits, k) == by_sorting[:, :k]).all()


def test_top_k_leaves_its_input_alone() -> None:
    logits = np.array([[1.0, 2.0]])
    metrics_module.top_k(logits, 2)
    assert logits.tolist() == [[1, 2]]


@pytest.mark.parametrize("k", [0, 4])
def test_top_k_refuses_more_classes_than_there_are(k: int) -> None:
    with pytest.raises(ValueError, match=f"k is {k}; expected 1 to 3"):
        metrics_module.top_k(REFERENCE, k)


def test_top1_agreement_counts_same_first_answers() -> None:
    # First answers 2, 2 against 2, 1.
    assert metrics_module.top1_agreement(REFERENCE, VARIANT) == 0.5
    assert metrics_module.agreeing_rows(REFERENCE, VARIANT).tolist() == [True, False]


def test_ties_go_to_the_lowest_index_on_both_sides() -> None:
    # 1, 1 is class 0 for both, though the variant's other class is as large.
    assert metrics_module.top1_agreement(rows([2, 1]), rows([1, 1])) == 1.0
    assert metrics_module.top1_agreement(rows([1, 2]), rows([1, 1])) == 0.0


def test_top5_overlap_ignores_the_order() -> None:
    # First five of six: {1..5} against {0..4}: 4 of 5 in common.
    reference, variant = rows([0, 1, 2, 3, 4, 5]), rows([5, 4, 3, 2, 1, 0])
    assert metrics_module.top5_overlap(reference, variant) == pytest.approx(0.8)


def test_top5_overlap_of_few_classes_takes_all_of_them() -> None:
    assert metrics_module.top5_overlap(REFERENCE, VARIANT) == 1.0
    assert metrics_module.top5_overlap(rows([0, 1]), rows([1, 0])) == 1.0


def test_margins_are_first_minus_second() -> None:
    assert metrics_module.margins(rows([1, 5, 3], [2, 2, 0])).tolist() == [2, 0]
    assert metrics_module.margins(rows([4], [-1])).tolist() == [0, 0]
    logits = np.random.default_rng(2).permuted(np.tile(2.0 ** np.arange(12), (40, 1)), axis=1)
    assert metrics_module.margins(logits).tolist() == [1024.0] * 40  # 2^11 - 2^10


def test_a_single_column_keeps_its_mean() -> None:
    one, other = rows([4], [1]), rows([-2], [0])
    assert parity.difference(one, other).tolist() == [[-6], [-1]]
    assert metrics_module.sqnr_db(one, other) == pytest.approx(10 * math.log10(17 / 37))
    assert metrics_module.kl(one, other).tolist() == [0, 0]
    assert (
        metrics_module.top1_agreement(one, other) == metrics_module.top5_overlap(one, other) == 1.0
    )


def test_identical_inputs() -> None:
    logits = np.random.default_rng(1).normal(size=(9, 7)).astype(np.float32)
    differences = parity.difference(logits, logits)
    assert metrics_module.rms(differences) == metrics_module.max_absolute(differences) == 0.0
    assert (
        metrics_module.cosine(logits, logits)
        == metrics_module.top1_agreement(logits, logits)
        == 1.0
    )
    assert metrics_module.kl(logits, logits).tolist() == [0.0] * 9


def test_sums_are_float64() -> None:
    # In float32 1e8 + 1 is 1e8, and the mean 1/3 would be 0.
    expected = [1e8 - 1 / 3, 2 / 3, -1e8 - 1 / 3]
    assert parity.center_rows(rows([1e8, 1, -1e8]))[0] == pytest.approx(expected, rel=1e-12)


BROKEN = [[NAN, 1, 2], [INF, 1, 2], [-INF, 1, 2], [INF, -INF, 0], [NAN, NAN, NAN], [INF, INF, INF]]


@pytest.mark.parametrize("broken", BROKEN)
@pytest.mark.parametrize("side", ["reference", "variant", "both"])
def test_nan_and_inf_are_never_smoothed(broken: list[float], side: str) -> None:
    sound, hurt = rows([0, 1, 2], [3, 1, 0]), rows(broken, [3, 1, 0])
    reference = sound if side == "variant" else hurt
    variant = sound if side == "reference" else hurt
    differences = parity.difference(reference, variant)
    for figure in (metrics_module.rms, metrics_module.mean_absolute, metrics_module.max_absolute):
        assert math.isnan(figure(differences))
    assert np.isnan(metrics_module.rms_along(differences, 0)).all()
    assert math.isnan(metrics_module.sqnr_db(reference, variant))
    assert math.isnan(metrics_module.cosine(reference, variant))
    assert np.isnan(metrics_module.rms_along(differences, 1)).tolist() == [True, False]
    assert np.isnan(metrics_module.kl(reference, variant)).tolist() == [True, False]
    # Of two rows only the sound one can agree and share its three classes.
    assert metrics_module.agreeing_rows(reference, variant).tolist() == [False, True]
    assert metrics_module.top1_agreement(reference, variant) == 0.5
    assert metrics_module.top5_overlap(reference, variant) == 0.5
    assert parity.finite_rows(hurt).tolist() == [False, True]
    assert metrics_module.top_k(hurt, 2).tolist() == [[metrics_module.NO_ANSWER] * 2, [0, 1]]
    assert np.isnan(metrics_module.margins(hurt)).tolist() == [True, False]
    assert not metrics_module.looks_like_probabilities(hurt)


def test_nan_of_a_model_of_one_class_shows() -> None:
    assert np.isnan(metrics_module.margins(rows([NAN], [1]))).tolist() == [True, False]
    assert metrics_module.top1_agreement(rows([NAN], [1]), rows([0], [0])) == 0.5


def test_float64_beyond_float32_counts_as_inf() -> None:
    assert parity.finite_rows(np.array([[1e39, 0.0], [1e38, 0.0]])).tolist() == [False, True]
    assert math.isnan(metrics_module.sqnr_db(np.array([[1e200, 0.0]]), np.array([[0.0, 1.0]])))


def test_a_signalling_nan_does_not_warn() -> None:
    signalling = np.array([[0x7FA00000, 0]], dtype=np.uint32).view(np.float32)
    assert math.isnan(metrics_module.cosine(signalling, signalling))
    assert not metrics_module.looks_like_probabilities(signalling)


Pair = Callable[[FloatArray, FloatArray], object]
PAIRS: list[Pair] = [
    parity.difference,
    metrics_module.sqnr_db,
    metrics_module.cosine,
    metrics_module.kl,
    metrics_module.agreeing_rows,
    metrics_module.top1_agreement,
    metrics_module.top5_overlap,
]


@pytest.mark.parametrize("figure", PAIRS)
def test_shapes_that_differ_are_both_named(figure: Pair) -> None:
    with pytest.raises(ValueError, match=r"shape \(2, 3\) and the variant \(1, 3\)"):
        figure(REFERENCE, VARIANT[:1])


@pytest.mark.parametrize("figure", PAIRS)
@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (3,)])
def test_no_pictures_or_no_classes_are_refused(figure: Pair, shape: tuple[int, ...]) -> None:
    nothing = np.zeros(shape, dtype=np.float32)
    with pytest.raises(ValueError, match=r"expected .* at least one picture and one class"):
        figure(nothing, nothing)


@pytest.mark.parametrize(
    ("outputs", "expected"),
    [
        (rows([1, 0, 0], [0.2, 0.3, 0.5]), True),
        (rows([0.2, 0.3, 0.5009]), True),
        (rows([0.2, 0.3, 0.502]), False),
        (rows([1, 0], [0.4, 0.4]), False),
        (rows([1.5, -0.5]), False),
        (rows([1]), False),
        (REFERENCE, False),
    ],
)
def test_looks_like_probabilities(outputs: FloatArray, expected: bool) -> None:
    assert metrics_module.looks_like_probabilities(outputs) is expected


def test_log_probabilities_have_a_floor() -> None:
    # Exact zeros and 1/1024 both become ln(1/512) = -9 ln 2; 1/4 stays -2 ln 2.
    logs = metrics_module.log_probabilities(rows([1, 0, 1 / 1024, 0.25]))
    assert (logs / math.log(2))[0] == pytest.approx([0, -9, -9, -2])


def test_log_probabilities_do_not_hide_inf_under_the_floor() -> None:
    logs = metrics_module.log_probabilities(rows([-INF, 1], [NAN, 1], [INF, 0], [1, 0]))
    assert parity.finite_rows(logs).tolist() == [False, False, False, True]
