"""Pairs of recordings → scores and a report."""
