"""Runners of PyTorch, ONNX, SavedModel and TFLite models, with one interface."""

from __future__ import annotations
