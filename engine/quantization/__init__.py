"""Recipes, calibration, ranges, mixed precision, and the optimizing pass over integer models."""

from __future__ import annotations
