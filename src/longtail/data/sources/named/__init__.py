"""Sets that are the same for everybody."""
