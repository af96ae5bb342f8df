"""Side-by-side measurements, shown as ratios taken in one run."""
