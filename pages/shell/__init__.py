"""Sidebar, navigation and server: the same for every page."""
