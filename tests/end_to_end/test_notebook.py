from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
NOTEBOOKS = sorted((ROOT / "examples").glob("*.ipynb"))
ONE_WORKER = """
from tests.helpers.shared_worker import shared_worker
sharing = shared_worker()
sharing.__enter__()
"""


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning:zmq", "ignore::DeprecationWarning:tornado")
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_it_runs(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # They take seconds, which every run of tests would wait for.
    import nbformat
    from nbclient import NotebookClient

    monkeypatch.setenv("QLAB_EXAMPLE_COUNT", "8")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    notebook = nbformat.read(path, as_version=4)
    notebook.cells.insert(0, nbformat.v4.new_code_cell(ONE_WORKER))
    client = NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(ROOT)}})
    asyncio.run(client.async_execute())
    printed = "".join(
        output.get("text", "") for cell in notebook.cells for output in cell.get("outputs", [])
    )
    assert "savedmodel" in printed
    assert "Demo calibration" in printed
    # Its last cell converts a network of the notebook itself.
    assert "The original's logits are the network's own" in printed
