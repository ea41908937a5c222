"""The BEATs encoder and its form on disk."""
