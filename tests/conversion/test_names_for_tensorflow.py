from __future__ import annotations

from onnx import parser

from engine.conversion.savedmodel_from_onnx import rename_for_tensorflow


def test_names_that_tensorflow_refuses_are_replaced() -> None:
    graph = parser.parse_graph(
        "g (float[1, 3] self, bool c) => (float[1, 3] y)\n"
        "{ y = If(c) <then_branch = t () => (float[1, 3] a) { a = Relu(self) },\n"
        "  else_branch = e () => (float[1, 3] b) { b = Abs(self) }> }"
    )
    inner = graph.node[0].attribute[0].g.node[0]
    graph.node[0].name, inner.name = "层/2 é:0", "/model/layer.1/Relu"
    rename_for_tensorflow(graph)
    assert [value.name for value in graph.input] == ["self/picture", "c"]
    assert list(inner.input) == ["self/picture"]
    assert (graph.node[0].name, inner.name) == ("_/2___0", "/model/layer.1/Relu")
