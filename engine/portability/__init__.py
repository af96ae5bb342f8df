"""Where a TFLite file runs and what it needs there: one module a target, each asking a real tool.

A target is one module here with one record of `engine.portability.records.Target` in its
``TARGETS``; `engine.portability.catalog` reads them all, so nothing else names a new one.
"""
