from __future__ import annotations

import argparse
import collections
import datetime
import io
import json
import pickle
import struct
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
import torch.nn.utils.prune as prune
from safetensors.torch import save_file, save_model

from engine.core.errors import ModelError, OptionError
from engine.networks.checkpoint_fitting import FittedNetwork, fit_network
from engine.networks.checkpoints import read_checkpoint, sha256_of_checkpoint, state_digest

CLASSES = 7


def build(classes: int) -> torch.nn.Module:
    return torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.ReLU(), torch.nn.Linear(3, classes))


def fitted(file: Path, **options: Any) -> FittedNetwork:
    return fit_network(build, read_checkpoint(file).tensors, "tiny", **options)


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
    found = fitted(tmp_path / "c.pth")
    assert state_digest(found.network.state_dict()) == state_digest(state)
    assert found.network(torch.zeros(1, 4)).shape == (1, CLASSES)
    assert found.notes == ()


def test_safetensors_whatever_the_name(tmp_path: Path, state: Any) -> None:
    save_file(state, tmp_path / "c.pth")
    assert state_digest(fitted(tmp_path / "c.pth").network.state_dict()) == state_digest(state)


def test_what_does_not_fit_is_named(state: Any) -> None:
    without = {key: value for key, value in state.items() if key != "0.bias"}
    with pytest.raises(ModelError, match=r"1 missing: 0\.bias"):
        fit_network(build, without, "tiny")
    with pytest.raises(ModelError, match=r"1 unexpected: 0\.extra\.weight"):
        fit_network(build, state | {"0.extra.weight": torch.zeros(1)}, "tiny")
    with pytest.raises(ModelError, match=r"0\.weight \[5, 4\] instead of \[3, 4\]"):
        fit_network(build, state | {"0.weight": torch.zeros(5, 4)}, "tiny")


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
            read_checkpoint(tmp_path / name)
    assert not marker.exists()
    pickle.loads((tmp_path / "bare.pth").read_bytes())
    assert marker.exists(), "the attack works where the defence is missing"


def test_whole_networks_and_scripts_are_refused(tmp_path: Path) -> None:
    torch.save(build(3), tmp_path / "network.pth")
    with pytest.raises(ModelError, match="could run code"):
        read_checkpoint(tmp_path / "network.pth")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_programs_are_refused_with_the_way_to_convert(tmp_path: Path) -> None:
    torch.jit.save(torch.jit.trace(build(3), torch.zeros(1, 4)), str(tmp_path / "script.pth"))
    with pytest.raises(ModelError, match=r"a TorchScript program.*torch\.jit\.load"):
        read_checkpoint(tmp_path / "script.pth")
    exported = torch.export.export(build(3), (torch.zeros(1, 4),))
    torch.export.save(exported, tmp_path / "program.pt2")
    (tmp_path / "program.pt2").rename(tmp_path / "program.pth")
    with pytest.raises(ModelError, match=r"an exported program.*torch\.export\.load"):
        read_checkpoint(tmp_path / "program.pth")


def test_the_older_format_of_torch_is_read(tmp_path: Path, state: Any) -> None:
    torch.save(state, tmp_path / "c.pth", _use_new_zipfile_serialization=False)
    assert list(read_checkpoint(tmp_path / "c.pth").tensors) == list(state)


def test_claims_that_cost_nothing_are_refused(tmp_path: Path, state: Any) -> None:
    huge = torch.zeros(1).expand(1 << 40, 3)
    torch.save(state | {"2.weight": huge}, tmp_path / "c.pth")
    with pytest.raises(ModelError, match=r"3,298,\d+,\d+,\d+ numbers"):
        read_checkpoint(tmp_path / "c.pth")
    torch.save(state | {"2.weight": torch.eye(3).to_sparse()}, tmp_path / "c.pth")
    with pytest.raises(ModelError, match=r"2\.weight, which is sparse"):
        read_checkpoint(tmp_path / "c.pth")


def test_a_packed_zip_is_refused(tmp_path: Path, state: Any) -> None:
    torch.save(state, tmp_path / "c.pth")
    with (
        zipfile.ZipFile(tmp_path / "c.pth") as plain,
        zipfile.ZipFile(tmp_path / "d.pth", "w", zipfile.ZIP_DEFLATED) as packed,
    ):
        for name in plain.namelist():
            packed.writestr(name, plain.read(name))
    with pytest.raises(ModelError, match="packed entries"):
        read_checkpoint(tmp_path / "d.pth")


