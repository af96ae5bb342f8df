"""Headlines of figures, made from the data that a figure draws."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from engine.comparison.latency import Latency
from engine.comparison.recommendation import candidate_of_costs, quickest_of, smallest_of
from engine.comparison.records import FLOAT32
from engine.comparison.trade_off import Axes
from engine.core import formats
from engine.core.formats import cut_name, join_names, number, plural, spell_count, verb
from engine.core.types import SAME, FloatArray
from engine.reporting.text.runs import MOST_NAMED
from engine.runs.manifest import Stage
from engine.tflite.operator_times import OperatorTime, left_share, time_by_kind

_NOTHING = 5e-4
_LITTLE = 0.05
_ROOM = 110
"""Characters of a headline at most."""
_FLOAT_STEPS = {"onnx", "savedmodel", "float32"}


def trade_off(front: Sequence[str], drawn: int, axes: Axes = ("latency", "error")) -> str:
    """Name the variants in front on two axes; see `front_of`."""
    both = join_names(axes)
    if not front:
        return f"No variant has {both} that can be drawn"
    if drawn == 1:
        return f"{front[0]} is the only variant drawn"
    if len(front) == 1:
        return f"{front[0]} is the best trade-off: nothing beats it in {join_names(axes, 'or')}"
    if len(front) == drawn:
        return f"Every variant is a best trade-off of {both}: none beats another in both"
    behind = verb(drawn - len(front), "one is", f"{number(drawn - len(front))} are")
    who = join_names(front) if len(front) <= MOST_NAMED else f"{number(len(front))} of {drawn}"
    return f"Best trade-offs of {both}: {who}; {behind} behind"


def axes_words(axes: Axes) -> str:
    """Name two axes in a choice: ``Error over latency``."""
    across, up = axes
    return f"{up.capitalize()} over {across}"


def distribution(halves: Mapping[str, float]) -> str:
    """Say how far half of the logits move under the variants that move them most and least.

    ``halves`` are medians of the absolute differences by variant, in logits.
    """
    if not halves:
        return "No variant gives logits that can be compared"
    least, most = min(halves, key=lambda n: halves[n]), max(halves, key=lambda n: halves[n])
    if halves[most] == 0:
        return "No difference found: half of the logits or more do not move"
    sentence = f"Half of the logits move by more than {formats.small(halves[most])} in {most}"
    if least == most:
        return sentence
    if halves[least] < _NOTHING:
        return f"{sentence}, hardly at all in {least}"
    return f"{sentence}, {formats.small(halves[least])} in {least}"


def scatter(variant: str, differences: FloatArray) -> str:
    """Say how close a variant's logits stay to the line of equality."""
    if not differences.size:
        return f"{variant} gives no logits that can be compared"
    distances = np.abs(differences)
    if distances.max() == 0:
        return f"No difference found: {variant} gives every logit as it was"
    low, high = map(formats.logits, (nearest_rank(distances, 0.95), float(distances.max())))
    return f"95\xa0% of {variant}'s logits are within {low} of the line, all within {high}"


def heatmap(pictures: Sequence[str], variants: Sequence[str], values: FloatArray) -> str:
    """Say which picture moves most, under which variant."""
    finite = np.isfinite(values)
    if not finite.any():
        return "No picture has figures that can be compared"
    if not finite.all():
        rows = sorted({pictures[row] for row in np.argwhere(~finite)[:, 0].tolist()})
        where = join_names([cut_name(row) for row in rows[:MOST_NAMED]])

        return f"NaN or Inf on {where}: a broken model"
    if values.max() == 0:
        return "No difference found on any of these pictures"
    row, column = np.unravel_index(int(np.argmax(values)), values.shape)
    far = formats.logits(float(values[row, column]))
    return f"{cut_name(pictures[int(row)])} moves most, by {far} (rms) in {variants[int(column)]}"


def margins(
    variant: str,
    pictures: Sequence[str],
    reference: FloatArray,
    left: FloatArray,
    flipped: NDArray[np.bool_],
) -> str:
    """Say how many answers a variant changes, and which one is next."""
    finite = np.isfinite(reference) & np.isfinite(left)
    if not finite.any():
        return f"{variant} gives no answers that can be compared"
    count = int(flipped.sum())
    sentence = (
        f"{variant} changes {plural(count, 'answer') if count else 'no answer'} of {len(pictures)}"
    )
    waiting = np.flatnonzero(finite & ~flipped).tolist()
    if not waiting:
        return sentence
    nearest = min(waiting, key=lambda row: float(left[row]))
    rest, whole = (formats.decimal(values[nearest], 2) for values in (left, reference))
    first, last = f"{sentence}. Closest call: ", f", with {rest} of its {whole} margin left"
    return f"{first}{cut_name(pictures[nearest], _ROOM - len(first) - len(last))}{last}"


