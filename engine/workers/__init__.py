"""Worker processes: protocol, limits, pool, queue, slots and Dask; no task is imported here."""
