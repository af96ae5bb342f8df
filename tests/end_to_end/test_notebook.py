from __future__ import annotations

import asyncio
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from engine.runs.manifest import FILE_NAME
from engine.runs.run import WORK, Run
from tests.helpers.real_run import CALIBRATION_COUNT, real_run

ROOT = Path(__file__).parent.parent.parent
NOTEBOOKS = sorted((ROOT / "examples").glob("*.ipynb"))
ONE_WORKER = """
from tests.helpers.shared_worker import shared_worker
sharing = shared_worker()
sharing.__enter__()
"""


@pytest.fixture
def store_without_int8(own_store: Path) -> Path:
    """A store with a run of the default model, to which the notebook adds int8."""
    run = real_run()
    made = own_store / "runs" / run.folder.name
    shutil.copytree(run.folder, made)
    for file in [*made.glob("int*.tflite"), *(made / WORK).glob("int*")]:
        file.unlink()
    names = ("float32", "float16")
    manifest = replace(
        run.manifest,
        artifacts=tuple(run.artifact(name) for name in names),
        calibration=None,
        stages=tuple(
            stage for stage in run.manifest.stages if stage.name not in {*run.variants} - {*names}
        ),
        files={name: file for name, file in run.manifest.files.items() if (made / name).is_file()},
    )
    (made / FILE_NAME).write_bytes(manifest.to_json())
    return own_store


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning:zmq", "ignore::DeprecationWarning:tornado")
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_it_runs(path: Path, store_without_int8: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # They take seconds, which every run of tests would wait for.
    import nbformat
    from nbclient import NotebookClient

    monkeypatch.setenv("QLAB_EXAMPLE_COUNT", str(CALIBRATION_COUNT))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    notebook = nbformat.read(path, as_version=4)
    notebook.cells.insert(0, nbformat.v4.new_code_cell(ONE_WORKER))
    client = NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(ROOT)}})
    asyncio.run(client.async_execute())
    printed = "".join(
        output.get("text", "") for cell in notebook.cells for output in cell.get("outputs", [])
    )
    assert "savedmodel" in printed
    (run,) = (store_without_int8 / "runs").glob(real_run().folder.name)
    assert Run.open(run).variants == ("float32", "float16", "int8")
    assert "Demo calibration" in printed
    # Its last cell converts a network of the notebook itself.
    assert "The original's logits are the network's own" in printed
