"""Comparison of every variant of a run with one reference, as one record.

Outputs of a softmax are recognised, on each side alone. Where either side of a pair has one,
logarithms of probabilities (`metrics.log_probabilities`) stand in for the logits of both in every
figure that is in logits or nats. First answers, first five and accuracy are
read from the outputs as they are: the floor under the logarithms would make answers equal that
the models tell apart.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.comparison import metrics as metrics_module
from engine.comparison.accuracy import NO_LABEL, accuracy
from engine.comparison.faults import FEW_PICTURES, fault_of, fault_sentences
from engine.comparison.latency import Latency
from engine.comparison.outputs import Outputs, probability_sides
from engine.comparison.records import (
    FLOAT32,
    SCALAR_KEYS,
    Accuracy,
    Flip,
    MemoryUse,
    VariantComparison,
    accuracy_dict,
    variant_dict,
)
from engine.core import parity
from engine.core.errors import OptionError, PictureError
from engine.core.formats import join_names, title_of_model
from engine.core.types import Fault, FloatArray, IntArray

if TYPE_CHECKING:
    import pandas as pd

RANDOM_WEIGHTS_NOTE = (
    "The weights are random: figures about agreement and accuracy say nothing about a trained "
    "model."
)
DEMO_CALIBRATION_NOTE = (
    "Demo calibration. Convert with 100–500 of your own pictures before relying on these numbers."
)
NO_LABELS_NOTE = "None of the pictures has a label, so there is no accuracy."
ONE_CLASS_NOTE = (
    "The model has one output: its answer is the side of 0 (for a sigmoid: of 0.5) that it lies on."
)


@dataclass(frozen=True, slots=True)
class Comparison:
    """What every variant of a run costs and gains.

    Attributes:
        run: Name of the run.
        reference: What the variants were compared with.
        pictures: Names of the pictures, in the order of the rows of logits.
        variants: One record a variant; the reference is not among them.
        reference_accuracy: The reference against labels, where there are some.
        probabilities: Whether the reference's outputs were recognised as those of a softmax.
        random_weights: Whether the model's weights are random.
        demo_calibration: Whether crops of the supplied pictures calibrated the integer variants.
        sizes: Bytes of the model file, by variant.
        float32_bytes: Bytes of the float32 file that size ratios are taken to, where known.
        latency: Timings, where measured.
        notes: Findings that a reader of the figures has to know, one sentence each.
        reference_non_finite: Pictures on which the reference gives NaN or Inf.
        faults: Those of ``notes`` about variants that are missing or whose answers are of no use.
        memory: What files take in a process of their own, of the variants that were measured.
    """

    run: str
    reference: str
    pictures: tuple[str, ...]
    variants: tuple[VariantComparison, ...]
    reference_accuracy: Accuracy | None
    probabilities: bool
    random_weights: bool
    demo_calibration: bool
    sizes: Mapping[str, int]
    float32_bytes: int | None
    latency: Latency | None
    notes: tuple[str, ...]
    reference_non_finite: int = 0
    faults: tuple[str, ...] = ()
    memory: Mapping[str, MemoryUse] = field(default_factory=dict)

    @property
    def fault_by_variant(self) -> dict[str, Fault]:
        """What makes the answers of variants useless, of those whose answers are."""
        return {v.variant: v.fault for v in self.variants if v.fault is not None}

    def variant(self, name: str) -> VariantComparison:
        """Find the record of one variant.

        Raises:
            OptionError: There is none of that name.
        """
        for variant in self.variants:
            if variant.variant == name:
                return variant
        raise _unknown("looking up a variant", name, (v.variant for v in self.variants))

    def gives_probabilities(self, column: str) -> bool:
        """Check whether the outputs of the reference or a variant are those of a softmax.

        Raises:
            OptionError: There is no such column.
        """
        if column == self.reference:
            return self.probabilities
        return self.variant(column).probabilities

    def size_ratio(self, name: str) -> float | None:
        """Divide the bytes of a variant's file by float32's; None where either is unknown."""
        size = self.sizes.get(name)
        return size / self.float32_bytes if size is not None and self.float32_bytes else None

    def memory_ratio(self, name: str) -> float | None:
        """Divide the peak memory of a variant by float32's; None without both, or by 0."""
        use, base = self.memory.get(name), self.memory.get(FLOAT32)
        return use.peak_bytes / base.peak_bytes if use and base and base.peak_bytes else None

    def to_dict(self) -> dict[str, Any]:
        """Give all figures in plain Python types, ready for JSON.

        NaN and infinity become None. That is the fate of every figure about logits when the
        variant or the reference gave NaN or Inf for a picture (``notes`` says so), and of
        ``logit_sqnr_db`` when nothing differs (``logit_max`` is then 0).

        Returns:
            The fields of this record, ``variants`` by name; see `variant_dict`.
        """
        reference = self.reference_accuracy
        return {
            "run": self.run,
            "reference": self.reference,
            "pictures": len(self.pictures),
            "picture_names": list(self.pictures),
            "probabilities": self.probabilities,
            "random_weights": self.random_weights,
            "demo_calibration": self.demo_calibration,
            "notes": list(self.notes),
            "reference_accuracy": reference
            and {"pictures": reference.pictures, **accuracy_dict(reference)},
            "variants": {v.variant: self._plain(v) for v in self.variants},
        }

    def to_frame(self) -> pd.DataFrame:
        """Give the scalar figures of `to_dict` as a table.

        Returns:
            One row a variant, its name as the index ``variant``; `SCALAR_KEYS` as columns, NaN
            (in ``bytes`` NA) where `to_dict` has None, and ``fault`` as a string or None.
        """
        import pandas as pd

        index = pd.Index([v.variant for v in self.variants], name="variant", dtype=object)
        cells = [[self._plain(v)[key] for key in SCALAR_KEYS] for v in self.variants]
        frame = pd.DataFrame(cells, index=index, columns=list(SCALAR_KEYS), dtype=float)
        frame = frame.astype({"flip_count": int, "non_finite": int, "bytes": "Int64"})
        return frame.assign(fault=pd.Series([v.fault for v in self.variants], index, dtype=object))

    def _plain(self, variant: VariantComparison) -> dict[str, Any]:
        name = variant.variant
        return variant_dict(
            variant,
            size=self.sizes.get(name),
            size_ratio=self.size_ratio(name),
            latency=self.latency,
            memory=self.memory.get(name),
            memory_ratio=self.memory_ratio(name),
        )


