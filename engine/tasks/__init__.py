"""A module for each thing that a user can ask for: request, caller side, worker side."""
