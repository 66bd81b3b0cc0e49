"""Workflow documents: admitted, executed, recorded, read."""
