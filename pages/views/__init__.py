"""Contents of single pages."""
