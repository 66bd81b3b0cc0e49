"""The shared rate states in Redis: `limits.ports.RateTable`, one key each, gone a day after its last change.

A read is the states and the server's time in one journey; a write is one script that writes what nobody
else has changed. A restart of Redis forgets every state
and every limit starts afresh, which is worth a minute of a provider's limit at most; so nothing about
money is here.

It must be one server (no cluster), and one that does not evict keys (`maxmemory-policy noeviction`).
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Final, Self

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from macroslow.errors import ConfigurationError
from macroslow.limits.ports import OutOfReachError
from macroslow.limits.rounds import LIFETIME_NS, Stored, Write
from macroslow.ports import NS_PER_MS, NS_PER_S

ANSWER_S: Final = 5.0
PREFIX: Final = "macroslow:rate:"

_FIX: Final = "check that Redis runs, and its URL: redis://HOST:PORT/0, rediss:// with TLS"
_STAMP_BYTES: Final = 8
_STATE: Final = b"\1"
_NO_STATE: Final = b"\0"
_LIFETIME_MS: Final = LIFETIME_NS // NS_PER_MS

_WRITE: Final = """
local written = {}
for i, key in ipairs(KEYS) do
    local before, new = ARGV[2 * i], ARGV[2 * i + 1]
    if redis.call('GETRANGE', key, 0, 7) == before then
        redis.call('SET', key, new, 'PX', ARGV[1])
        written[i] = 1
    else
        written[i] = 0
    end
end
return written
"""


class RedisRates:
    """One process's way to the states. Belongs to the event loop that opened it."""

    def __init__(self, client: Redis) -> None:
        self._client = client
        self._script = client.register_script(_WRITE)  # loaded anew where the server has forgotten it

    @classmethod
    async def open(cls, url: str) -> Self:
        """Open the server at `url` (redis, rediss or unix). ConfigurationError if it cannot be used."""
        try:
            client = Redis.from_url(
                url,
                socket_timeout=ANSWER_S,
                socket_connect_timeout=ANSWER_S,
                # A write whose answer was lost must not be made twice.
                retry=Retry(NoBackoff(), 0),
            )
            await client.ping()
        except ValueError:  # it quotes the URL, and with it a password that is not percent-encoded
            raise ConfigurationError("the URL of Redis cannot be read", fix=_FIX) from None
        except (RedisError, OSError) as error:
            raise ConfigurationError(f"Redis cannot be used: {error}", fix=_FIX) from error
        return cls(client)

    async def close(self) -> None:
        """Release the connection. Idempotent."""
        await self._client.aclose()

    async def read(self, keys: Sequence[str]) -> tuple[Mapping[str, Stored], int]:
        """Return what is stored, and the server's time in ns. A second try is no harm, so there is one."""
        with suppress(RedisError, OSError):  # most likely the server was restarted since the last one
            return await self._read_once(keys)
        with _reaching():
            return await self._read_once(keys)

    async def _read_once(self, keys: Sequence[str]) -> tuple[Mapping[str, Stored], int]:
        pipeline = self._client.pipeline(transaction=False)
        pipeline.time()
        pipeline.mget([PREFIX + key for key in keys])
        (seconds, micros), values = await pipeline.execute()
        pairs = zip(keys, values, strict=True)
        found = {key: _parsed(value) for key, value in pairs if value is not None}
        return found, seconds * NS_PER_S + micros * 1_000

    async def write(self, writes: Sequence[Write]) -> Sequence[str]:
        """Return the keys that were written."""
        arguments: list[Any] = [_LIFETIME_MS]
        for write in writes:
            arguments += [_stamp(write.before_ns), _encoded(write.new)]
        with _reaching():
            written = await self._script([PREFIX + write.key for write in writes], arguments)
        return [write.key for write, done in zip(writes, written, strict=True) if done]


@contextmanager
def _reaching() -> Iterator[None]:
    try:
        yield
    except (RedisError, OSError) as error:
        raise OutOfReachError(f"{type(error).__name__}: {error}") from error


def _stamp(stamp_ns: int) -> bytes:
    """The first bytes of a value; none where there is no value."""
    return stamp_ns.to_bytes(_STAMP_BYTES, "big") if stamp_ns else b""


def _encoded(stored: Stored) -> bytes:
    state = _NO_STATE if stored.state is None else _STATE + stored.state
    return _stamp(stored.stamp_ns) + state


def _parsed(value: bytes) -> Stored:
    stamp_ns, flag = int.from_bytes(value[:_STAMP_BYTES], "big"), value[_STAMP_BYTES : _STAMP_BYTES + 1]
    return Stored(stamp_ns, value[_STAMP_BYTES + 1 :] if flag == _STATE else None)
