"""Error of each operator of an integer variant against its float32 counterpart, and its causes."""

from __future__ import annotations
