"""Sentences of pages, commands and reports."""
