"""Runs experiments on a bench, attended or not."""