def confusion(variant: str, changes: Mapping[tuple[str, str], int]) -> str:
    """Say which class a variant mistakes most often, for which."""
    total = sum(changes.values())
    if not total:
        return f"{variant} changes no answer"
    pair, most = max(changes.items(), key=lambda item: item[1])
    before, after = map(cut_name, pair)
    pictures = "one answer" if total == 1 else f"{number(total)} answers"
    if most == 1:
        several = f", no two alike: {before} to {after} is one" if total > 1 else ""
        alone = f", {before} to {after}" if total == 1 else several
        return f"{variant} changes {pictures}{alone}"
    return f"{variant} changes {pictures}, {number(most)} of them from {before} to {after}"


def latency(timed: Latency) -> str:
    """Say which model is fastest and which slowest."""
    points = [candidate_of_costs(entry.variant, timed=entry) for entry in timed.entries]
    if not points:
        return "Nothing is timed"
    ahead = [point.variant for point in quickest_of(points)]
    slowest = max(points, key=lambda point: point.latency_ms or 0.0)
    first = min(timed.entries, key=lambda entry: entry.median_ms)
    time = formats.milliseconds(first.median_ms, first.pictures)
    if len(points) == 1:
        return f"{ahead[0]} answers in {time}"
    if len(ahead) == len(points):
        return f"No difference found: all answer in about {time}"
    times = formats.times(timed.ratio(slowest.variant, ahead[0]))
    behind = f"{slowest.variant} takes {times} as long"
    if len(ahead) == 1:
        return f"{ahead[0]} answers in {time}, the fastest of {len(points)}; {behind}"
    who = join_names(ahead) if len(ahead) <= MOST_NAMED else spell_count(len(ahead), "model")
    return f"{who} answer in about {time}, the fastest of {len(points)}; {behind}"


def _spread(timed: Latency) -> str:
    """Say whose calls vary most: how long they take is the headline of the bars."""
    if not timed.entries:
        return "Nothing is timed"
    widest = max(timed.entries, key=lambda entry: entry.spread)
    if not widest.spread:
        return "No model's calls vary"
    low, high = (
        formats.milliseconds(value, widest.pictures)
        for value in (min(widest.samples_ms), max(widest.samples_ms))
    )
    return f"{widest.variant}'s calls vary most, from {low} to {high}"


def threads(timings: Sequence[Latency]) -> str:
    """Say what more threads gain, where several counts were timed."""
    if len(timings) < 2:
        return _spread(timings[0]) if timings else "Nothing is timed"
    first, last = timings[0], timings[-1]
    gains = {
        entry.variant: entry.median_ms / threaded.median_ms
        for entry in first.entries
        if (threaded := last.of(entry.variant)) is not None and threaded.median_ms > 0
    }
    if not gains:
        return "No model was timed with both numbers of threads"
    most, least = max(gains, key=lambda n: gains[n]), min(gains, key=lambda n: gains[n])
    sentence = f"With {last.threads} threads instead of {first.threads}"
    if gains[most] <= 1 + SAME:
        return f"{sentence}, no model is faster"
    best = f"{sentence}, {most} is {formats.times(gains[most])} as fast"
    return best if least == most else f"{best}, {least} {formats.times(gains[least])}"


def sizes(files: Mapping[str, int], float32_bytes: int) -> str:
    """Say which file is smallest."""
    if not files:
        return "There is no file"
    points = [candidate_of_costs(name, size) for name, size in files.items()]
    ahead = [point.variant for point in smallest_of(points)]
    size = min(files.values())
    figures = f"{formats.megabytes(size)}, {formats.percent(size / float32_bytes)} of float32"
    if len(ahead) == 1:
        return f"{ahead[0]} is the smallest file: {figures}"
    if len(ahead) == len(files):
        return f"No difference found: every file has about {formats.megabytes(size)}"
    who = join_names(ahead) if len(ahead) <= MOST_NAMED else spell_count(len(ahead), "file")
    return f"{who} are the smallest: about {figures}"


