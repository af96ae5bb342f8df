"""ONNX files and zips whose data leads elsewhere, or claims what it does not hold."""

from __future__ import annotations

import io
import os
import socket
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from tests.hostile.onnx_seeds import convolution

Place = dict[str, object]
Attack = Callable[[Path], Path]
"""Writes a file into a folder, and gives its path."""
SECRET = np.arange(5, dtype=np.float32) + 1000
DATA = "model.onnx.data"


def outside(tensor: TensorProto, entries: list[tuple[str, str]]) -> None:
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in entries:
        tensor.external_data.add(key=key, value=value)


def bias(model: onnx.ModelProto) -> TensorProto:
    return next(tensor for tensor in model.graph.initializer if tensor.name == "c")


def model_with(*entries: tuple[str, str], **fields: object) -> onnx.ModelProto:
    """A classifier whose last bias, five numbers, lies outside."""
    model = convolution()
    tensor = bias(model)
    outside(tensor, list(entries))
    for name, value in fields.items():
        if name == "dims":
            del tensor.dims[:]
            tensor.dims.extend(value)  # type: ignore[arg-type]
        else:
            setattr(tensor, name, value)
    return model


def written(folder: Path, model: onnx.ModelProto) -> Path:
    path = folder / "model.onnx"
    path.write_bytes(model.SerializeToString())
    return path


def at(location: str, prepare: Callable[[Path], object] = lambda folder: None) -> Attack:
    """The bias lies at a location."""

    def attack(folder: Path) -> Path:
        (folder.parent / "secret").write_bytes(SECRET.tobytes())
        prepare(folder)
        return written(folder, model_with(("location", location)))

    return attack


def described(*entries: tuple[str, str], size: int = 20, **fields: object) -> Attack:
    """The data is there, and the model says something else of it."""

    def attack(folder: Path) -> Path:
        with (folder / DATA).open("wb") as file:
            file.write(SECRET.tobytes()[:size])
            file.truncate(size)
        return written(folder, model_with(("location", DATA), *entries, **fields))

    return attack


def hidden(where: str) -> Attack:
    """A tensor in another file where a look at the initializers misses it."""

    def attack(folder: Path) -> Path:
        model = convolution()
        tensor = TensorProto(name="h", data_type=TensorProto.FLOAT, dims=[5])
        outside(tensor, [("location", "/etc/hostname")])
        constant = helper.make_node("Constant", [], ["h"], value=tensor)
        inner = helper.make_graph([constant], "inner", [], [])
        if where == "attribute":
            model.graph.node.append(constant)
        elif where == "subgraph":
            model.graph.node.append(helper.make_node("If", ["x"], ["z"], then_branch=inner))
        elif where == "list of graphs":
            node = helper.make_node("Own", ["x"], ["z"])
            node.attribute.append(helper.make_attribute("all", [inner]))
            model.graph.node.append(node)
        elif where == "list of tensors":
            node = helper.make_node("Own", ["x"], ["z"])
            node.attribute.append(helper.make_attribute("all", [tensor]))
            model.graph.node.append(node)
        elif where == "sparse values":
            model.graph.sparse_initializer.add(dims=[9]).values.CopyFrom(tensor)
        elif where == "sparse places":
            sparse = model.graph.sparse_initializer.add(dims=[9])
            sparse.values.CopyFrom(numpy_helper.from_array(SECRET, "v"))
            sparse.indices.CopyFrom(tensor)
        elif where == "function":
            model.functions.add(name="f", domain="d").node.append(constant)
        elif where == "default of a function":
            function = model.functions.add(name="f", domain="d")
            function.attribute_proto.append(helper.make_attribute("t", tensor))
        else:
            model.training_info.add().initialization.initializer.append(tensor)
        return written(folder, model)

    return attack


def zipped(
    entries: dict[str, bytes] | None = None,
    location: str = DATA,
    change: Callable[[bytes], bytes] = lambda content: content,
    method: int = zipfile.ZIP_STORED,
    link: str | None = None,
) -> Attack:
    """A zip of a model with something in it that is not as it should be."""

    def attack(folder: Path) -> Path:
        (folder.parent / "secret").write_bytes(SECRET.tobytes())
        model = model_with(("location", location)).SerializeToString()
        archived = io.BytesIO()
        with zipfile.ZipFile(archived, "w", method) as archive:
            archive.writestr("model.onnx", model)
            for name, content in (entries or {}).items():
                archive.writestr(name, content)
            if link is not None:
                entry = zipfile.ZipInfo(DATA)
                entry.external_attr = (stat.S_IFLNK | 0o777) << 16
                archive.writestr(entry, link)
        path = folder / "model.zip"
        path.write_bytes(change(archived.getvalue()))
        return path

    return attack


def linked(target: str) -> Callable[[Path], object]:
    return lambda folder: (folder / DATA).symlink_to(target)


def listening(folder: Path) -> None:
    """A socket; its path is kept short by binding within the folder."""
    here = os.getcwd()
    os.chdir(folder)
    try:
        with socket.socket(socket.AF_UNIX) as bound:
            bound.bind(DATA)
    finally:
        os.chdir(here)


