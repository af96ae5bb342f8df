"""The converters side by side, and where their environments and files are."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.attempts import Prepared

ROOT = Path(__file__).resolve().parent.parent

MODELS = (
    "mobilenet_v2",
    "mobilenet_v3_small",
    "mobilenet_v3_large",
    "efficientnet_lite0",
    "efficientnet_b0",
    "regnet_y_400mf",
    "resnet18",
    "resnet50",
    "shufflenet_v2_x1_0",
    "densenet121",
    "squeezenet1_1",
    "googlenet",
    "convnext_tiny",
    "swin_t",
    "vit_b_16",
)


def add_content(digest: hashlib._Hash, paths: Iterable[Path]) -> None:
    """Add files, and the Python files under folders, to a digest."""
    for path in paths:
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            digest.update(file.read_bytes())


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """One converter.

    Attributes:
        name: Its name.
        module: What to run in its environment.
        python: Its environment's interpreter.
        requirements: Files that its environment is pinned to.
        sources: Files and folders whose change makes its earlier files stale.
        shown_versions: Packages whose versions a reader wants to know.
    """

    name: str
    module: str
    python: Path
    requirements: tuple[Path, ...]
    sources: tuple[Path, ...]
    shown_versions: tuple[str, ...]

    def key(self, prepared: Prepared) -> str:
        """Digest of everything that its files depend on."""
        digest = hashlib.sha256(f"{prepared.weights_sha256} {prepared.opset}".encode())
        add_content(digest, (*self.requirements, *self.sources))
        return digest.hexdigest()

    def versions(self) -> dict[str, str]:
        """Versions of `shown_versions`, as pinned."""
        pins = {}
        for file in self.requirements:
            for line in file.read_text().splitlines():
                name, pinned, version = line.partition("#")[0].strip().partition("==")
                if pinned and name in self.shown_versions:
                    pins[name] = version
        return pins


def _peer(name: str, shown_versions: tuple[str, ...]) -> Tool:
    module = name.replace("-", "_")
    return Tool(
        name=name,
        module=f"benchmarks.peers.{module}",
        python=ROOT / f".venv-bench-{name}" / "bin" / "python",
        requirements=(ROOT / "benchmarks" / f"requirements-{name}.txt",),
        sources=(ROOT / "benchmarks" / "peers" / f"{module}.py",),
        shown_versions=shown_versions,
    )


OURS = Tool(
    name="ours",
    module="benchmarks.ours",
    python=Path(sys.executable),
    requirements=(ROOT / "requirements.txt", ROOT / "requirements-no-deps.txt"),
    sources=(
        ROOT / "benchmarks" / "ours.py",
        ROOT / "engine" / "conversion.py",
        ROOT / "engine" / "converters",
    ),
    shown_versions=("torch", "torchvision", "onnx", "onnx-tf", "tensorflow", "ai-edge-litert"),
)
PEERS = (
    _peer("litert-torch", ("litert-torch", "litert-quantizer", "ai-edge-litert", "torch")),
    _peer("onnx2tf", ("onnx2tf", "onnx", "ai-edge-litert")),
)
TOOLS = (OURS, *PEERS)
