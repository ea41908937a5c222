"""Losses: one file per objective, all with the interface that the training loop knows."""
