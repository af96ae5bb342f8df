"""A whole run with figures known by hand."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.comparison import comparison
from engine.comparison.comparison import Comparison, compare, compare_variant
from engine.comparison.latency import Latency, LatencySamples
from engine.comparison.metrics import wilson_interval
from engine.comparison.records import Flip, MemoryUse
from engine.core.errors import LabelsError, OptionError, PictureError
from engine.core.types import FloatArray

NAN, INF = float("nan"), float("inf")
PICTURES = ("cat.png", "dog.png")


def rows(*values: list[float]) -> FloatArray:
    return np.array(values, dtype=np.float32)


REFERENCE = rows([1, 2, 3], [0, 0, 3])
VARIANT = rows([1, 2, 6], [0, 3, 0])
# Differences without row means: [-1, -1, 2], [0, 3, -3]; see test_metrics.py.

LATENCY = Latency(
    "host",
    2,
    1,
    "2025-01-01T00:00:00Z",
    (LatencySamples("float32", (8.0, 10.0, 12.0)), LatencySamples("int8", (4.0, 5.0, 6.0))),
)


def small(**changes: Any) -> Comparison:
    given: dict[str, Any] = {
        "run": "run-1",
        "reference_name": "original",
        "logits": {"original": REFERENCE, "float32": REFERENCE.copy(), "int8": VARIANT},
        "pictures": PICTURES,
    }
    return compare(**given | changes)


def test_compare_variant_fills_every_figure() -> None:
    found = compare_variant("int8", REFERENCE, VARIANT, PICTURES, np.array([2, 2]))
    assert (found.variant, found.pictures, found.non_finite) == ("int8", 2, 0)
    assert (found.top1_agreement, found.top5_overlap) == (0.5, 1.0)
    assert found.top1_agreement_interval == wilson_interval(1, 2)
    assert found.flips == (Flip("dog.png", 1, 2, 1, 3.0, 3.0),)
    assert found.logit_rms == pytest.approx(2.0)
    assert found.logit_mean == pytest.approx(10 / 6)
    assert found.logit_max == 3.0
    assert found.logit_sqnr_db == pytest.approx(10 * math.log10(8 / 24))
    # (1 + 4 + 18) / sqrt(14 * 41), and 0 for [0, 0, 3] . [0, 3, 0].
    assert found.cosine == pytest.approx(23 / math.sqrt(14 * 41) / 2)
    assert found.picture_rms == pytest.approx([math.sqrt(2), math.sqrt(6)])
    assert found.class_rms == pytest.approx(np.sqrt([0.5, 5.0, 6.5]))
    # Second picture: p = (1, 1, e^3) / (2 + e^3), log p - log q = (0, -3, 3).
    assert found.picture_kl[1] == pytest.approx(3 * (math.e**3 - 1) / (2 + math.e**3))
    assert found.kl == pytest.approx(found.picture_kl.mean())
    assert found.accuracy is not None
    assert found.accuracy.top1 == 0.5


def test_the_reference_is_no_variant_and_the_order_is_kept() -> None:
    assert [v.variant for v in small().variants] == ["float32", "int8"]
    other = small(reference_name="float32")
    assert (other.reference, [v.variant for v in other.variants]) == (
        "float32",
        ["original", "int8"],
    )


def test_agreement_flips_and_non_finite_add_up() -> None:
    reference = rows([1, 0], [1, 0], [1, 0], [NAN, 0], [NAN, 0])
    variant = rows([1, 0], [0, 1], [INF, 0], [1, 0], [NAN, 0])
    found = compare_variant("int8", reference, variant, tuple("abcde"))
    assert found.top1_agreement == pytest.approx(1 / 5)
    assert [flip.picture for flip in found.flips] == ["b"]
    assert found.non_finite == 2  # rows c and e; the NaN of row d is the reference's alone
    assert np.isnan([found.logit_rms, found.logit_mean, found.logit_max]).all()
    assert np.isnan([found.logit_sqnr_db, found.cosine, found.kl]).all()
    assert np.isnan(found.picture_rms).tolist() == [False, False, True, True, True]
    assert np.isnan(found.picture_kl).tolist() == [False, False, True, True, True]
    assert np.isnan(found.class_rms).all()


def test_one_picture_of_two_identical_classes() -> None:
    found = compare_variant("float32", rows([1, 1]), rows([1, 1]), ["only"])
    assert (found.top1_agreement, found.top5_overlap, found.flips) == (1.0, 1.0, ())
    assert (found.logit_rms, found.kl, found.cosine, found.logit_sqnr_db) == (0.0, 0.0, 1.0, INF)


def test_softmax_outputs_are_compared_as_logarithms() -> None:
    # With ln 2 as unit: logs [0, -9], [-1, -1] against [0, -9], [-1, -2] once 0 is 1/512. Without
    # row means the only difference is [1/2, -1/2] on the second row: rms sqrt(2 / 4 / 4).
    outputs = {"original": rows([1, 0], [0.5, 0.5]), "int8": rows([1, 0.001], [0.5, 0.25])}
    found = small(logits=outputs)
    assert found.probabilities
    assert found.variant("int8").logit_rms == pytest.approx(math.log(2) * math.sqrt(1 / 8))
    assert found.variant("int8").top1_agreement == 1.0


def test_answers_of_a_softmax_are_read_above_no_floor() -> None:
    # All 1,000 probabilities lie below the floor, yet the first answers differ.
    reference = np.full((1, 1000), 0.001, dtype=np.float32)
    variant = reference.copy()
    reference[0, 7], variant[0, 9] = 0.0011, 0.0011
    found = small(
        logits={"original": reference, "float16": variant}, pictures=["a"], labels=np.array([7])
    )
    assert found.probabilities
    assert found.variant("float16").flips == (Flip("a", 0, 7, 9, 0.0, 0.0),)
    assert found.reference_accuracy is not None
    assert found.reference_accuracy.top1 == 1.0


def test_an_8_bit_softmax_as_reference_is_known_by_another_side() -> None:
    # 300 classes of 1/600 vanish in steps of 1/256; the rest sums to 0.5.
    exact = np.full((1, 301), 1 / 600, dtype=np.float32)
    exact[0, 0] = 0.5
    coarse = np.where(exact < 1 / 512, 0, exact).astype(np.float32)
    sides = {"original": exact, "int8": coarse}
    assert small(logits=sides, pictures=["a"], reference_name="int8").probabilities
    assert not small(logits={"int8": coarse}, pictures=["a"], reference_name="int8").probabilities


def test_logits_beside_a_softmax_are_not_probabilities() -> None:
    sides = {"original": rows([4, -2]), "int8": rows([1, 0])}
    assert not small(logits=sides, pictures=["a"]).probabilities


def test_labels_give_accuracy_of_both_sides() -> None:
    found = small(labels=np.array([-1, 2]))
    assert found.reference_accuracy is not None
    assert (found.reference_accuracy.pictures, found.reference_accuracy.top1) == (1, 1.0)
    assert found.reference_accuracy.mcnemar_p is None
    accuracy = found.variant("int8").accuracy
    assert accuracy is not None
    assert (accuracy.top1, accuracy.top5, accuracy.mcnemar_p) == (0.0, 1.0, 1.0)


def test_labels_of_no_picture_are_told() -> None:
    found = small(labels=np.array([-1, -1]))
    assert found.reference_accuracy is None
    assert found.notes == (comparison.NO_LABELS_NOTE,)
    with pytest.raises(LabelsError):
        small(labels=np.array([0, 3]))


def test_notes_tell_what_the_figures_are_worth() -> None:
    found = small(random_weights=True, demo_calibration=True, notes=["Mine."])
    assert found.notes == (
        "Mine.",
        "The weights are random: figures about agreement and accuracy say nothing about a trained "
        "model.",
        "Demo calibration. Convert with 100–500 of your own pictures before relying on these "
        "numbers.",
    )
    assert small().notes == ()
    one_class = small(logits={"original": rows([1]), "int8": rows([2])}, pictures=["a"])
    assert one_class.notes == (comparison.ONE_CLASS_NOTE,)


def test_notes_name_the_side_that_gave_nan() -> None:
    hurt = rows([NAN, 1, 2], [0, 0, -INF])
    found = small(logits={"original": REFERENCE, "float32": REFERENCE, "int8": hurt})
    assert found.notes == ("int8: 2 of 2 pictures gave NaN or Inf",)
    found = small(logits={"original": hurt, "int8": REFERENCE})
    assert found.notes == ("original: 2 of 2 pictures gave NaN or Inf",)
    assert (found.variant("int8").non_finite, found.reference_non_finite) == (0, 2)


def test_variant_names_those_there_are() -> None:
    with pytest.raises(OptionError, match="got 'int4'; expected one of float32, int8"):
        small().variant("int4")
    with pytest.raises(OptionError, match=r"expected one of \(none\)"):
        small(logits={"original": REFERENCE}).variant("int8")


def test_the_reference_must_be_one_of_the_sides() -> None:
    with pytest.raises(OptionError, match="got 'torch'; expected one of original, float32, int8"):
        small(reference_name="torch")


def test_size_ratio_is_to_float32() -> None:
    sized = small(sizes={"int8": 25}, float32_bytes=100)
    assert sized.size_ratio("int8") == 0.25
    assert sized.size_ratio("float16") is None
    assert small(sizes={"int8": 25}).size_ratio("int8") is None


# fmt: off
TOP_KEYS = [
    "run", "reference", "pictures", "picture_names", "probabilities", "random_weights",
    "demo_calibration", "notes", "reference_accuracy", "variants",
]
VARIANT_KEYS = [
    "top1_agreement", "top1_agreement_interval", "top5_overlap", "flip_count", "flips",
    "logit_rms", "logit_mean", "logit_max", "logit_sqnr_db", "cosine", "kl", "non_finite",
    "bytes", "size_ratio", "latency_ms", "latency_ratio", "load_ms",
    "peak_memory_bytes", "memory_ratio", "top1_accuracy", "top1_accuracy_interval",
    "top5_accuracy", "top5_accuracy_interval", "mcnemar_p",
    "lost", "won", "calibration_error", "calibration_bins", "class_changes",
    "fault",
]
# fmt: on


def test_to_dict_has_stable_keys_and_plain_values() -> None:
    full = small(
        labels=np.array([2, 2]),
        sizes={"int8": 25},
        float32_bytes=100,
        latency=LATENCY,
        memory={"float32": MemoryUse(400.0, 8.0, "a tool"), "int8": MemoryUse(100.0, 2.0, "it")},
    ).to_dict()
    assert json.loads(json.dumps(full, allow_nan=False)) == full
    assert list(full) == TOP_KEYS
    assert (full["pictures"], full["picture_names"]) == (2, list(PICTURES))
    assert full["reference_accuracy"]["top1_accuracy"] == 1.0
    int8 = full["variants"]["int8"]
    assert list(int8) == VARIANT_KEYS
    assert int8["flip_count"] == 1
    assert int8["flips"] == [
        {
            "picture": "dog.png",
            "index": 1,
            "reference_class": 2,
            "variant_class": 1,
            "reference_margin": 3.0,
            "variant_margin": 3.0,
        }
    ]
    assert (int8["bytes"], int8["size_ratio"]) == (25, 0.25)
    assert (int8["latency_ms"], int8["latency_ratio"]) == (5.0, 0.5)
    assert (int8["load_ms"], int8["peak_memory_bytes"], int8["memory_ratio"]) == (2.0, 100.0, 0.25)
    assert (int8["top1_accuracy"], int8["mcnemar_p"]) == (0.5, 1.0)
    assert (int8["lost"], int8["won"]) == (1, 0)
    assert [change["lost"] for change in int8["class_changes"]] == [1]
    assert sum(found["pictures"] for found in int8["calibration_bins"]) == 2
    assert len(int8["top1_accuracy_interval"]) == len(int8["top1_agreement_interval"]) == 2


def test_to_dict_has_none_for_what_is_not_known() -> None:
    bare = small().to_dict()
    assert bare["reference_accuracy"] is None
    assert list(bare["variants"]["int8"]) == VARIANT_KEYS
    unknown = {key for key, value in bare["variants"]["int8"].items() if value is None}
    assert unknown == set(VARIANT_KEYS[12:])
    # Identical logits have no noise: the ratio is infinite.
    assert bare["variants"]["float32"]["logit_sqnr_db"] is None


def test_to_dict_has_none_for_nan() -> None:
    hurt = small(logits={"original": REFERENCE, "int8": rows([NAN, 1, 2], [0, 0, 3])}).to_dict()
    assert json.loads(json.dumps(hurt, allow_nan=False)) == hurt
    int8 = hurt["variants"]["int8"]
    for key in ("logit_rms", "logit_mean", "logit_max", "logit_sqnr_db", "cosine", "kl"):
        assert int8[key] is None
    assert (int8["non_finite"], int8["top1_agreement"], int8["flips"]) == (1, 0.5, [])
    assert hurt["notes"] == ["int8: 1 of 2 pictures gave NaN or Inf"]


def test_to_frame_has_one_row_a_variant() -> None:
    frame = small(sizes={"int8": 25}, float32_bytes=100, latency=LATENCY).to_frame()
    assert (frame.index.name, list(frame.index)) == ("variant", ["float32", "int8"])
    lists = {"flips", "calibration_bins", "class_changes"}
    scalars = [key for key in VARIANT_KEYS if not key.endswith("interval") and key not in lists]
    assert list(frame.columns) == scalars
    assert frame.loc["int8", "logit_rms"] == pytest.approx(2.0)
    assert (frame.loc["int8", "flip_count"], frame.loc["int8", "bytes"]) == (1, 25)
    assert math.isnan(frame.loc["int8", "top1_accuracy"])
    assert frame["bytes"].isna().tolist() == [True, False]
    assert frame["logit_sqnr_db"].isna().tolist() == [True, False]


def test_to_frame_of_no_variant_keeps_its_columns() -> None:
    frame = small(logits={"original": REFERENCE}).to_frame()
    assert len(frame) == 0
    assert "logit_rms" in frame.columns


def test_logits_may_be_memory_mapped(tmp_path: Path) -> None:
    sides: dict[str, FloatArray] = {}
    for name, values in {"original": REFERENCE, "int8": VARIANT}.items():
        np.save(tmp_path / f"{name}.npy", values)
        sides[name] = np.load(tmp_path / f"{name}.npy", mmap_mode="r")
    found = small(logits=sides).variant("int8")
    assert found.logit_rms == pytest.approx(2.0)
    assert type(found.picture_rms) is type(found.picture_kl) is type(found.class_rms) is np.ndarray


def test_shapes_that_differ_are_both_named() -> None:
    with pytest.raises(ValueError, match=r"shape \(2, 3\) and the variant \(2, 2\)"):
        small(logits={"original": REFERENCE, "int8": VARIANT[:, :2]})
    with pytest.raises(ValueError, match=r"1 names of pictures for logits of \(2, 3\)"):
        small(pictures=["a"])


def test_no_picture_is_refused_with_a_sentence() -> None:
    nothing = np.zeros((0, 3), dtype=np.float32)
    with pytest.raises(PictureError, match="got 0 pictures; expected at least one picture"):
        small(logits={"original": nothing, "int8": nothing}, pictures=())
