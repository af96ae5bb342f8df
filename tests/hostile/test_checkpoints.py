"""Checkpoints that lie, and pickles that run code."""

from __future__ import annotations

import io
import json
import pickle
import struct
from contextlib import suppress
from pathlib import Path
from random import Random

import pytest
import torch
from safetensors.torch import save

from engine.core.errors import ModelError
from engine.networks.catalog_network import import_torchvision
from engine.networks.checkpoints import read_checkpoint
from engine.networks.source import ModelChoice
from tests.hostile.mutants import mutant
from tests.hostile.pickles import files
from tests.hostile.reused_worker import ReusedWorker
from tests.hostile.rows import Noted, Row, Scaled
from tests.hostile.source_worker import run_source

pytestmark = pytest.mark.hostile

NETWORK = "squeezenet1_1"


def saved(state: dict[str, torch.Tensor], *, new: bool) -> bytes:
    buffer = io.BytesIO()
    torch.save(state, buffer, _use_new_zipfile_serialization=new)
    return buffer.getvalue()


def lying_safetensors(whole: bytes, rng: Random) -> bytes:
    """A header that says something else than what follows."""
    (length,) = struct.unpack("<Q", whole[:8])
    header = json.loads(whole[8 : 8 + length])
    entry = header[rng.choice([key for key in header if key != "__metadata__"])]
    lie = rng.randrange(6)
    if lie == 0:
        entry["shape"] = [rng.choice((-1, 0, 1 << 40, 1 << 62)), 3]
    elif lie == 1:
        entry["data_offsets"] = rng.choice(([0, 1 << 60], [8, 4], [-4, 4], [0, 2**64], [1, 2]))
    elif lie == 2:
        entry["dtype"] = rng.choice(("F64", "F8_E4M3", "I64", "BOOL", "NONSENSE", "F4"))
    elif lie == 3:
        header["../../etc/passwd"] = dict(entry)
    elif lie == 4:
        entry["shape"] = [*entry["shape"][::-1], 1]
    text = json.dumps(header).encode()
    told = rng.choice((0, 1, 1 << 62, 2**64 - 1, len(text) * 2)) if lie == 5 else len(text)
    return struct.pack("<Q", told) + text + whole[8 + length :]


@pytest.mark.timeout(1200)
def test_changed_checkpoints(
    scaled: Scaled, noted: Noted, tmp_path: Path, workers: ReusedWorker
) -> None:
    row = Row("mutated checkpoints, lying safetensors", scaled(300), noted)
    torch.manual_seed(0)
    state = import_torchvision().models.squeezenet1_1(num_classes=4).state_dict()
    zipped, older, tensors = saved(state, new=True), saved(state, new=False), save(state)
    file = tmp_path / "c.pth"
    choice = ModelChoice(name=NETWORK, checkpoint=str(file))
    for data in (zipped, older, tensors):
        file.write_bytes(data)
        with workers as worker:
            worker.run(run_source, choice)
    for number, rng in row.cases():
        if number % 3 == 0:
            changed = lying_safetensors(tensors, rng)
        else:
            changed = near_the_ends(rng.choice((zipped, older, tensors)), rng)
        file.write_bytes(changed)
        with row.tried(number), workers as worker:
            worker.run(run_source, choice)
    row.check()


def near_the_ends(data: bytes, rng: Random) -> bytes:
    """Change the headers and tables, not the numbers between them."""
    start, end = data[:40_000], data[-20_000:]
    if rng.random() < 0.5:
        start = mutant(start, rng)
    else:
        end = mutant(end, rng)
    return start + data[40_000:-20_000] + end


def test_pickles_that_run_code(scaled: Scaled, noted: Noted, tmp_path: Path) -> None:
    row = Row("pickles that run code", scaled(60), noted)
    marker = tmp_path / "ran"
    found: list[bytes] = []
    for number, rng in row.cases():
        if not found:
            found = files(marker, rng)
        data = found.pop(rng.randrange(len(found)))
        (tmp_path / "c.pth").write_bytes(data)
        with row.tried(number, "refused"), pytest.raises(ModelError) as caught:
            read_checkpoint(tmp_path / "c.pth")
        assert not marker.exists(), number
        told = str(caught.value)
        assert "could run code" in told or "can run code" in told, told
        assert "torch.save(model.state_dict()" in told
    row.check()


@pytest.mark.filterwarnings("ignore")
def test_without_the_defence_they_run(tmp_path: Path) -> None:
    """The attack works with ``weights_only=False``."""
    marker = tmp_path / "ran"
    ran = 0
    for data in files(marker, Random(0)):
        try:
            torch.load(io.BytesIO(data), weights_only=False)
        except Exception:  # it may have run all the same
            with suppress(Exception):
                pickle.loads(data)
        ran += marker.exists()
        marker.unlink(missing_ok=True)
    assert ran >= 40
