"""The section about traces: where they go, and of how many calls."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Final, Self

from pydantic import AfterValidator, Field, PlainSerializer, model_validator

from macroslow.secretstore.reference import Reference
from macroslow.settings.fields import BaseURL, Name, SecretReference, check_plain_http, refuse
from macroslow.settings.section import Section

MAX_HEADERS: Final = 16
_OURS: Final = frozenset({"host", "content-type", "content-length", "transfer-encoding", "connection"})


def _headers(value: Mapping[str, Reference]) -> Mapping[str, Reference]:
    if not _OURS.isdisjoint(value):
        raise refuse("a header that the exporter sets itself", "remove it")
    if len(value) > MAX_HEADERS:
        raise refuse(f"more than {MAX_HEADERS} headers", "keep those that the collector needs")
    return MappingProxyType(value)


def _texts(value: Mapping[str, Reference]) -> dict[str, str]:
    return {name: str(reference) for name, reference in value.items()}


class Telemetry(Section):
    """A collector that takes OTLP over HTTP, and what it is told. Without an endpoint there are no traces.

    `sample_ratio` is the share of traces that begin here; calls of a client that sends `traceparent`
    follow what that says.
    """

    endpoint: BaseURL | None = None
    headers: Annotated[Mapping[Name, SecretReference], AfterValidator(_headers), PlainSerializer(_texts)] = (
        Field(default_factory=dict)
    )
    plain_http: bool = False
    service_name: Annotated[str, Field(min_length=1, max_length=200)] = "macroslow"
    sample_ratio: Annotated[float, Field(ge=0, le=1)] = 1.0
    traceparent_to_providers: bool = False

    @model_validator(mode="after")
    def _encrypted(self) -> Self:
        if self.endpoint is not None:
            check_plain_http(self.endpoint, allowed=self.plain_http, member="endpoint")
        elif self.headers:
            raise refuse("headers for no endpoint", "write endpoint, or remove headers")
        return self
