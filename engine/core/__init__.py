"""What every room shares: errors, types, limits, number formats, safe files, locks, checksums."""
