"""Widgets that ask."""
