"""Batches → weights: the one training loop and what surrounds it."""
