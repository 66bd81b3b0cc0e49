"""A gateway without its signer takes no new work."""

from macroslow.services.signing.log_health import LogHealth
from macroslow.services.signing.watch_signer import WatchSigner


def test_a_signer_that_has_ended_holds_back_new_work() -> None:
    health, alive = LogHealth(), [True, False]
    watch = WatchSigner(health, lambda: alive[0])
    watch.look()
    assert health.reasons() == []
    alive.pop(0)
    watch.look()
    assert health.reasons() == ["the log's signer has ended: start the gateway again"]
