"""Thin translations between HTTP and the use cases: no decision is made here."""
