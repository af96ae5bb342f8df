"""Widgets over the engine: each hides its session state behind one function."""

from __future__ import annotations
