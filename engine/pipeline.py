"""The tasks of the worker process, by name; see `engine.workers.registry.TASKS`."""

from __future__ import annotations

from engine.core.system import usable_cores
from engine.core.types import Report
from engine.deployment.golden import GoldenSet
from engine.requests import DeployRequest


def run_deploy(request: DeployRequest, report: Report) -> GoldenSet:
    """Make a kit's model and golden set; see `engine.deployment.task`."""
    from engine.deployment.task import deployed

    return deployed(request, report, usable_cores())
