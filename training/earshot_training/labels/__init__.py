"""AudioSet labels."""
