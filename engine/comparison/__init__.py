"""Comparison of two models: by their answers to the same pictures, and by their speed.

This room knows arrays, not runtimes: logits and timings come in, frozen records go out.
"""