@pytest.mark.parametrize(
    "content",
    [b"", b"\x00" * 40, b"random bytes that mean nothing", struct.pack("<Q", 2**62) + b"{}"],
    ids=["empty", "zeros", "text", "lying safetensors header"],
)
def test_damaged_files_are_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "c.pth").write_bytes(content)
    with pytest.raises(ModelError, match=r"Reading the checkpoint c\.pth"):
        read_checkpoint(tmp_path / "c.pth")


def test_an_absent_file_and_a_file_without_tensors(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no file at"):
        read_checkpoint(tmp_path / "nowhere.pth")
    torch.save({"epoch": 3}, tmp_path / "c.pth")
    with pytest.raises(ModelError, match="without a state dict"):
        read_checkpoint(tmp_path / "c.pth")


@pytest.mark.parametrize("newer", [True, False])
def test_data_beside_tensors_is_read_without_its_classes(
    tmp_path: Path, state: Any, newer: bool
) -> None:
    class Settings(dict[str, Any]):
        """Stands for a class of configurations, which is not here when the file is read."""

    Settings.__module__, Settings.__qualname__ = "easydict", "EasyDict"
    data = {
        "best_acc1": np.float64(71.2),
        "random_state": np.arange(3),
        "milestones": collections.Counter([3, 6]),
        "seen": collections.defaultdict(list, {"a": [1]}),
        "date": datetime.datetime(2024, 5, 6),
        "args": argparse.Namespace(model="tiny", output=Path("out"), classes={np.int64(3): "a"}),
    }
    content = {"net": state, **data}
    torch.save(content, tmp_path / "c.pth", _use_new_zipfile_serialization=newer)
    read = read_checkpoint(tmp_path / "c.pth")
    assert read.architecture == "tiny"
    found = fit_network(build, read.tensors, "tiny")
    assert state_digest(found.network.state_dict()) == state_digest(state)
    assert found.notes == ()


def test_tensors_in_lists_and_tuples(tmp_path: Path, state: Any) -> None:
    for content in ((state, 3), [{"epoch": 3}, {"net": state}], {"models": [state]}):
        torch.save(content, tmp_path / "c.pth")
        found = fitted(tmp_path / "c.pth")
        assert state_digest(found.network.state_dict()) == state_digest(state)


def test_a_whole_network_is_refused_with_the_lines_that_save_its_weights(tmp_path: Path) -> None:
    torch.save({"model": build(3), "best": np.float64(1)}, tmp_path / "c.pth")
    with pytest.raises(ModelError, match=r"asks for more than tensors") as caught:
        read_checkpoint(tmp_path / "c.pth")
    told = str(caught.value)
    assert "model = torch.load('c.pth', weights_only=False)" in told
    assert "torch.save(model.state_dict(), 'weights.pth')" in told
    assert "torch.save(model['state_dict'], 'weights.pth')" in told


def test_files_that_people_take_for_checkpoints(tmp_path: Path, state: Any) -> None:
    output = onnx.helper.make_tensor_value_info("y", 1, [1])
    node = onnx.helper.make_node("Identity", ["x"], ["y"])
    graph = onnx.helper.make_graph([node], "g", [output], [output])
    onnx.save(onnx.helper.make_model(graph), tmp_path / "onnx")
    torch.save(state, tmp_path / "c.pth")
    with tarfile.open(tmp_path / "tar", "w") as archive:
        archive.add(tmp_path / "c.pth", "c.pth")
    (tmp_path / "gguf").write_bytes(b"GGUF\x03" + bytes(60))
    (tmp_path / "ggml").write_bytes(b"lmgg" + bytes(60))
    buffer = io.BytesIO()
    np.savez(buffer, a=np.zeros(3))
    (tmp_path / "npz").write_bytes(buffer.getvalue())
    for name, words in {
        "onnx": "an ONNX file.*--onnx onnx",
        "tar": "a tar archive.*Unpack",
        "gguf": "a GGUF file.*the checkpoint that it was made from",
        "ggml": "a ggml file.*the checkpoint that it was made from",
        "npz": "arrays of NumPy",
    }.items():
        with pytest.raises(ModelError, match=words) as caught:
            read_checkpoint(tmp_path / name)
        assert "torch.load" not in str(caught.value)


def prefixed(start: str, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {start + key: tensor for key, tensor in tensors.items()}


@pytest.mark.parametrize("start", ["net.", "backbone.", "encoder.", "student.", "_model.", "a.b."])
def test_any_beginning_of_names_is_taken_off(tmp_path: Path, state: Any, start: str) -> None:
    beside = {"criterion.weight": torch.ones(2), "accuracy.total": torch.ones(1)}
    optimizer = {"state": {0: {"momentum_buffer": torch.ones(3, 4)}}, "param_groups": [{"lr": 1}]}
    content = {"state_dict": prefixed(start, state) | beside, "optimizer": optimizer, "epoch": 3}
    torch.save(content, tmp_path / "c.pth")
    found = fitted(tmp_path / "c.pth")
    assert state_digest(found.network.state_dict()) == state_digest(state)
    (note,) = found.notes
    assert "state_dict.criterion (1)" in note
    assert "state_dict.accuracy (1)" in note
    assert "momentum" not in note
    assert "optimizer" not in note


@pytest.mark.parametrize(
    ("start", "inside"),
    [
        ("module._orig_mod.", ""),
        ("model._orig_mod.", ""),
        ("_orig_mod.module.", ""),
        ("_forward_module.", ""),
        ("", "module."),
        ("", "_orig_mod."),
        ("_fsdp_wrapped_module.", "_fsdp_wrapped_module."),
        ("model.", "_checkpoint_wrapped_module."),
        ("net.module.", "_fsdp_wrapped_module._checkpoint_wrapped_module."),
    ],
)
def test_parts_that_wrappers_put_into_names(state: Any, start: str, inside: str) -> None:
    wrapped = {f"{start}{key[:2]}{inside}{key[2:]}": tensor for key, tensor in state.items()}
    found = fit_network(build, wrapped, "tiny")
    assert state_digest(found.network.state_dict()) == state_digest(state)
    assert found.notes == ()


def test_one_module_alone_in_data_parallel(state: Any) -> None:
    """As PyTorch's ImageNet example wraps the features of AlexNet and VGG."""
    wrapped = {key.replace("0.", "0.module.", 1): tensor for key, tensor in state.items()}
    found = fit_network(build, prefixed("module.", wrapped), "tiny")
    assert state_digest(found.network.state_dict()) == state_digest(state)


@pytest.mark.parametrize("key", ["weights", "params", "model_state", "ema_state_dict"])
def test_weights_under_any_key(tmp_path: Path, state: Any, key: str) -> None:
    torch.save({"run": {key: prefixed("module.", state)}, "step": 7}, tmp_path / "c.pth")
    found = fitted(tmp_path / "c.pth")
    assert state_digest(found.network.state_dict()) == state_digest(state)
    assert found.weights_of is None


def test_a_head_beside_the_rest_as_mmpretrain_writes_it(tmp_path: Path, state: Any) -> None:
    body = {f"backbone.{key}": state[key] for key in state if key.startswith("0.")}
    head = {f"head.{key}": state[key] for key in state if key.startswith("2.")}
    torch.save({"state_dict": body | head, "meta": {"epoch": 1}}, tmp_path / "c.pth")
    found = fitted(tmp_path / "c.pth")
    assert state_digest(found.network.state_dict()) == state_digest(state)
    assert "head.2.weight" in found.notes[0]


@pytest.mark.parametrize(
    ("usual", "average"),
    [
        ("model", "model_ema"),
        ("state_dict", "state_dict_ema"),
        ("online_model", "ema_model"),
        ("net", "averaged"),
    ],
)
def test_of_several_sets_the_average_is_taken_and_named(
    tmp_path: Path, state: Any, usual: str, average: str
) -> None:
    other = {key: tensor + 1 for key, tensor in state.items()}
    torch.save({usual: state, average: prefixed("module.", other)}, tmp_path / "c.pth")
    found = fitted(tmp_path / "c.pth")
    assert state_digest(found.network.state_dict()) == state_digest(other)
    assert found.weights_of == f"{average}.module"
    assert f"--weights-of '{usual}'" in found.notes[0]
    chosen = fitted(tmp_path / "c.pth", weights_of=usual)
    assert state_digest(chosen.network.state_dict()) == state_digest(state)
    again = fitted(tmp_path / "c.pth", weights_of=found.weights_of)
    assert state_digest(again.network.state_dict()) == state_digest(other)
    with pytest.raises(OptionError, match="--weights-of NAME"):
        fitted(tmp_path / "c.pth", weights_of="elsewhere")


def test_what_timms_training_script_writes_is_read(tmp_path: Path, state: Any) -> None:
    arguments = argparse.Namespace(model="tiny", lr=0.1, mean=(0.5, 0.5))
    content = {"epoch": 3, "arch": "tiny", "state_dict": state, "args": arguments, "metric": 71.2}
    for newer in (True, False):
        torch.save(content, tmp_path / "c.pth", _use_new_zipfile_serialization=newer)
        read = read_checkpoint(tmp_path / "c.pth")
        assert read.architecture == "tiny"
        found = fit_network(build, read.tensors, "tiny")
        assert state_digest(found.network.state_dict()) == state_digest(state)


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float64])
def test_other_types_of_numbers_are_cast_and_named(tmp_path: Path, state: Any, kind: Any) -> None:
    torch.save({key: tensor.to(kind) for key, tensor in state.items()}, tmp_path / "c.pth")
    found = fitted(tmp_path / "c.pth")
    (note,) = found.notes
    assert str(kind).removeprefix("torch.") in note
    for key, tensor in found.network.state_dict().items():
        assert tensor.dtype == torch.float32
        assert torch.equal(tensor, state[key].to(kind).float())


