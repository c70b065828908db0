"""Bench profiles: what a bench is made of, and how to reach it."""
