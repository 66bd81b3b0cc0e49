"""What signs, and what it signs: the rules, in one place, whichever process they run in.

No two trees that do not extend each other are signed, whatever a caller believes or claims: two such
checkpoints are proof of a forked log. Statements only; no key here can sign a document. Everything here is
done one after another, and takes a millisecond; nothing here is asynchronous.
"""

from collections.abc import Sequence
from typing import Final, Protocol

from macroslow.adapters.signer.high_water import HighWaterMarks
from macroslow.crypto import statements
from macroslow.crypto.hybrid import HybridPrivateKey, KeyUse
from macroslow.errors import VerificationError
from macroslow.ports import NS_PER_S, Clock, Entropy, Statement
from macroslow.tlog import tree
from macroslow.tlog.checkpoint import LogPrivateKey, LogPublicKey
from macroslow.tlog.ports import TreeHead
from macroslow.tlog.succession import LogKeys, Retired, handed_over

NOTHING: Final = TreeHead(0, tree.EMPTY_ROOT)


class KeyFiles(Protocol):
    """Where the log's key is kept."""

    def stage(self, key: LogPrivateKey) -> None:
        """Keep the key to come, durable on return."""
        ...

    def switch(self, retired: Retired) -> None:
        """Put the staged key in the place of the present one, and destroy that."""
        ...


class Engine:
    """The gateway's signing keys. ValueError if one is for another use.

    `marks` tell what was signed last; without one it is what `adopt` is shown, at first nothing.
    """

    def __init__(
        self,
        *,
        log_key: LogPrivateKey,
        answer_key: HybridPrivateKey,
        history_key: HybridPrivateKey,
        clock: Clock,
        entropy: Entropy,
        marks: HighWaterMarks,
        files: KeyFiles,
        retired: tuple[Retired, ...] = (),
        staged: LogPrivateKey | None = None,
    ) -> None:
        if (answer_key.use, history_key.use) != (KeyUse.ANSWER, KeyUse.HISTORY):
            raise ValueError("the signer takes one key for answers and one for histories")
        self._log_key = log_key
        self._answer_key = answer_key
        self._history_key = history_key
        self._clock = clock
        self._entropy = entropy
        self._marks = marks
        self._files = files
        self._staged = staged
        self.keys: LogKeys = LogKeys(log_key.public, retired)
        self.last: TreeHead = marks.read(log_key.public) or NOTHING
        """What was signed last, as far as is known."""

    @property
    def staged(self) -> LogPublicKey | None:
        """The log's key to come, where a change of keys was begun and not completed."""
        return None if self._staged is None else self._staged.public

    def adopt(self, signed_note: bytes, proof: Sequence[bytes]) -> None:
        """Take a stored checkpoint as signed, if it is later than what we know of.

        `proof` is the consistency proof from `last`. VerificationError if none of our keys signed it, or it
        does not extend `last`. What was signed before a fork binds nobody after it.
        """
        checkpoint = self.keys.verify(signed_note)
        if checkpoint.origin == self.keys.current.origin and checkpoint.size >= self.last.size:
            self._check(checkpoint.size, checkpoint.root, proof)
            self.last = TreeHead(checkpoint.size, checkpoint.root)

    def checkpoint(self, size: int, root: bytes, proof: Sequence[bytes]) -> bytes:
        """Return the signed note; see `ports.Signer`. OSError if the mark cannot be written."""
        if size < self.last.size:
            raise VerificationError(f"a tree of {self.last.size} entries was signed already")
        self._check(size, root, proof)
        # Before signing: a signature that its caller never saw counts as made.
        self.last = TreeHead(size, root)
        self._marks.write(self.keys.current, self.last)
        return self._log_key.sign_checkpoint(size, root, time_s=self._clock.now_ns() // NS_PER_S)

    def answer(self, statement: Statement) -> str:
        """Return a JWS over the statement; ValueError for claims outside the canonical profile."""
        return statements.sign(statement, self._answer_key, issued_ns=self._clock.now_ns())

    def history(self, statement: Statement) -> str:
        """As `answer`, under the key of histories."""
        return statements.sign(statement, self._history_key, issued_ns=self._clock.now_ns())

    def stage(self, origin: str | None = None) -> LogPublicKey:
        """Make the log's key to come, unless there is one already; `origin`: of another log, by a fork.

        ValueError for an origin that notes cannot carry.
        """
        wanted = origin or self.keys.current.origin
        if self._staged is None or self._staged.public.origin != wanted:
            fresh = LogPrivateKey.generate(wanted, self._entropy)
            self._files.stage(fresh)
            self._staged = fresh
        return self._staged.public

    def hand_over(self, receipt: bytes) -> None:
        """Sign with the staged key from now on; the present one is destroyed.

        VerificationError unless `receipt`, under the present key, is of the entry that names the staged one.
        """
        if self._staged is None or handed_over(receipt, self.keys.current) != self._staged.public:
            raise VerificationError("the entry hands over to another key than the one that was staged")
        self._switch(self._staged, receipt)

    def fork(self) -> None:
        """Sign with the staged key of another log from now on: what was signed before binds it no more.

        Refused (VerificationError) where the staged key is of the same log.
        """
        if self._staged is None or self._staged.public.origin == self.keys.current.origin:
            raise VerificationError("a fork begins a log of another name")
        self.last = NOTHING
        self._switch(self._staged, None)

    def _switch(self, new: LogPrivateKey, receipt: bytes | None) -> None:
        retired = Retired(self.keys.current, receipt)
        self._marks.write(new.public, self.last)
        self._files.switch(retired)
        self._log_key, self._staged = new, None
        self.keys = LogKeys(new.public, (*self.keys.retired, retired))

    def _check(self, size: int, root: bytes, proof: Sequence[bytes]) -> None:
        tree.verify_consistency(self.last.size, self.last.root, size, root, proof)
