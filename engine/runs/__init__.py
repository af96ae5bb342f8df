"""A run on disk: manifest, request, stored results, labels, pinned pictures, cleanup."""
