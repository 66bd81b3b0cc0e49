"""What signs, and what it signs: the rules, in one place, whichever process they run in.

No two trees that do not extend each other are signed, whatever a caller believes or claims: two such
checkpoints are proof of a forked log. That holds for all signers together that have one key and one folder of
marks: who finds a mark ahead of him goes on from there. Statements only; no key here can sign a document.
Everything here is done one after another, and takes a millisecond; nothing here is asynchronous.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Final, Protocol

from macroslow.crypto import statements
from macroslow.crypto.hybrid import HybridPrivateKey, KeyUse
from macroslow.errors import ConfigurationError, VerificationError
from macroslow.ports import NS_PER_S, Clock, Entropy, Statement
from macroslow.tlog import hand_over, tree
from macroslow.tlog.checkpoint import LogPrivateKey, LogPublicKey
from macroslow.tlog.note import MAX_SIZE
from macroslow.tlog.ports import Mark, TreeHead
from macroslow.tlog.succession import MAX_SUCCESSION, LogKeys, Retired

NOTHING: Final = TreeHead(0, tree.EMPTY_ROOT)
CHANGE_EVERY_S: Final = 60  # at most one change of keys: they are counted, and nobody needs more
MAX_KEPT_BYTES: Final = 12 * 1024 * 1024  # hand-overs that are told of


class KeyFiles(Protocol):
    """Where the log's key is kept."""

    def stage(self, key: LogPrivateKey) -> None:
        """Keep the key to come, durable on return."""
        ...

    def switch(self, retired: Retired) -> None:
        """Put the staged key in the place of the present one, and destroy that."""
        ...


