"""Receivers of alerts over HTTP, signed as Standard Webhooks."""

from macroslow.adapters.webhook.receiver import WebhookReceiver
from macroslow.adapters.webhook.signature import signature, signing_key

__all__ = ["WebhookReceiver", "signature", "signing_key"]