def compare_variant(
    variant: str,
    reference: FloatArray,
    logits: FloatArray,
    pictures: Sequence[str],
    labels: IntArray | None = None,
    *,
    probabilities: bool = False,
    reference_probabilities: bool = False,
    fault: Fault | None = None,
) -> VariantComparison:
    """Compare one variant's answers with the reference's.

    ``reference`` and ``logits`` are outputs of shape (pictures, classes), logits unless
    ``probabilities`` say otherwise; ``labels`` are class indices, -1 for a picture without one.
    Without a ``fault`` that was found before, these answers are judged.

    Raises:
        LabelsError: See `accuracy`.
        ValueError: Shapes that differ, or not one name a row.
    """
    _require_one_name_a_row(pictures, reference)
    parity.require_same_shape(reference, logits)
    sides = Outputs(reference, reference_probabilities), Outputs(logits, probabilities)
    either = probabilities or reference_probabilities
    scores = tuple(side.scores(as_probabilities=either) for side in sides)
    shown = tuple(side.logits(as_probabilities=either) for side in sides)
    answers = tuple(side.answers for side in sides)
    agreeing = metrics_module.agreeing_rows(*answers)
    finite = parity.finite_rows(reference) & parity.finite_rows(logits)
    differences, kl = parity.difference(*scores), metrics_module.kl(*shown)
    return VariantComparison(
        variant=variant,
        pictures=len(pictures),
        top1_agreement=float(agreeing.mean()),
        top1_agreement_interval=metrics_module.wilson_interval(int(agreeing.sum()), len(pictures)),
        top5_overlap=metrics_module.top5_overlap(*answers),
        flips=_flips(pictures, answers, shown, finite & ~agreeing),
        logit_rms=metrics_module.rms(differences),
        logit_mean=metrics_module.mean_absolute(differences),
        logit_max=metrics_module.max_absolute(differences),
        logit_sqnr_db=metrics_module.sqnr_db(*scores),
        cosine=metrics_module.cosine(*scores),
        kl=float(kl.mean()),
        non_finite=int((~parity.finite_rows(logits)).sum()),
        picture_rms=metrics_module.rms_along(differences, 1),
        picture_kl=kl,
        class_rms=metrics_module.rms_along(differences, 0),
        reference_margins=metrics_module.margins(shown[0]),
        kept_margins=metrics_module.margins_left(
            shown[1], metrics_module.top_k(answers[0], 1)[:, 0]
        ),
        accuracy=None
        if labels is None
        else accuracy(answers[1], labels, answers[0], probabilities=probabilities),
        probabilities=probabilities,
        fault=fault or _fault(*sides),
    )


