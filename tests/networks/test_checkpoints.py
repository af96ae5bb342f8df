from __future__ import annotations

import pickle
import struct
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from engine.errors import ModelError
from engine.networks.checkpoints import fitted_network, read_state_dict, state_digest

CLASSES = 7


def build(classes: int) -> torch.nn.Module:
    return torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.ReLU(), torch.nn.Linear(3, classes))


@pytest.fixture
def state() -> dict[str, torch.Tensor]:
    torch.manual_seed(1)
    return build(CLASSES).state_dict()


@pytest.mark.parametrize(
    "wrap",
    [
        lambda s: s,
        lambda s: {"state_dict": s, "epoch": 3},
        lambda s: {"model": s},
        lambda s: {"model": {"state_dict": s}},
        lambda s: {f"module.{key}": value for key, value in s.items()},
        lambda s: {"state_dict": {f"module.{key}": value for key, value in s.items()}},
    ],
)
def test_wrappings_are_recognised(tmp_path: Path, state: Any, wrap: Any) -> None:
    torch.save(wrap(state), tmp_path / "c.pth")
    found = read_state_dict(tmp_path / "c.pth")
    assert list(found) == list(state)
    network = fitted_network(build, found, "tiny")
    assert network(torch.zeros(1, 4)).shape == (1, CLASSES)


def test_safetensors_whatever_the_name(tmp_path: Path, state: Any) -> None:
    save_file(state, tmp_path / "c.pth")
    found = read_state_dict(tmp_path / "c.pth")
    one, other = (fitted_network(build, kept, "tiny").state_dict() for kept in (found, state))
    assert state_digest(one) == state_digest(other)


def test_what_does_not_fit_is_named(state: Any) -> None:
    without = {key: value for key, value in state.items() if key != "0.bias"}
    with pytest.raises(ModelError, match=r"1 missing: 0\.bias"):
        fitted_network(build, without, "tiny")
    with pytest.raises(ModelError, match=r"1 unexpected: extra\.weight"):
        fitted_network(build, state | {"extra.weight": torch.zeros(1)}, "tiny")
    with pytest.raises(ModelError, match=r"0\.weight \[5, 4\] instead of \[3, 4\]"):
        fitted_network(build, state | {"0.weight": torch.zeros(5, 4)}, "tiny")


class Command:
    """A pickle that would touch a file when opened."""

    def __init__(self, marker: Path) -> None:
        self._marker = marker

    def __reduce__(self) -> Any:
        return Path.touch, (self._marker,)


def test_code_is_never_run(tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    (tmp_path / "bare.pth").write_bytes(pickle.dumps(Command(marker)))
    torch.save({"state_dict": Command(marker)}, tmp_path / "zipped.pth")
    for name in ("bare.pth", "zipped.pth"):
        with pytest.raises(ModelError, match=r"asks for more than tensors \(.*pathlib\."):
            read_state_dict(tmp_path / name)
    assert not marker.exists()
    pickle.loads((tmp_path / "bare.pth").read_bytes())
    assert marker.exists(), "the attack works where the defence is missing"


def test_whole_networks_and_scripts_are_refused(tmp_path: Path) -> None:
    torch.save(build(3), tmp_path / "network.pth")
    with pytest.raises(ModelError, match="could run code"):
        read_state_dict(tmp_path / "network.pth")


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_programs_are_refused_with_the_way_to_convert(tmp_path: Path) -> None:
    torch.jit.save(torch.jit.trace(build(3), torch.zeros(1, 4)), str(tmp_path / "script.pth"))
    with pytest.raises(ModelError, match=r"a TorchScript program.*torch\.jit\.load"):
        read_state_dict(tmp_path / "script.pth")
    exported = torch.export.export(build(3), (torch.zeros(1, 4),))
    torch.export.save(exported, tmp_path / "program.pt2")
    (tmp_path / "program.pt2").rename(tmp_path / "program.pth")
    with pytest.raises(ModelError, match=r"an exported program.*torch\.export\.load"):
        read_state_dict(tmp_path / "program.pth")


def test_the_older_format_of_torch_is_read(tmp_path: Path, state: Any) -> None:
    torch.save(state, tmp_path / "c.pth", _use_new_zipfile_serialization=False)
    assert list(read_state_dict(tmp_path / "c.pth")) == list(state)


def test_claims_that_cost_nothing_are_refused(tmp_path: Path, state: Any) -> None:
    huge = torch.zeros(1).expand(1 << 40, 3)
    torch.save(state | {"2.weight": huge}, tmp_path / "c.pth")
    with pytest.raises(ModelError, match=r"3,298,\d+,\d+,\d+ numbers"):
        read_state_dict(tmp_path / "c.pth")
    torch.save(state | {"2.weight": torch.eye(3).to_sparse()}, tmp_path / "c.pth")
    with pytest.raises(ModelError, match=r"2\.weight, which is sparse"):
        read_state_dict(tmp_path / "c.pth")


def test_a_packed_zip_is_refused(tmp_path: Path, state: Any) -> None:
    torch.save(state, tmp_path / "c.pth")
    with (
        zipfile.ZipFile(tmp_path / "c.pth") as plain,
        zipfile.ZipFile(tmp_path / "d.pth", "w", zipfile.ZIP_DEFLATED) as packed,
    ):
        for name in plain.namelist():
            packed.writestr(name, plain.read(name))
    with pytest.raises(ModelError, match="packed entries"):
        read_state_dict(tmp_path / "d.pth")


@pytest.mark.parametrize(
    "content",
    [b"", b"\x00" * 40, b"random bytes that mean nothing", struct.pack("<Q", 2**62) + b"{}"],
    ids=["empty", "zeros", "text", "lying safetensors header"],
)
def test_damaged_files_are_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "c.pth").write_bytes(content)
    with pytest.raises(ModelError, match=r"Reading the checkpoint c\.pth"):
        read_state_dict(tmp_path / "c.pth")


def test_an_absent_file_and_a_file_without_tensors(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no file at"):
        read_state_dict(tmp_path / "nowhere.pth")
    torch.save({"epoch": 3}, tmp_path / "c.pth")
    with pytest.raises(ModelError, match="without a state dict"):
        read_state_dict(tmp_path / "c.pth")
