"""Secrets by their references."""
