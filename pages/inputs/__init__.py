"""Widgets that ask for something."""