def linked_folder(folder: Path) -> None:
    (folder.parent / "elsewhere").mkdir(exist_ok=True)
    (folder.parent / "elsewhere" / "w").write_bytes(SECRET.tobytes())
    (folder / "sub").symlink_to(folder.parent / "elsewhere")


def claimed_often(folder: Path) -> Path:
    """Three weights that claim the same GiB."""
    model = convolution()
    for tensor in model.graph.initializer[:3]:
        outside(tensor, [("location", DATA)])
        del tensor.dims[:]
        tensor.dims.append(1 << 28)
    with (folder / DATA).open("wb") as file:
        file.truncate(1 << 30)
    return written(folder, model)


def merged(folder: Path) -> Path:
    """A message that is there in two pieces, which protobuf puts together."""
    tensor = TensorProto(name="h", data_type=TensorProto.FLOAT, dims=[5])
    tensor.external_data.add(key="location", value="/etc/hostname")
    piece = onnx.AttributeProto(name="value", type=onnx.AttributeProto.TENSOR, t=tensor)
    second = onnx.AttributeProto(t=TensorProto(data_location=TensorProto.EXTERNAL))
    both = piece.SerializeToString() + second.SerializeToString()
    attribute = onnx.AttributeProto.FromString(both)
    model = convolution()
    node = onnx.NodeProto(op_type="Constant", output=["h"], attribute=[attribute])
    model.graph.node.append(node)
    content = model.SerializeToString()
    whole = attribute.SerializeToString()
    assert content.count(whole) == 1
    path = folder / "model.onnx"
    path.write_bytes(content)
    return path


def nested(folder: Path) -> Path:
    """A tensor in another file, below more graphs than protobuf's own readers take."""
    tensor = TensorProto(name="h", data_type=TensorProto.FLOAT, dims=[5])
    outside(tensor, [("location", "/etc/hostname")])
    node = field(5, helper.make_attribute("value", tensor).SerializeToString())
    for _ in range(3000):
        node = field(5, field(6, field(1, node)))
    path = folder / "model.onnx"
    path.write_bytes(convolution().SerializeToString() + field(7, field(1, node)))
    return path


def field(number: int, content: bytes) -> bytes:
    """Encode a field that holds bytes, of a protobuf message."""
    size, length = b"", len(content)
    while length > 0x7F:
        size += bytes([length & 0x7F | 0x80])
        length >>= 7
    return bytes([number << 3 | 2]) + size + bytes([length]) + content


def many_files(folder: Path) -> Path:
    model = convolution()
    for number in range(20_000):
        tensor = model.graph.initializer.add(name=f"z{number}", data_type=1, dims=[1])
        outside(tensor, [("location", f"d/{number}")])
    return written(folder, model)


def piped(folder: Path) -> Path:
    os.mkfifo(folder / "model.onnx")
    return folder / "model.onnx"


def endless(folder: Path) -> Path:
    (folder / "model.onnx").symlink_to("/dev/zero")
    return folder / "model.onnx"


def overlapping(content: bytes) -> bytes:
    """Let the second entry begin where the first does."""
    first = content.find(b"PK\x01\x02")
    second = content.find(b"PK\x01\x02", first + 4)
    start = content[first + 42 : first + 46]
    return content[: second + 42] + start + content[second + 46 :]


def renamed(content: bytes) -> bytes:
    """Give the data another name before its bytes than in the list at the end."""
    place = content.find(DATA.encode(), content.find(b"PK\x03\x04", 4))
    return content[:place] + b"model.onnx.datb" + content[place + len(DATA) :]


def locked(content: bytes) -> bytes:
    """Set the flag of a password on every entry."""
    changed = bytearray(content)
    for mark, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        start = changed.find(mark)
        while start >= 0:
            changed[start + place] |= 1
            start = changed.find(mark, start + 4)
    return bytes(changed)


def of_method(number: int) -> Callable[[bytes], bytes]:
    def change(content: bytes) -> bytes:
        changed = bytearray(content)
        for mark, place in ((b"PK\x03\x04", 8), (b"PK\x01\x02", 10)):
            start = changed.find(mark)
            while start >= 0:
                changed[start + place] = number
                start = changed.find(mark, start + 4)
        return bytes(changed)

    return change


GOOD = {DATA: SECRET.tobytes()}

