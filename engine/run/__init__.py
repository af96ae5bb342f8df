"""Runners: every kind of model behind one context manager (see `engine.run.base`)."""