def _fault(reference: Outputs, variant: Outputs) -> Fault | None:
    either = reference.probabilities or variant.probabilities
    expected, given = (side.shares() if either else side.values for side in (reference, variant))
    fault = fault_of(expected, given)
    few = int(parity.finite_rows(expected).sum()) < FEW_PICTURES
    return None if fault == "same_answer" and few else fault


def compare(
    *,
    run: str,
    reference_name: str,
    logits: Mapping[str, FloatArray],
    pictures: Sequence[str],
    labels: IntArray | None = None,
    sizes: Mapping[str, int] | None = None,
    float32_bytes: int | None = None,
    latency: Latency | None = None,
    random_weights: bool = False,
    demo_calibration: bool = False,
    added: Collection[str] = (),
    normalizing: Collection[str] | None = None,
    notes: Sequence[str] = (),
    known_faults: Mapping[str, Fault] | None = None,
    missing: Sequence[str] = (),
    memory: Mapping[str, MemoryUse] | None = None,
) -> Comparison:
    """Compare all sides of a run with one of them.

    ``logits`` holds each side's outputs, shape (pictures, classes); memory-mapped arrays will do,
    as one variant at a time is held in float64. Any key may be the reference; the others become
    variants in the order given. ``labels`` are class indices, -1 for a picture without one.
    ``added`` names the sides that are external files, ``known_faults`` those whose answers were of
    no use before; ``missing`` has a sentence for each variant that could not be made.
    ``normalizing`` is described at `probability_sides`, the rest at `Comparison`.

    Raises:
        LabelsError: A label is no class of the model.
        OptionError: The reference is not among the sides.
        PictureError: There is no picture.
        ValueError: Shapes that differ, or not one name a row.
    """
    reference = logits.get(reference_name)
    if reference is None:
        raise _unknown("choosing the baseline", reference_name, logits)
    _require_one_name_a_row(pictures, reference)
    truth = None if labels is None or bool(np.all(labels == NO_LABEL)) else labels
    normalized = probability_sides(logits, added, normalizing)
    expected = Outputs(reference, reference_name in normalized)
    earlier = known_faults or {}
    variants = tuple(
        compare_variant(
            name,
            reference,
            side,
            pictures,
            truth,
            probabilities=name in normalized,
            reference_probabilities=expected.probabilities,
            fault=earlier.get(name),
        )
        for name, side in logits.items()
        if name != reference_name
    )
    judged = {v.variant: v.fault for v in variants} | {reference_name: earlier.get(reference_name)}
    faults = (*missing, *_fault_sentences(logits, judged))
    return Comparison(
        run=run,
        reference=reference_name,
        pictures=tuple(pictures),
        variants=variants,
        reference_accuracy=None
        if truth is None
        else accuracy(expected.answers, truth, probabilities=expected.probabilities),
        probabilities=expected.probabilities,
        random_weights=random_weights,
        demo_calibration=demo_calibration,
        sizes=dict(sizes or {}),
        float32_bytes=float32_bytes,
        latency=latency,
        notes=(
            *faults,
            *notes,
            *_suspicions(variants, expected, reference_name, frozenset(added)),
            *_limits(logits, random_weights, demo_calibration, truth is not labels),
        ),
        reference_non_finite=int((~parity.finite_rows(reference)).sum()),
        faults=faults,
        memory=dict(memory or {}),
    )