class Classifier(torch.nn.Module):
    def __init__(self, classes: int = CLASSES) -> None:
        super().__init__()
        self.conv = torch.nn.Conv2d(3, 4, 3)
        self.pos_embed = torch.nn.Parameter(torch.zeros(1, 9, 4))
        self.fc = torch.nn.Linear(4, classes)


def refused(state: dict[str, torch.Tensor], **options: Any) -> str:
    with pytest.raises(ModelError) as caught:
        fit_network(Classifier, state, "classifier", **options)
    return str(caught.value)


def test_only_the_head_differs() -> None:
    network = Classifier()
    network.fc = torch.nn.Sequential(torch.nn.Dropout(), torch.nn.Linear(4, CLASSES))  # type: ignore[assignment]
    told = refused(prefixed("module.", network.state_dict()))
    assert "a head of its own, 2 tensors: module.fc.1.weight, module.fc.1.bias" in told
    assert "torch.onnx.export" in told
    assert "engine.convert(network)" in told
    network.fc = torch.nn.Linear(8, CLASSES)
    assert "a head of its own" in refused(network.state_dict())


def test_the_first_convolution_takes_other_pictures() -> None:
    network = Classifier()
    network.conv = torch.nn.Conv2d(1, 4, 3)
    told = refused(network.state_dict())
    assert "conv.weight for pictures of 1 channel instead of 3" in told
    assert "torch.zeros(1, 1, height, width)" in told


