"""Conversions of a tiny network by the command line, in processes that can be killed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from engine.core.store import HOME_VARIABLE

ROOT = Path(__file__).parent.parent.parent
VARIANTS = "float32,int8"


@dataclass(frozen=True, slots=True)
class Terminal:
    """A person at a command line.

    Attributes:
        model: The ONNX file to convert.
        home: The store.
    """

    model: Path
    home: Path

    @property
    def runs(self) -> Path:
        return self.home / "runs"

    def start(self) -> subprocess.Popen[str]:
        """Begin a conversion."""
        return self._engine(
            "convert",
            *("--onnx", str(self.model), "--variants", VARIANTS, "--calibration-count", "4"),
        )

    def convert(self) -> tuple[int, str]:
        """Convert; give the exit code and what was said."""
        process = self.start()
        said, _ = process.communicate(timeout=300)
        return process.returncode, said

    def verify(self) -> list[dict[str, object]]:
        """What ``store verify`` finds."""
        said, _ = self._engine("store", "verify", "--json", "-").communicate(timeout=60)
        found: list[dict[str, object]] = json.loads(said[said.index("[") :])
        return found

    def visible(self) -> list[str]:
        """Folders of runs that anybody could take for whole."""
        if not self.runs.is_dir():
            return []
        return sorted(p.name for p in self.runs.iterdir() if not p.name.startswith("."))

    def hidden(self) -> list[str]:
        """Side folders."""
        if not self.runs.is_dir():
            return []
        return sorted(p.name for p in self.runs.iterdir() if p.name.startswith("."))

    def digests(self) -> dict[str, str]:
        """SHA-256 of every TFLite file, and of the ONNX file, of the only run."""
        (name,) = self.visible()
        manifest = json.loads((self.runs / name / "manifest.json").read_text())
        found = {card["file"]: card["sha256"] for card in manifest["artifacts"]}
        return found | {"model.onnx": manifest["files"]["model.onnx"]["sha256"]}

    def _engine(self, *words: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "engine", *words],
            cwd=ROOT,
            env=os.environ | {HOME_VARIABLE: str(self.home), "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
