"""What a session remembers."""