def test_files_without_the_weights_of_a_network(tmp_path: Path) -> None:
    network = Classifier()
    optimizer = torch.optim.AdamW(network.parameters())
    network.fc(torch.ones(4)).sum().backward()
    optimizer.step()
    torch.save({"optimizer": optimizer.state_dict()}, tmp_path / "c.pth")
    told = refused(read_checkpoint(tmp_path / "c.pth").tensors)
    assert "6 tensors of an optimizer's state alone: optimizer.state." in told
    adapters = {"base_model.model.fc.lora_A.weight": torch.zeros(2, 4)}
    assert "model.merge_and_unload()" in refused(adapters)
    observers = {"conv.weight_fake_quant.scale": torch.ones(1)}
    assert "observers of training for quantization" in refused(network.state_dict() | observers)


def test_the_same_network_under_names_of_another_library() -> None:
    names = {"conv": "stem.0", "pos_embed": "position", "fc": "head"}
    state = {
        names[key.partition(".")[0]] + key[key.find(".") :] * ("." in key): tensor
        for key, tensor in Classifier().state_dict().items()
    }
    state["head.weight"] = state["head.weight"][..., None, None]
    told = refused(state, architecture="resnet50")
    assert "Every shape is there under another name" in told
    assert "torch.onnx.export" in told


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_weights_that_a_utility_of_torch_has_rewritten() -> None:
    network = Classifier()
    prune.l1_unstructured(network.conv, "weight", 0.5)
    assert "prune.remove(module, 'weight')" in refused(network.state_dict())
    network = Classifier()
    torch.nn.utils.weight_norm(network.conv)
    assert "remove_weight_norm(module)" in refused(network.state_dict())
    network = Classifier()
    torch.nn.utils.parametrizations.weight_norm(network.conv)
    assert "remove_parametrizations(module, 'weight')" in refused(network.state_dict())


