"""The audit log: signed, proved, verified, mended after a crash."""
