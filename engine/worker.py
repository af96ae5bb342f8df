"""The worker process: ``python -m engine.worker``.

It reads requests from standard input, one JSON line each, and answers on standard output with
progress, then a result or an error. Whatever libraries print goes to standard error, which the
parent keeps as a log. When the parent goes away, standard input ends and so does the worker.
"""

from __future__ import annotations

from engine.workers.main import main

if __name__ == "__main__":
    main()