def test_another_input_size_and_another_network_are_told() -> None:
    state = Classifier().state_dict()
    told = refused(state | {"pos_embed": torch.zeros(1, 16, 4)})
    assert "--input-size" in told
    del state["conv.weight"]
    assert "the checkpoint names: 'resnet50'" in refused(state, architecture="resnet50")


def shards(folder: Path, state: dict[str, torch.Tensor]) -> Path:
    names = {key: f"model-0000{number}-of-00002.safetensors" for number, key in enumerate(state)}
    for key, name in names.items():
        save_file({key: state[key]}, folder / name)
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {}, "weight_map": names}))
    return index


def test_several_files_with_their_index(tmp_path: Path, state: Any) -> None:
    index = shards(tmp_path, state)
    for path in (index, tmp_path):
        assert state_digest(fitted(path).network.state_dict()) == state_digest(state)
    before = sha256_of_checkpoint(tmp_path)
    assert before == sha256_of_checkpoint(index)
    save_file({"0.bias": torch.zeros(3)}, tmp_path / "model-00001-of-00002.safetensors")
    assert sha256_of_checkpoint(index) != before


def test_one_of_several_files_and_a_folder_of_torch_distributed(tmp_path: Path, state: Any) -> None:
    save_file(state, tmp_path / "model-00001-of-00001.safetensors")
    assert read_checkpoint(tmp_path / "model-00001-of-00001.safetensors").tensors.keys() == {*state}
    save_file(state, tmp_path / "model-00001-of-00002.safetensors")
    with pytest.raises(ModelError, match=r"one of several files.*Give its index"):
        read_checkpoint(tmp_path / "model-00001-of-00002.safetensors")
    (tmp_path / ".metadata").touch()
    with pytest.raises(ModelError, match="dcp_to_torch_save"):
        read_checkpoint(tmp_path)


def test_tensors_that_share_their_numbers_in_a_safetensors_file(tmp_path: Path) -> None:
    class Tied(Classifier):
        def __init__(self, classes: int = CLASSES) -> None:
            super().__init__(classes)
            self.fc2 = self.fc

    network = Tied()
    save_model(network, str(tmp_path / "c.safetensors"))
    found = fit_network(Tied, read_checkpoint(tmp_path / "c.safetensors").tensors, "tied")
    assert state_digest(found.network.state_dict()) == state_digest(network.state_dict())


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("../model.safetensors", "the file name"),
        ("/etc/passwd.safetensors", "the file name"),
        ("a\\b.safetensors", "the file name"),
        ("c:m.safetensors", "the file name"),
        (".hidden.safetensors", "the file name"),
        ("model.pth", "the file name"),
        ("absent.safetensors", "no file where it names"),
        ("linked.safetensors", "a link where it names"),
    ],
)
def test_an_index_cannot_lead_out_of_its_folder(
    tmp_path: Path, state: Any, name: str, why: str
) -> None:
    folder = tmp_path / "checkpoint"
    folder.mkdir()
    save_file(state, tmp_path / "model.safetensors")
    (folder / "linked.safetensors").symlink_to(tmp_path / "model.safetensors")
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"0.weight": name}}))
    with pytest.raises(ModelError, match=why):
        read_checkpoint(index)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"weight_map": []}', "[" * 100_000])
def test_an_index_that_is_none_is_refused(tmp_path: Path, content: str) -> None:
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(content)
    with pytest.raises(ModelError, match="Reading the checkpoint"):
        read_checkpoint(index)


def test_dicts_that_hold_themselves_and_endless_names_are_harmless(
    tmp_path: Path, state: Any
) -> None:
    content: dict[str, Any] = {"model": state, "again": state}
    content["self"] = content
    torch.save(content, tmp_path / "c.pth")
    assert len(read_checkpoint(tmp_path / "c.pth").tensors) == len(state)
    torch.save({"k" * 5000: state}, tmp_path / "c.pth")
    with pytest.raises(ModelError, match="a name of"):
        read_checkpoint(tmp_path / "c.pth")
