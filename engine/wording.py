"""Numbers of things and lists of names, as they stand in a sentence."""

from __future__ import annotations

from collections.abc import Sequence

_WORDS = ("No", "One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight", "Nine")


def counted(count: int, thing: str) -> str:
    """A number of things at the start of a sentence: "One picture", "14 pictures"."""
    return f"{number(count).capitalize()} {thing}{'' if count == 1 else 's'}"


def number(count: int) -> str:
    """A number within a sentence: a word below ten, digits from there on."""
    return _WORDS[count].lower() if count < len(_WORDS) else str(count)


def listed(names: Sequence[str]) -> str:
    """Names in a sentence: "a, b and c"."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def batch_note(what: str, batch: int, *, depends: bool) -> str:
    """What to know of a model that takes several pictures at once.

    Args:
        what: The model, at the start of the sentence.
        batch: How many it takes.
        depends: Whether it answers by the other pictures of a call, too.
    """
    note = (
        f"{what} takes {batch} pictures at once. Pictures go through it one at a time, each in all "
        f"{batch} places, so that a latency is that of {batch} pictures."
    )
    if depends:
        note += (
            " It answers a picture by the others of the same call, or by its place among them, so "
            "an app that gives it different pictures at once gets other answers."
        )
    return note


def all_of(count: int, thing: str) -> str:
    """Every one of some things: "all 14 pictures", "the one picture"."""
    return f"the one {thing}" if count == 1 else f"all {count} {thing}s"
