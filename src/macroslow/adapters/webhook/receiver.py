"""One receiver: POSTs a signed message once. No redirects, no cookies, no proxies from the environment.

Source: Standard Webhooks specification 1.0.0, "Webhook headers" and "Operational considerations"
(any 2xx is accepted; 410 means: never again).
"""

from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

import aiohttp
from yarl import URL

from macroslow.adapters.webhook.signature import signature
from macroslow.errors import UpstreamRefusedError, UpstreamUnavailableError
from macroslow.ports import NS_PER_S, Clock

TIMEOUT: Final = aiohttp.ClientTimeout(total=15, sock_connect=5)
GONE: Final = 410


@dataclass(frozen=True, slots=True)
class WebhookReceiver:
    """`url` is the operator's; its path may be a secret, so only the host is ever told."""

    url: str = field(repr=False)
    key: bytes = field(repr=False)
    session: aiohttp.ClientSession = field(repr=False)
    clock: Clock = field(repr=False)

    @property
    def name(self) -> str:
        """The receiver's host."""
        return urlsplit(self.url).hostname or ""

    async def post(self, message_id: str, body: bytes) -> None:
        """Deliver `body` (JSON), signed for this attempt's time.

        Raises UpstreamRefusedError if the receiver wants no more messages, UpstreamUnavailableError
        for every other end but a 2xx.
        """
        now_s = self.clock.now_ns() // NS_PER_S
        headers = {
            "content-type": "application/json",
            "webhook-id": message_id,
            "webhook-timestamp": str(now_s),
            "webhook-signature": signature(self.key, message_id, now_s, body),
        }
        status, reason = 0, ""
        try:
            async with self.session.post(
                URL(self.url, encoded=True),
                data=body,
                headers=headers,
                allow_redirects=False,
                timeout=TIMEOUT,
            ) as answer:
                status = answer.status  # its body is not read: it could be endless, and says nothing to us
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            reason = type(error).__name__  # not its text, which holds the URL
        if status == GONE:
            raise UpstreamRefusedError(f"{self.name} wants no more alerts", upstream=self.name, status=status)
        if not 200 <= status < 300:
            reason = reason or f"status {status}"
            raise UpstreamUnavailableError(
                f"{self.name} did not take an alert ({reason})", upstream=self.name, reason=reason
            )
