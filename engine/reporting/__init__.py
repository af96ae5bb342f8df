"""A run to take home: one HTML file that opens offline, JSON, CSV."""
