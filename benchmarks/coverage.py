"""Convert torchvision's classification models and 60 of timm's, and write docs/coverage.md.

``make coverage`` converts all, small ones first; ``make coverage MODELS=resnet18,swin_t`` some, and
then prints the table instead. Every row is kept in benchmarks/coverage.json as soon as it is made.
What was tried with the same converter is not tried again, so that it can be stopped and
resumed; ``--missing`` also keeps rows of an earlier one, ``--again`` keeps none.

Each model is converted in a process of its own with a time limit, and its files are deleted.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import click
import msgspec
import numpy as np

from benchmarks.coverage_table import Row, as_markdown
from benchmarks.tools import ROOT, add_content
from engine import api
from engine.comparison.metrics import sqnr_db
from engine.core.errors import EngineError, MissingVariantWarning
from engine.core.parity import hop_errors
from engine.core.system import host_name, versions
from engine.core.types import FAULT_WORDS
from engine.networks.catalog_network import CatalogEntry, import_timm
from engine.networks.source import DEFAULT_MODEL
from engine.networks.timm_networks import PREFIX, network_named
from engine.runs.run import WORK, Run

PAGE = ROOT / "docs" / "coverage.md"
RECORD = ROOT / "benchmarks" / "coverage.json"
BUILD = ROOT / "build" / "coverage"
CONVERTER = (
    ROOT / "requirements.txt",
    ROOT / "requirements-no-deps.txt",
    *(
        ROOT / "engine" / name
        for name in (
            "comparison",
            "conversion",
            "images",
            "networks",
            "quantization",
            "tflite",
        )
    ),
)
"""What makes the files of a row and checks them."""
TIMM = (
    "starnet_s050",
    "dla46x_c",
    "mobilevit_xxs",
    "edgenext_xx_small",
    "mobilenetv3_small_050",
    "mobilenetv2_035",
    "ese_vovnet19b_slim_dw",
    "tinynet_e",
    "mobilenetv4_conv_small_050",
    "repghostnet_050",
    "efficientvit_m0",
    "ghostnet_050",
    "regnetx_002",
    "xcit_nano_12_p16_224",
    "regnety_002",
    "cs3darknet_s",
    "efficientvit_b0",
    "swiftformer_xs",
    "efficientformerv2_s0",
    "pvt_v2_b0",
    "convnext_atto",
    "convnextv2_atto",
    "fasternet_t0",
    "fastvit_t8",
    "mixnet_s",
    "inception_next_atto",
    "pit_ti_224",
    "rexnetr_100",
    "hardcorenas_a",
    "mobileone_s0",
    "repvit_m0_9",
    "eva02_tiny_patch14_224",
    "convit_tiny",
    "vit_tiny_patch16_224",
    "coat_lite_tiny",
    "gmlp_ti16_224",
    "deit_tiny_distilled_patch16_224",
    "hgnetv2_b0",
    "ghostnetv2_100",
    "shvit_s1",
    "crossvit_tiny_240",
    "mambaout_femto",
    "maxvit_pico_rw_256",
    "levit_128s",
    "densenet121",
    "nf_regnet_b0",
    "dpn48b",
    "visformer_tiny",
    "seresnext26ts",
    "resnest14d",
    "resnet18",
    "poolformerv2_s12",
    "skresnet18",
    "gcvit_xxtiny",
    "tiny_vit_5m_224",
    "efficientformer_l1",
    "halonet26t",
    "hrnet_w18_small",
    "efficientnet_cc_b0_4e",
    "nest_tiny",
)
"""A small architecture of each of many families of timm; no two are of one size."""
CALIBRATION_COUNT = 4
_PACKAGES = ("torch", "torchvision", "timm", "onnx", "onnx-tf", "tensorflow", "ai-edge-litert")


@click.command()
@click.option("--models", default="", help="Comma-separated names; all without it.")
@click.option("--most-parameters", type=float, help="Leave out models with more million.")
@click.option("--again", is_flag=True, help="Try again what was tried before.")
@click.option("--missing", is_flag=True, help="Try only what was never tried.")
@click.option("--timeout", default=3600, show_default=True, help="Seconds a model may take.")
def main(
    models: str, most_parameters: float | None, again: bool, missing: bool, timeout: int
) -> None:
    """Convert the models and write the table."""
    every = sorted(entries(), key=_parameters)
    wanted = {name.strip() for name in models.split(",") if name.strip()}
    if unknown := wanted - {entry.name for entry in every}:
        raise click.UsageError(f"no such models: {', '.join(sorted(unknown))}")
    chosen = [
        entry
        for entry in every
        if (not wanted or entry.name in wanted)
        and (most_parameters is None or _parameters(entry) <= most_parameters * 1e6)
    ]
    rows = read_rows()
    converter = converter_digest()[:12]
    for number, entry in enumerate(chosen, 1):
        row = rows.get(entry.name)
        if again or row is None or (row.converter != converter and not missing):
            row = replace(
                try_network(entry, timeout), converter=converter, made_on=_today(), host=host_name()
            )
            rows = read_rows() | {row.name: row}
            write_rows(rows)
        reason = row.float32_reason or row.int8_reason or ""
        error = "failed" if row.error is None else f"{row.error:.1e}"
        quantized = "ok" if row.int8_ok else "failed"
        click.echo(
            f"{number}/{len(chosen)} {row.name}: float32 {error}, int8 {quantized}, "
            f"{row.seconds:.0f} s {reason}"
        )
    installed = versions()
    page = "\n".join(
        as_markdown(
            title,
            [rows[name] for name in names if name in rows],
            missing=[name for name in names if name not in rows],
            versions={name: installed[name] for name in _PACKAGES},
            calibration_count=CALIBRATION_COUNT,
        )
        for title, names in (
            ("# Coverage: every classification model of torchvision", _names(every, of_timm=False)),
            (
                f"# {len(TIMM)} architectures of timm, of {len(timm_families())} families",
                _names(every, of_timm=True),
            ),
        )
    )
    if len(chosen) == len(every):
        PAGE.write_text(page)
        click.echo(f"Wrote {PAGE.relative_to(ROOT)}")
    else:
        click.echo(page)


def entries() -> Iterator[CatalogEntry]:
    """List the models to try: all of torchvision, and those of `TIMM`."""
    for entry in api.models():
        if entry.name != DEFAULT_MODEL and not entry.name.startswith(PREFIX):
            yield entry
    for name in TIMM:
        network = network_named(PREFIX + name, None)
        yield CatalogEntry(
            name=network.name,
            input_size=network.preprocess.height,
            parameters=network.parameters,
            top1=None,
            weights_file="",
        )


def timm_families() -> frozenset[str]:
    """List the modules of timm that define the architectures of `TIMM`: each is one family."""
    timm = import_timm()
    return frozenset(
        module
        for module in timm.list_modules()
        if not set(TIMM).isdisjoint(timm.list_models(module=module))
    )


def _names(every: Sequence[CatalogEntry], *, of_timm: bool) -> list[str]:
    return [entry.name for entry in every if entry.name.startswith(PREFIX) == of_timm]


def _parameters(entry: CatalogEntry) -> int:
    assert entry.parameters is not None, "torchvision publishes them, timm's are counted"
    return entry.parameters


def _today() -> str:
    return datetime.now(UTC).date().isoformat()


def read_rows() -> dict[str, Row]:
    """Load the stored rows, by name of the model."""
    if not RECORD.is_file():
        return {}
    rows = msgspec.json.decode(RECORD.read_bytes(), type=tuple[Row, ...])
    return {row.name: row for row in rows}


def write_rows(rows: dict[str, Row]) -> None:
    """Keep rows, by name, whole or not at all."""
    temporary = RECORD.with_name(f".{RECORD.name}.{os.getpid()}")
    content = msgspec.json.encode([rows[name] for name in sorted(rows)])
    temporary.write_bytes(msgspec.json.format(content, indent=1) + b"\n")
    os.replace(temporary, RECORD)


def converter_digest() -> str:
    """SHA-256 over `CONVERTER`, so that models are tried again with a changed one."""
    digest = hashlib.sha256()
    add_content(digest, CONVERTER)
    return digest.hexdigest()


def try_network(entry: CatalogEntry, timeout: float) -> Row:
    """Convert a model in a process of its own.

    Args:
        entry: The model.
        timeout: Seconds that it may take.

    Returns:
        What became of it.
    """
    BUILD.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(dir=BUILD))
    started = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.coverage", "--one", entry.name, str(folder)],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        code = process.wait(timeout)
        why = f"the process ended with code {code}"
    except subprocess.TimeoutExpired:
        why = f"no end after {timeout:.0f} s"
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    try:
        return msgspec.json.decode((folder / "row.json").read_bytes(), type=Row)
    except FileNotFoundError:
        return Row(
            name=entry.name,
            parameters=_parameters(entry),
            input_size=entry.input_size,
            seconds=time.perf_counter() - started,
            peak_bytes=0,
            float32_reason=why,
            int8_reason=why,
        )
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def convert_one(name: str, folder: Path) -> Row:
    """Convert a model to float32 and int8, in this process and its worker.

    Args:
        name: Its name in the catalogue.
        folder: Where its files may be.

    Returns:
        What became of it.
    """
    entry = next(entry for entry in entries() if entry.name == name)
    started = time.perf_counter()
    run, reason = None, None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MissingVariantWarning)  # the row has the reason
        try:
            run = api.convert(
                name,
                random_weights=True,
                variants=["float32", "int8"],
                calibration_count=CALIBRATION_COUNT,
                out=folder / "run",
            )
        except EngineError as error:
            reason = f"{error.stage}: {error.got}"
    measured = Row(
        name=name,
        parameters=_parameters(entry),
        input_size=entry.input_size,
        seconds=time.perf_counter() - started,
        peak_bytes=resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024,
        float32_reason=reason,
        int8_reason=reason if run is None else _int8_reason(run),
    )
    return measured if run is None else _with_run(measured, run)


def _int8_reason(run: Run) -> str | None:
    fault = run.faults.get("int8")
    if fault is not None:
        return FAULT_WORDS[fault]
    return next((f"{record.stage}: {record.got}" for record in run.missing), None)


def _with_run(row: Row, run: Run) -> Row:
    float32 = run.artifact("float32")
    original, converted = (
        np.load(run.folder / WORK / f"{stage}.npy") for stage in ("pytorch", "float32")
    )
    quantized = run.artifact("int8") if "int8" in run.variants else None
    sqnr = None
    if quantized is not None:
        sqnr = sqnr_db(converted, np.load(run.folder / WORK / "int8.npy"))
    return replace(
        row,
        opset=run.manifest.opset,
        error=hop_errors(original, converted)[1],
        float32_bytes=float32.bytes,
        operators=dict(float32.operators),
        int8_bytes=None if quantized is None else quantized.bytes,
        int8_sqnr_db=sqnr,
    )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        result = convert_one(sys.argv[2], Path(sys.argv[3]))
        (Path(sys.argv[3]) / "row.json").write_bytes(msgspec.json.encode(result))
    else:
        main()
