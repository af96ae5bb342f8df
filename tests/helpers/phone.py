"""An ``adb`` that plays one phone: its files lie in a folder, its shell is ``sh``."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

# As the real one does, it joins what follows "shell" by spaces for the phone's shell.
_SCRIPT = """#!/bin/sh
home="{home}"
if [ "$1" = devices ]; then cat "$home/devices"; exit 0; fi
echo "$@" >> "$home/calls"
[ "$1" = -s ] && shift 2
case "$1" in
push)
  [ -e "$home/full" ] && {{ echo "adb: error: failed to copy: No space left on device"; exit 1; }}
  cp "$2" "$home/files/$3" ;;
shell)
  shift
  command=$(echo "$*" | sed "s:/data/local/tmp:$home/files/data/local/tmp:g")
  exec sh -c "$command" ;;
esac
"""
PROGRAM = """#!/bin/sh
for word in "$@"; do
  case "$word" in --graph=*) graph="${word#--graph=}" ;; esac
done
[ -f "$graph" ] || { echo "ERROR: Failed to load $graph"; exit 1; }
echo "INFO: Graph: [$graph]"
echo "INFO: Num threads: [1]"
echo "INFO: count=80 first=12010 curr=11990 min=11800 max=13000 avg=12034.5 std=210 median=11990"
echo "INFO: Inference timings in us: Init: 34100, First inference: 14000, Inference (avg): 12034.5"
echo "INFO: Memory footprint delta from the start of the tool (MB): init=5.25 overall=9.5"
"""
ONE = "List of devices attached\nR58M usb:1-1 product:p model:Pixel_9 device:d\n"


def plug_in(
    folder: Path, monkeypatch: pytest.MonkeyPatch, devices: str = ONE.replace("usb", "device usb")
) -> Path:
    """Put the stand-in on the path; return the folder of the phone."""
    home, bin_folder = folder / "phone", folder / "bin"
    (home / "files" / "data" / "local" / "tmp").mkdir(parents=True)
    (home / "devices").write_text(devices)
    bin_folder.mkdir()
    script = bin_folder / "adb"
    script.write_text(_SCRIPT.format(home=home))
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{bin_folder}:{os.environ['PATH']}")
    return home


def left_on(home: Path) -> list[Path]:
    """What lies in the phone's folder for temporary files."""
    return list((home / "files" / "data" / "local" / "tmp").iterdir())
