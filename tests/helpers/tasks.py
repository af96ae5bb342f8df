"""The table of tests: every task of a worker; a new one is added here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from engine.deployment.adb import run_phone_benchmark
from engine.deployment.golden_set import run_check
from engine.deployment.kit import run_deploy
from engine.deployment.micro_kit import run_micro_kit
from engine.tasks.add_file import run_inspect
from engine.tasks.catalog import run_catalog
from engine.tasks.changed_pictures import run_changed_pictures
from engine.tasks.compile_for_target import run_compile
from engine.tasks.convert import run_convert
from engine.tasks.evaluate import run_evaluate, run_warm_up
from engine.tasks.inspect_operator import run_feature_maps, run_float_trial
from engine.tasks.latency import run_file_latency, run_latency, run_mixed_latency, run_profile
from engine.tasks.layers import run_layers
from engine.tasks.litert_torch import run_litert_torch
from engine.tasks.own_model import run_check_labels, run_preview, run_read_model
from engine.tasks.sweep.cells import run_sweep
from engine.tasks.targets import run_target, run_timed_target

TASKS: tuple[Callable[[Any, Any], Any], ...] = (
    run_catalog,
    run_check_labels,
    run_changed_pictures,
    run_check,
    run_compile,
    run_convert,
    run_deploy,
    run_evaluate,
    run_feature_maps,
    run_file_latency,
    run_float_trial,
    run_inspect,
    run_latency,
    run_layers,
    run_litert_torch,
    run_micro_kit,
    run_mixed_latency,
    run_phone_benchmark,
    run_preview,
    run_profile,
    run_read_model,
    run_sweep,
    run_target,
    run_timed_target,
    run_warm_up,
)
