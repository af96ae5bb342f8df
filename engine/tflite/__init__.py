"""A TFLite file: read, describe, edit, run, profile and annotate it."""
