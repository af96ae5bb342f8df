"""The command line: ``python -m engine models | convert | compare | latency | report-json``."""
