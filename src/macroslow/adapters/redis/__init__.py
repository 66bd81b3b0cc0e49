"""Shared rate limits in Redis."""

from macroslow.adapters.redis.rates import RedisRates

__all__ = ["RedisRates"]
