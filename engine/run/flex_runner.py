"""Run TFLite files that hold operators of TensorFlow itself (SELECT_TF, "Flex")."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from engine.run.tflite_runner import TfliteRunner
from engine.types import Artifact


class FlexRunner(TfliteRunner):
    """Runs a TFLite file with TensorFlow's interpreter, which LiteRT's own cannot."""

    def make_interpreter(self, file: Path, threads: int) -> Any:
        import tensorflow as tf

        return tf.lite.Interpreter(str(file), num_threads=threads)


def runner_for(artifact: Artifact, file: Path, *, threads: int = 1) -> TfliteRunner:
    """The runner that a file's operators need.

    Args:
        artifact: Its identity card.
        file: Where it is.
        threads: Threads of the interpreter.

    Returns:
        A runner, not yet entered.
    """
    needs_flex = any(name.startswith("Flex") for name in artifact.operators)
    kind = FlexRunner if needs_flex else TfliteRunner
    return kind(file, layout=artifact.layout, threads=threads)
