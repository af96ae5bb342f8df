"""SwiftShader, a GPU in software that comes with Chromium, for LiteRT's WebGPU accelerator."""

from __future__ import annotations

from pathlib import Path

import pytest

_FOLDERS = ("/usr/lib/chromium", "/usr/lib/chromium-browser", "/opt/google/chrome")
_DRIVER = "vk_swiftshader_icd.json"


def use_software_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let Vulkan find SwiftShader alone; skip the test where there is none."""
    for folder in map(Path, _FOLDERS):
        if (folder / _DRIVER).is_file() and (folder / "libvulkan.so.1").is_file():
            monkeypatch.setenv("VK_ICD_FILENAMES", str(folder / _DRIVER))
            monkeypatch.delenv("VK_DRIVER_FILES", raising=False)
            monkeypatch.setenv("LD_LIBRARY_PATH", str(folder))
            return
    pytest.skip("SwiftShader, which comes with Chromium, is not on this machine")


def use_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let Vulkan find no driver."""
    monkeypatch.setenv("VK_ICD_FILENAMES", "/nowhere/at_all.json")
    monkeypatch.setenv("VK_DRIVER_FILES", "/nowhere/at_all.json")