def _unknown(stage: str, name: str, names: Iterable[str]) -> OptionError:
    return OptionError(
        stage,
        got=repr(name),
        expected=f"one of {', '.join(names) or '(none)'}",
        todo="Choose one of these names.",
    )


def _require_one_name_a_row(pictures: Sequence[str], reference: FloatArray) -> None:
    if not pictures:
        raise PictureError(
            "comparing answers",
            got="0 pictures",
            expected="at least one picture",
            todo="Choose pictures that the models can answer.",
        )
    if reference.shape[:1] != (len(pictures),):
        raise ValueError(f"{len(pictures)} names of pictures for logits of {reference.shape}")


def _limits(
    logits: Mapping[str, FloatArray], random_weights: bool, demo_calibration: bool, unlabelled: bool
) -> Iterable[str]:
    """Say what limits the meaning of all figures."""
    if random_weights:
        yield RANDOM_WEIGHTS_NOTE
    if demo_calibration:
        yield DEMO_CALIBRATION_NOTE
    if unlabelled:
        yield NO_LABELS_NOTE
    if any(side.shape[1] == 1 for side in logits.values()):
        yield ONE_CLASS_NOTE


def _fault_sentences(
    logits: Mapping[str, FloatArray], faults: Mapping[str, Fault | None]
) -> Iterable[str]:
    counts = {name: int((~parity.finite_rows(side)).sum()) for name, side in logits.items()}
    yield from fault_sentences(
        {name: fault for name, fault in faults.items() if fault is not None and not counts[name]}
    )
    for name, bad in counts.items():
        if bad:
            yield f"{name}: {bad} of {len(logits[name])} pictures gave NaN or Inf"


def _flips(
    pictures: Sequence[str],
    outputs: Sequence[FloatArray],
    shown: Sequence[FloatArray],
    changed: parity.BoolArray,
) -> tuple[Flip, ...]:
    first, second = (metrics_module.top_k(side, 1)[:, 0] for side in outputs)
    before, after = (metrics_module.margins(side) for side in shown)
    return tuple(
        Flip(pictures[i], i, int(first[i]), int(second[i]), float(before[i]), float(after[i]))
        for i in np.flatnonzero(changed).tolist()
    )


MOSTLY = 0.5
CLOSE_DB = 3.0
"""Logits as near as this (half of their energy) come from the same pixels, however quantized."""


def _suspicions(
    variants: Sequence[VariantComparison],
    reference: Outputs,
    reference_name: str,
    added: Set[str],
) -> Iterator[str]:
    """Name external files whose answers suggest that they are fed or read otherwise.

    A file says nothing of its preprocessing, so wrong pixels show only in its answers.
    """
    base = title_of_model(reference_name)
    for variant in variants:
        name, total = variant.variant, variant.pictures
        # NaN, which broken answers give, is not close either.
        if (
            name in added
            and variant.top1_agreement < MOSTLY
            and not variant.logit_sqnr_db >= CLOSE_DB
        ):
            same = round(variant.top1_agreement * total)
            yield (
                f"{name} answers like {base} on {same} of {total} pictures "
                "only. It may expect other preprocessing (such as pixels of 0 to 255, or another "
                "mean), or hold other weights: a file does not say. Ask whoever made it."
            )
    other_kind = [
        variant.variant
        for variant in variants
        if variant.probabilities is not reference.probabilities
        and not added.isdisjoint((variant.variant, reference_name))
    ]
    if other_kind:
        several = len(other_kind) > 1
        last = "softmax" if reference.values.shape[1] > 1 else "sigmoid"
        kinds = (
            f"{'give' if several else 'gives'} logits and {base} ends in a {last}"
            if reference.probabilities
            else f"{'end' if several else 'ends'} in a {last} and {base} does not"
        )
        yield (
            f"{join_names(other_kind)} {kinds}: they are compared by the logarithms of their "
            "probabilities, those below 1/512 taken for 1/512. These figures are smaller than "
            "those of logits."
        )
