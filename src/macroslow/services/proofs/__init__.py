"""The log for strangers: receipts, tiles, exports, and the key that follows another."""
