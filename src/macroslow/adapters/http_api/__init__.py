"""Outside APIs over HTTP: one GET to the operator's base URL, the secret added here and nowhere else."""

from macroslow.adapters.http_api.client import HTTPOutsideAPI, Placement, Where, parse_placement

__all__ = ["HTTPOutsideAPI", "Placement", "Where", "parse_placement"]
