"""Clips and their labels, from a data set's folder to batches."""
