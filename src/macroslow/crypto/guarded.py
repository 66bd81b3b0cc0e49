"""What all secret values have in common: they do not print, pickle, copy, hash or compare with `==`.

This guards against accidents (a log line, a traceback, a cache on disk), not against code in the
same process. Python cannot wipe `bytes`: overwriting secrets after use is best effort only.
"""

from typing import ClassVar, NoReturn


class Guarded:
    """Base of every class that holds a secret."""

    __slots__ = ()

    __hash__: ClassVar[None]  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"{type(self).__name__}(…)"

    def __eq__(self, other: object) -> NoReturn:
        # Not `==`: the time of the comparison would leak the secret.
        raise TypeError(f"{type(self).__name__} holds a secret: compare its public identifier")

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError(f"{type(self).__name__} holds a secret: it is neither pickled nor copied")
