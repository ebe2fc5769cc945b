"""The notebook of the documentation runs from top to bottom, and is kept without outputs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.smoke.test_cli import environment

NOTEBOOKS = Path(__file__).resolve().parents[2] / "docs" / "notebooks"
FIRST_STEPS = NOTEBOOKS / "first_steps.ipynb"


@pytest.mark.parametrize("file", sorted(NOTEBOOKS.glob("*.ipynb")), ids=lambda file: file.stem)
def test_a_notebook_is_kept_without_outputs(file):
    cells = json.loads(file.read_text(encoding="utf-8"))["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert code and not any(cell["outputs"] or cell["execution_count"] for cell in code)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_first_steps_run_and_show_what_they_promise(tmp_path, monkeypatch):
    for needed in ("nbclient", "ipykernel", "lbforaging"):
        pytest.importorskip(needed)
    import nbformat
    from nbclient import NotebookClient

    for name, value in environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("MPLBACKEND")  # the notebook names its own
    monkeypatch.setenv("HOME", str(tmp_path))  # Ray's results
    book = nbformat.read(FIRST_STEPS, as_version=4)
    there = {"metadata": {"path": str(tmp_path)}}
    done = NotebookClient(book, timeout=600, kernel_name="python3", resources=there).execute()
    shown = [out for cell in done.cells for out in cell.get("outputs", [])]
    printed = "".join(out["text"] for out in shown if out.get("name") == "stdout")
    assert printed.count("env steps  return") == 8
    assert "obs_nothing_changes_1_step" in printed
    assert printed.count("seed ") == 5
    assert sum("image/png" in out.get("data", {}) for out in shown) == 2
