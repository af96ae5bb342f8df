from __future__ import annotations

from dataclasses import dataclass

import pytest

from engine.conversion.savedmodel_from_onnx import failing_node


@dataclass
class OnnxNode:
    """Stands for onnx-tf's class of that name."""

    op_type: str
    name: str


def translate(node: OnnxNode) -> None:
    shapes: dict[str, int] = {}
    shapes["x"]


@pytest.mark.parametrize(
    ("node", "found"),
    [(OnnxNode("Resize", "up/1"), "Resize ('up/1')"), (OnnxNode("Resize", ""), "Resize")],
)
def test_the_node_is_named(node: OnnxNode, found: str) -> None:
    with pytest.raises(KeyError) as caught:
        translate(node)
    assert failing_node(caught.value) == found


def test_a_cause_is_looked_at() -> None:
    def wrapped() -> None:
        try:
            translate(OnnxNode("Pad", "p"))
        except KeyError as error:
            raise RuntimeError("elsewhere") from error

    with pytest.raises(RuntimeError) as caught:
        wrapped()
    assert failing_node(caught.value) == "Pad ('p')"


def test_an_error_outside_of_nodes() -> None:
    assert failing_node(ValueError()) is None
