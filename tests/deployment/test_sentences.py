from __future__ import annotations

import numpy as np
import pytest

from engine.deployment.documents import deploy_headline, kit_sentence, phone_sentence
from engine.deployment.phone import PhoneBenchmark, PhoneTiming
from tests.helpers.factories import LOGITS, comparison, latency


@pytest.mark.parametrize(
    ("size", "said"),
    [
        (5_250_464, "Take int8 to a phone: 5.3\xa0MB, 3.5\xa0× smaller than float32"),
        (18_544_552, "Take int8 to a phone: 18.5\xa0MB, as large as float32"),
        (37_000_000, "Take int8 to a phone: 37.0\xa0MB"),
    ],
)
def test_the_headline_tells_the_size(size: int, said: str) -> None:
    assert deploy_headline("int8", size, 18_544_552) == said


def test_how_close_it_is() -> None:
    other, broken = LOGITS.copy(), LOGITS.copy()
    other[0] = other[0, ::-1]
    broken[1] = np.nan
    found = comparison({"same": LOGITS, "other": other, "broken": broken})
    assert kit_sentence(found, "same").startswith("It answers like the original on all 3 pictures")
    assert kit_sentence(found, "other").startswith("It answers like the original on 2 of 3 pic")
    assert "do not ship it" in kit_sentence(found, "broken")
    blamed = comparison({"original": broken, "same": LOGITS})
    assert kit_sentence(blamed, "same").startswith("It answers like the original on 2 of 3 pic")
    one = comparison({"same": LOGITS[:1]})
    assert "on 1 of 1 picture (" in kit_sentence(one, "same")


def timed(variant: str, phone: str, mean_ms: float) -> PhoneBenchmark:
    return PhoneBenchmark(variant, phone, PhoneTiming(mean_ms), "2026-01-01T00:00:00", phone)


@pytest.mark.parametrize(
    ("mean", "said"),
    [
        (10.0, "int8 takes 10.0\xa0ms on A, 2.0\xa0× the 5.0\xa0ms on this machine"),
        (2.5, "int8 takes 2.5\xa0ms on A, 2.0\xa0× faster than the 5.0\xa0ms on this machine"),
        (5.1, "int8 takes 5.1\xa0ms on A, much like the 5.0\xa0ms on this machine"),
    ],
)
def test_the_phone_beside_this_machine(mean: float, said: str) -> None:
    phones = (timed("int8", "A", mean), timed("int8", "B", 90.0), timed("float32", "C", 0.1))
    assert phone_sentence("int8", phones, latency({"int8": 5.0})) == said


def test_without_one_of_the_two() -> None:
    phones = (timed("int8", "A", 10.0),)
    assert phone_sentence("uint8", phones, None) is None
    said = phone_sentence("int8", phones, latency({"float32": 5.0}))
    assert said == "int8 takes 10.0\xa0ms on A; this machine has not timed it"
