"""Android's GPU delegate, by TensorFlow's analyzer, which comes with LiteRT.

The analyzer checks operators by the delegate's own rules; it says itself that a file can still
fail there. As documented, the delegate computes int8 files in floats of 16 bits.
"""

from __future__ import annotations

import re

from engine.portability.records import Answer, LeftOperator, Question, Target, cut_reason, cut_words
from engine.tflite.graph import Graph

_AGAINST = re.compile(r"Op#(\d+) (\w+)\([^\n]*\n(?:[^\n]*\n)??GPU COMPATIBILITY WARNING: ([^\n]*)")
_VERDICT = "looks compatible with GPU delegate"


def ask_analyzer(question: Question) -> Answer:
    """Ask TensorFlow's analyzer which operators the GPU delegate refuses."""
    from ai_edge_litert import _pywrap_analyzer_wrapper as analyzer

    graph = Graph(question.file.read_bytes())
    words = analyzer.ModelAnalyzer(str(question.file), True, True)
    against = {int(at): (name, cut_reason(why)) for at, name, why in _AGAINST.findall(words)}
    left = tuple(
        LeftOperator(name, graph.operators[at].name, why)
        for at, (name, why) in sorted(against.items())
        if at < len(graph.operators)
    )
    verdict = [line for line in words.splitlines() if "GPU" in line]
    if not left and _VERDICT not in words:
        reason = cut_reason(verdict[0]) if verdict else "The analyzer gives no verdict."
        return Answer(support="refused", reason=reason, operators=len(graph.operators))
    whole = len(left) == len(graph.operators)
    return Answer(
        support="refused" if whole else "part" if left else "whole",
        reason=f"{left[0].reason}." if left else "",
        todo="The CPU runs what is left; write it in another way to avoid it." * bool(left),
        left=left,
        operators=len(graph.operators),
        words=cut_words("\n".join(verdict)),
    )


TARGETS = (
    Target(
        name="android-gpu",
        title="Android GPU delegate",
        by="TensorFlow's analyzer",
        how="estimated",
        ask=ask_analyzer,
        package="ai-edge-litert",
        module="ai_edge_litert",
        todo="Install the packages of requirements.txt.",
    ),
)
