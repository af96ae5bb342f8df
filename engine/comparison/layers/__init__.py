"""What each operator of an integer variant loses against its float32 counterpart, and why."""

from __future__ import annotations