ATTACKS: dict[str, Attack] = {
    "an absolute path": at("/etc/hostname"),
    "the environment of the process": at("/proc/self/environ"),
    "a device": at("/dev/zero"),
    "the folder above": at("../secret"),
    "the folder above, twice around": at("a/../../secret"),
    "down and up": at("sub/../../secret", lambda folder: (folder / "sub").mkdir()),
    "a path with a dot and up": at("./../secret"),
    "a link to a file": at(DATA, linked("../secret")),
    "a link within the folder": at(
        DATA, lambda folder: ((folder / "w").write_bytes(SECRET.tobytes()), linked("w")(folder))
    ),
    "a link to a device": at(DATA, linked("/dev/zero")),
    "a link to nothing": at(DATA, linked("nothing")),
    "a link to itself": at(DATA, linked(DATA)),
    "a link as a folder": at("sub/w", linked_folder),
    "a hard link": at(DATA, lambda folder: (folder / DATA).hardlink_to(folder.parent / "secret")),
    "a pipe": at(DATA, lambda folder: os.mkfifo(folder / DATA)),
    "a socket": at(DATA, listening),
    "a folder": at(DATA, lambda folder: (folder / DATA).mkdir()),
    "a file as a folder": at("model.onnx/w"),
    "no location": lambda folder: written(folder, model_with(("offset", "0"))),
    "an empty location": at(""),
    "the folder itself": at("."),
    "a NUL": at("a\0b"),
    "backslashes": at("..\\secret"),
    "a drive": at("C:secret"),
    "an address": at("file:///etc/hostname"),
    "an endless name": at("a" * 100_000),
    "endless folders": at("a/" * 400 + "w"),
    "a slash at its end": at(DATA + "/"),
    "terminal codes": at("\x1b]0;pwned\x07"),
    "another way to write dots": at("\uff0e\uff0e/secret"),
    "the model as its own data": at("model.onnx"),
    "a location said twice": described(("location", "../secret")),
    "a negative offset": described(("offset", "-4")),
    "an offset behind the end": described(("offset", "4096")),
    "an offset beyond 64 bits": described(("offset", str(2**64))),
    "an offset in words": described(("offset", "zero")),
    "an offset in hexadecimal": described(("offset", "0x10")),
    "an offset in other digits": described(("offset", "\u0661")),
    "an offset with a sign": described(("offset", "+0")),
    "an empty offset": described(("offset", "")),
    "a negative length": described(("length", "-1")),
    "a length beyond the file": described(("length", "40")),
    "a length short of the numbers": described(("length", "8")),
    "a length of thirty digits": described(("length", "9" * 30)),
    "a file that is too short": described(size=16),
    "an empty file": described(size=0),
    "bytes that belong to no weight": described(size=1 << 20),
    "a sparse file of a terabyte": described(size=1 << 40),
    "a checksum of another file": described(("checksum", "0" * 40)),
    "huge dimensions": described(dims=[1 << 40, 1 << 40]),
    "dimensions that overflow to few": described(dims=[1 << 32, 1 << 32, 5]),
    "negative dimensions": described(dims=[-1, -5]),
    "ten thousand dimensions": described(dims=[1 << 62] * 10_000),
    "strings": described(data_type=TensorProto.STRING),
    "a type that is none": described(data_type=99),
    "no type": described(data_type=0),
    "a GiB claimed three times": claimed_often,
    "20,000 files": many_files,
    "3,000 graphs deep": nested,
    "a pipe for a model": piped,
    "a model without an end": endless,
    "a message in two pieces": merged,
    **{
        f"hidden: {where}": hidden(where)
        for where in (
            "attribute",
            "subgraph",
            "list of graphs",
            "list of tensors",
            "sparse values",
            "sparse places",
            "function",
            "default of a function",
            "training",
        )
    },
    "zip: no data": zipped(),
    "zip: data in another folder": zipped({"other/" + DATA: SECRET.tobytes()}),
    "zip: data that is a folder": zipped({DATA + "/": b""}),
    "zip: a name that leads out": zipped({**GOOD, "../x": b"x"}),
    "zip: an absolute name": zipped({**GOOD, "/tmp/x": b"x"}),
    "zip: a drive": zipped({**GOOD, "C:x": b"x"}),
    "zip: the model asks for the folder above": zipped(GOOD, location="../secret"),
    "zip: the model asks for a file beside the zip": zipped(GOOD, location="/etc/hostname"),
    "zip: a link": zipped(link="/etc/hostname"),
    "zip: two models": zipped({**GOOD, "other.onnx": b"x"}),
    "zip: data twice": zipped({**GOOD, "./" + DATA: SECRET.tobytes()}),
    "zip: data of another size": zipped({DATA: b"\1" * 4000}),
    "zip: a bomb": zipped({DATA: bytes(300 << 20)}, method=zipfile.ZIP_DEFLATED),
    "zip: a bomb that nobody asks for": zipped(
        {**GOOD, "x": bytes(300 << 20)}, method=zipfile.ZIP_DEFLATED
    ),
    "zip: a password": zipped(GOOD, change=locked),
    "zip: an unknown method": zipped(GOOD, change=of_method(77)),
    "zip: cut": zipped(GOOD, change=lambda content: content[:-30]),
    "zip: without its list": zipped(GOOD, change=lambda content: content[:200]),
    "zip: a wrong sum": zipped(
        GOOD, change=lambda content: content.replace(SECRET.tobytes(), b"\1" * 20)
    ),
    "zip: a list that claims too much": zipped(
        GOOD, change=lambda content: content[:-12] + b"\xff" * 8 + content[-4:]
    ),
    "zip: entries that overlap": zipped(GOOD, change=overlapping),
    "zip: another name than in its list": zipped(GOOD, change=renamed),
    "zip: a zip within": zipped({"inner.zip": b"PK\x03\x04"}),
}
