"""Conversion: PyTorch to ONNX to SavedModel to TFLite.

One module a hop, named ``<target>_from_<source>``. Runs in a worker process.
"""

from __future__ import annotations
