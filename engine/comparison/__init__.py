"""Comparison of two models: by their answers to the same pictures, and by their speed.

This room knows arrays, not runtimes: logits and timings come in, frozen records go out. It is
run as often as one likes on stored logits.

- `engine.comparison.metrics`: single figures over arrays of logits.
- `engine.comparison.accuracy`: answers against labels.
- `engine.comparison.comparison`: every variant of a run against one reference.
- `engine.comparison.latency`: timing in turns, and when not to believe a timing.
"""