def memory(peaks: Mapping[str, float]) -> str:
    """Say which file takes the least memory; ``peaks`` are bytes by variant."""
    if not peaks:
        return "No memory is measured"
    least = min(peaks.values())
    ahead = [name for name, peak in peaks.items() if peak <= least * (1 + SAME)]
    figures = formats.megabytes(least)
    if len(ahead) == len(peaks) > 1:
        return f"No difference found: every variant takes about {figures} at its peak"
    if FLOAT32 not in ahead and (base := peaks.get(FLOAT32)):
        figures += f", {formats.percent(least / base)} of float32"
    if len(ahead) == 1:
        return f"{ahead[0]} takes the least memory at its peak: {figures}"
    who = join_names(ahead) if len(ahead) <= MOST_NAMED else spell_count(len(ahead), "variant")
    return f"{who} take the least memory at their peaks: about {figures}"


def loads(milliseconds: Mapping[str, float]) -> str:
    """Say how long files take to load; who is first is within the noise."""
    if not milliseconds:
        return "No load is timed"
    low, high = map(formats.milliseconds, (f(milliseconds.values()) for f in (min, max)))
    return f"Files load in {low} to {high}" if low != high else f"Files load in {low}"


def operators(counts: Mapping[str, Mapping[str, int]]) -> str:
    """Say which variant has operators that the leanest lacks."""
    totals = {name: sum(held.values()) for name, held in counts.items()}
    if not totals:
        return "There is no file"
    least, most = min(totals, key=lambda n: totals[n]), max(totals, key=lambda n: totals[n])
    if totals[least] == totals[most]:
        return f"Every variant has {plural(totals[least], 'operator')}"
    more = {
        name: count - counts[least].get(name, 0)
        for name, count in counts[most].items()
        if count > counts[least].get(name, 0)
    }
    named = [f"{count} {name}" for name, count in sorted(more.items(), key=lambda i: -i[1])]
    extra = join_names(named[:MOST_NAMED])
    return f"{most} has {totals[most]} operators, {least} {totals[least]}: {extra} more"


def operator_times(times: Mapping[str, Sequence[OperatorTime]]) -> str:
    """Say what takes most of the time, and where XNNPACK does not run."""
    timed = {name: held for name, held in times.items() if held}
    if not timed:
        return "No operator is timed"
    first = next(iter(timed))
    slowest = time_by_kind(timed[first])[0]
    who = f"{spell_count(slowest.count, slowest.kind)} {verb(slowest.count, 'takes', 'take')}"
    sentence = f"{who} {formats.percent(slowest.share)} of {first}'s time"
    left = {name: left_share(held) for name, held in timed.items()}
    worst = max(left, key=lambda name: left[name])
    if left[worst] < _LITTLE:
        return f"{sentence}; XNNPACK runs nearly everything in every variant"
    if left[worst] > 1 - _LITTLE:
        return f"{sentence}; {worst} runs without XNNPACK, the fast kernels"
    return (
        f"{sentence}; in {worst}, XNNPACK leaves {formats.percent(left[worst])} to slower kernels"
    )


def ladder(stages: Sequence[Stage], float_limit: float) -> str:
    """Say how far the float steps move the answers, and which variant moves them most."""
    broken = [s.name for s in stages if s.fault == "not_finite"]
    if broken:
        return f"{join_names(broken)} {verb(len(broken), 'answers', 'answer')} NaN or Inf"
    errors = {s.name: s.max_rel_error for s in stages if s.max_rel_error is not None}
    exact = {name: error for name, error in errors.items() if error <= float_limit}
    moved = {name: error for name, error in errors.items() if error > float_limit}
    if not errors:
        return "No step could be checked against the one before"
    if not moved:
        return "Each step answers like the one before"
    most = max(moved, key=lambda name: moved[name])
    steps = "The float steps agree"
    if moved.keys() & _FLOAT_STEPS:
        steps = f"{number(len(exact)).capitalize()} of {len(errors)} steps agree"
    return f"{steps}; {most} deviates most, by {formats.percent(moved[most])} of the largest logit"


def nearest_rank(values: FloatArray, share: float) -> float:
    """Find the smallest value that at least a share, above 0, of all values does not exceed.

    `numpy.percentile` looks for two neighbours and lies between them; for a million values that
    takes six times as long, since numpy finds one fast. NaN is not expected.
    """
    rank = math.ceil(share * values.size) - 1
    return float(np.partition(values, rank, axis=None)[rank])
