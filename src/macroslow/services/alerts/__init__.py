"""Telling whoever should know, and elsewhere than in the log."""
