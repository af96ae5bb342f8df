"""Who may enter: authentication of a shared dashboard."""
