"""A better integer model of the same operators, size and speed: weights, biases and ranges anew.

Pure functions on files. `optimize.optimized` is the way in.
"""

from __future__ import annotations
