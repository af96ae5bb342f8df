"""Sentences about the target that a variant is shipped to, and what it does with each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from engine.comparison.destination import Destination, Fit, Level
from engine.comparison.recommendation import Choice
from engine.core.formats import join_names, verb
from engine.portability.records import Answer, Support, TargetMatrix
from engine.reporting.text.targets import figures_words, on_target
from engine.tflite.artifact import Artifact, has_integers_alone

_LEVELS: dict[Support, Level] = {"whole": "whole", "part": "part", "refused": "refused"}
_RUN = {"whole": ("runs whole", "run whole"), "part": ("runs in part", "run in part")}
_WORSE: dict[Level, str] = {
    "whole": "runs whole there",
    "part": "runs there in part only",
    "unknown": "may not run there: that is not known",
    "refused": "is refused there",
}


def destination_of(matrix: TargetMatrix, artifacts: Sequence[Artifact]) -> Destination:
    """Make the destination of what one target answers about the files of a run.

    Args:
        matrix: Its only target is the one to ship to.
        artifacts: Records of these files.
    """
    (target,) = matrix.targets
    return Destination(
        target=target.name,
        where=on_target(target),
        fits={variant: fit_of(matrix.of(variant, target.name)) for variant in matrix.variants},
        integer_only=tuple(card.variant for card in artifacts if has_integers_alone(card))
        if target.integers
        else None,
    )


def fit_of(answer: Answer) -> Fit:
    """Say in words what a target does with a file, and what it needs and takes there."""
    figures = figures_words(answer)
    if figures:
        sources = dict.fromkeys(f"{figure.how} by {figure.by}" for figure in answer.figures)
        figures = f"{figures} ({'; '.join(sources)})"
    return Fit(
        _LEVELS.get(answer.on_device, "unknown"),
        reason=" ".join(filter(None, (answer.reason, answer.todo)))
        if answer.support == "not_asked"
        else answer.reason,
        left=answer.left_names,
        figures=figures,
    )


def runs_there(choice: Choice, count: int = 1) -> str:
    """Say within a sentence how the eligible variants run on the chosen target; else empty."""
    target = choice.destination
    if target is None or not choice.eligible:
        return ""
    words = _RUN.get(target.fit(choice.eligible[0].variant).level)
    return "" if words is None else f"{verb(count, *words)} {target.where}"


def what_the_target_decides(choice: Choice) -> Iterator[str]:
    """Yield what the chosen target changes about a choice, and what is not known."""
    target = choice.destination
    if target is None:
        return
    if choice.elsewhere is not None:
        name = choice.elsewhere.variant
        yield (
            f"The target decides: otherwise {name} would be taken, which "
            f"{_WORSE[target.fit(name).level]}."
        )
    if choice.taken is None:
        return
    fit = target.fit(choice.taken.variant)
    if fit.level == "unknown":
        yield f"Whether it runs {target.where} is not known. {fit.reason}".strip()
    elif choice.taken.latency_ms is not None and target.target != "cpu":
        yield "Speed was measured on this machine's CPU, not there."


def card_lines(choice: Choice, variants: Sequence[str]) -> tuple[str, ...]:
    """Say what the chosen target does with the variant to take, and why not with another.

    Args:
        choice: The recommendation.
        variants: Names of all that are compared.
    """
    if choice.destination is None:
        return ()
    lines = target_lines(_named(choice), choice.destination)
    integer_only = choice.destination.integer_only
    return lines if integer_only is None else (*lines, _integer_line(variants, integer_only))


def other_lines(choice: Choice, variants: Sequence[str]) -> tuple[str, ...]:
    """Say what the chosen target does with the variants that `card_lines` leaves out."""
    if choice.destination is None:
        return ()
    named = _named(choice)
    rest = [variant for variant in variants if variant not in named]
    return target_lines(rest, choice.destination)


def _named(choice: Choice) -> tuple[str, ...]:
    both = (choice.about, choice.elsewhere)
    return tuple(dict.fromkeys(candidate.variant for candidate in both if candidate is not None))


def target_lines(variants: Sequence[str], destination: Destination) -> tuple[str, ...]:
    """Say of each variant what a target does with it, those of one reason together."""
    names: dict[str, list[str]] = {}
    for variant in variants:
        words = fit_words(destination.fit(variant), destination.where)
        names.setdefault(words, []).append(variant)
    return tuple(f"{join_names(who)}: {words}" for words, who in names.items())


def fit_words(fit: Fit, where: str) -> str:
    """Say behind a variant's name what a target does with it: "refused on ..., and why"."""
    if fit.level == "whole":
        return f"runs whole {where}" + (f": {fit.figures}" if fit.figures else "")
    words = {
        "part": f"runs in part {where}, without {fit.left}",
        "refused": f"refused {where}",
        "unknown": f"not known whether it runs {where}",
    }[fit.level]
    return f"{words}: {fit.reason}" if fit.reason else words


def _integer_line(variants: Sequence[str], integer_only: tuple[str, ...]) -> str:
    names = [variant for variant in variants if variant in integer_only]
    start = "Such a device is made for integer edges and no float operator"
    if not names:
        return f"{start}: no variant here has both"
    return f"{start}: {join_names(names)} {verb(len(names), 'has', 'have')} both"
