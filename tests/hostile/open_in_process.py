"""Open changed files in this very process until one kills it: what the worker is for.

``python -m tests.hostile.open_in_process FOLDER COUNT``; FOLDER holds whole .tflite files. The
number of the file at hand is printed before it is opened.
"""

from __future__ import annotations

import sys
from pathlib import Path
from random import Random

from ai_edge_litert.interpreter import Interpreter

from tests.hostile.mutants import mutant

if __name__ == "__main__":
    whole = [file.read_bytes() for file in sorted(Path(sys.argv[1]).glob("*.tflite"))]
    for number in range(int(sys.argv[2])):
        rng = Random(f"in process {number}")
        data = mutant(rng.choice(whole), rng)
        print(number, flush=True)
        try:
            interpreter = Interpreter(model_content=data, num_threads=1)
            interpreter.allocate_tensors()
            interpreter.invoke()
        except (RuntimeError, ValueError):
            continue
