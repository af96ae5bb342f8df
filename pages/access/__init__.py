"""Authentication of a shared dashboard."""
