"""How many calibration pictures are enough, and which ranges: one model quantized many times.

- `engine.tasks.sweep.records`: cells, groups over seeds, the whole as a table.
- `engine.tasks.sweep.sweep`: which cells there are, by name of their recipe.
- `engine.tasks.sweep.cells`: one cell made and measured, in the worker.
- `engine.tasks.sweep.records`: cells on disk, each whole as it was made.
- `engine.tasks.sweep.sweep`: all cells that are missing, here or on a Dask cluster.
- `engine.reporting.text.sweep`: what was found, in words.
"""

from __future__ import annotations
