"""What the makers of the course run, and its readers do not: ``python -m tools.NAME``."""
