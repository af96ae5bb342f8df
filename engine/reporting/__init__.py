"""Reports: one HTML file that opens offline, JSON, CSV; plots, sentences, tables."""
