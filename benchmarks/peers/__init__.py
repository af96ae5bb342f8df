"""The converters that ours is measured against, one module each, run in environments of their own.

Their modules import the standard library, numpy and their converter alone.
"""
