"""The audit log: signed, proved, verified."""
