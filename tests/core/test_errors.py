from __future__ import annotations

import copy
import pickle

import pytest

import engine.core.errors as errors
from engine.core.errors import EngineError, UserMistake, error_named


def family(root: type[EngineError]) -> list[type[EngineError]]:
    return [root, *(kind for child in root.__subclasses__() for kind in family(child))]


def test_the_drawn_tree_names_every_class() -> None:
    assert errors.__doc__ is not None
    for kind in family(EngineError):
        assert kind.__name__ in errors.__doc__
        assert error_named(kind.__name__) is kind


def test_an_unknown_name_is_the_root() -> None:
    assert error_named("SystemExit") is EngineError


def test_mistakes_exit_with_2_and_faults_with_3() -> None:
    assert {kind.exit_code for kind in family(UserMistake)} == {2}
    assert {kind.exit_code for kind in set(family(EngineError)) - set(family(UserMistake))} == {3}


def test_a_message_says_all_four_things() -> None:
    error = UserMistake("Reading", got="this", expected="that", todo="Do so.")
    assert str(error) == "Reading: got this; expected that. Do so."


@pytest.mark.parametrize("kind", family(EngineError), ids=lambda kind: kind.__name__)
def test_errors_travel_between_processes(kind: type[EngineError]) -> None:
    error = kind("Reading", got="this", expected="that", todo="Do so.")
    for again in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert type(again) is kind
        assert (again.stage, again.got, again.expected, again.todo) == error.args
        assert again.args == error.args
        assert str(again) == str(error)
