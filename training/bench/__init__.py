"""Measurements: each prints what it measured in one run."""