class Marks(Protocol):
    """Where it is noted what each key signed last."""

    def turn(self) -> AbstractContextManager[None]:
        """Nobody else reads or writes marks meanwhile. OSError if that cannot be had."""
        ...

    def read(self, key: LogPublicKey) -> TreeHead | None:
        """The mark of `key`, None if there is none; ConfigurationError for one that is not readable."""
        ...

    def mark(self, key: LogPublicKey) -> Mark | None:
        """As `read`, with what else is noted of it."""
        ...

    def names(self) -> frozenset[str]:
        """Every name of a log that is noted."""
        ...

    def write(self, key: LogPublicKey, head: TreeHead) -> None:
        """Note `head`, durable on return, unless more is noted. OSError if it cannot be.

        VerificationError where `end` was noted.
        """
        ...

    def end(self, key: LogPublicKey, successor: str) -> None:
        """Note, durable on return, that nothing is signed under `key` again. OSError if it cannot be."""
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
        marks: Marks,
        files: KeyFiles,
        retired: tuple[Retired, ...] = (),
        staged: LogPrivateKey | None = None,
        changed_ns: int | None = None,
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
        self.changed_ns: int | None = changed_ns
        """When the key was changed last, by this engine or the one before it, on the monotonic clock."""
        self.keys: LogKeys = LogKeys(log_key.public, retired)
        self.mark: Mark | None = marks.mark(log_key.public)
        """What was noted outside when this began."""
        self.last: TreeHead = NOTHING if self.mark is None else self.mark.head
        """What was signed last, as far as is known."""

    @property
    def staged(self) -> LogPublicKey | None:
        """The log's key to come, where a change of keys was begun and not completed."""
        return None if self._staged is None else self._staged.public

    @property
    def names(self) -> frozenset[str]:
        """Every name that this log had or that is noted of any; that of the staged key alone is free."""
        staged: frozenset[str] = frozenset(() if self.staged is None else [self.staged.origin])
        own = {one.key.origin for one in self.keys.retired} | {self.keys.current.origin}
        return (self._marks.names() - staged) | own

    def adopt(self, signed_note: bytes, proof: Sequence[bytes]) -> None:
        """Take a stored checkpoint as signed, if it is later than what we know of.

        `proof` is the consistency proof from `last`. VerificationError if none of our keys signed it, or it
        does not extend `last`. What was signed before a fork binds nobody after it.
        """
        checkpoint = self.keys.verify(signed_note)
        if checkpoint.origin != self.keys.current.origin:
            return
        with self._marks.turn():
            self._catch_up()
            if checkpoint.size >= self.last.size:
                self._extend(TreeHead(checkpoint.size, checkpoint.root), proof)

    def checkpoint(self, size: int, root: bytes, proof: Sequence[bytes]) -> bytes:
        """Return the signed note; see `ports.Signer`. OSError if the mark cannot be written.

        VerificationError also where another signer of this key noted more: `last` is that from then on.
        """
        if type(size) is not int or not 0 <= size <= MAX_SIZE or len(root) != tree.HASH_BYTES:
            raise VerificationError("no tree has such a size or root")
        with self._marks.turn():
            self._catch_up()
            if size < self.last.size:
                raise VerificationError(f"a tree of {self.last.size} entries was signed already")
            self._extend(TreeHead(size, root), proof)
        return self._log_key.sign_checkpoint(size, root, time_s=self._clock.now_ns() // NS_PER_S)

    def answer(self, statement: Statement) -> str:
        """Return a JWS over the statement; ValueError for claims outside the canonical profile."""
        return statements.sign(statement, self._answer_key, issued_ns=self._clock.now_ns())

    def history(self, statement: Statement) -> str:
        """As `answer`, under the key of histories."""
        return statements.sign(statement, self._history_key, issued_ns=self._clock.now_ns())

    def stage(self, origin: str | None = None) -> LogPublicKey:
        """Make the log's key to come, unless there is one already; `origin`: of another log, by a fork.

        ValueError for an origin that notes cannot carry. VerificationError where the key was changed too
        often or just now: whoever took the gateway over must not use up the changes that a log can have.
        """
        wanted = origin or self.keys.current.origin
        if self._staged is None or self._staged.public.origin != wanted:
            if wanted == self.keys.current.origin:
                self._check_may_change()
            fresh = LogPrivateKey.generate(wanted, self._entropy)
            self._files.stage(fresh)
            self._staged = fresh
        return self._staged.public

    def hand_over(self, receipt: bytes) -> None:
        """Sign with the staged key from now on; the present one is destroyed.

        VerificationError unless `receipt`, under the present key, is of the entry that names the staged one.
        """
        if self._staged is None:
            raise VerificationError("the entry hands over to another key than one that was staged: none was")
        made = hand_over.make(self._log_key, self._staged, receipt, self.last.size)
        self._switch(self._staged, made, self.last)
        self.changed_ns = self._clock.monotonic_ns()

    def fork(self) -> None:
        """Sign with the staged key of another log from now on: what was signed before binds it no more.

        Refused (VerificationError) where the staged key is of the same log.
        """
        if self._staged is None or self._staged.public.origin == self.keys.current.origin:
            raise VerificationError("a fork begins a log of another name")
        with self._marks.turn():
            self._marks.end(self.keys.current, self._staged.public.origin)  # first: no copy signs any more
        self._switch(self._staged, None, NOTHING)

    def _switch(self, new: LogPrivateKey, handed: bytes | None, last: TreeHead) -> None:
        retired = Retired(self.keys.current, handed)
        with self._marks.turn():
            self._marks.write(new.public, last)
        self._files.switch(retired)
        self._log_key, self._staged, self.last = new, None, last
        self.keys = LogKeys(new.public, (*self.keys.retired, retired))

    def _check_may_change(self) -> None:
        kept = self.keys.hand_overs
        if len(kept) >= MAX_SUCCESSION or sum(map(len, kept)) > MAX_KEPT_BYTES:
            raise VerificationError("the log's key was changed too often: `macroslow audit fork` begins anew")
        changed_ns = self.changed_ns
        if changed_ns is not None and self._clock.monotonic_ns() < changed_ns + CHANGE_EVERY_S * NS_PER_S:
            raise VerificationError(f"the log's key was changed within the last {CHANGE_EVERY_S} seconds")

    def _catch_up(self) -> None:
        """Go on from what another signer of this key noted meanwhile, if that is more."""
        try:
            mark = self._marks.read(self.keys.current)
        except ConfigurationError as error:
            raise VerificationError(error.detail) from None
        if mark is None or mark.size < self.last.size:
            return
        if mark.size == self.last.size and mark != self.last:
            raise VerificationError(f"another tree of {mark.size} entries was signed already")
        self.last = mark

    def _extend(self, head: TreeHead, proof: Sequence[bytes]) -> None:
        """Take `head` as signed: noted first, for a signature that its caller never saw counts as made."""
        tree.verify_consistency(self.last.size, self.last.root, head.size, head.root, proof)
        self._marks.write(self.keys.current, head)
        self.last = head
