"""How many calibration pictures are enough, and which ranges: one model quantized many times.

- `engine.sweeps.records`: cells, groups over seeds, the whole as a table.
- `engine.sweeps.plan`: which cells there are, by name of their recipe.
- `engine.sweeps.cells`: one cell made and measured, in the worker.
- `engine.sweeps.stored`: cells on disk, each whole as it was made.
- `engine.sweeps.sweeping`: all cells that are missing, here or on a Dask cluster.
- `engine.sweeps.sentences`: what was found, in words.
"""
