"""Secrets from the environment, from `.env` and from files of their own."""

from macroslow.adapters.dotenv.files import FileSource, exposure
from macroslow.adapters.dotenv.parser import Assignment, parse, written
from macroslow.adapters.dotenv.source import EnvironmentSource, read_dotenv

__all__ = ["Assignment", "EnvironmentSource", "FileSource", "exposure", "parse", "read_dotenv", "written"]
