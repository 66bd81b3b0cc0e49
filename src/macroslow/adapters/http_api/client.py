"""GET from one configured base URL. No redirects, no cookies, no proxies from the environment."""

import enum
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

import aiohttp
from yarl import URL

from macroslow.errors import ConfigurationError, MissingRightError, TooLargeError, UpstreamUnavailableError
from macroslow.secretstore.secret import Secret
from macroslow.workflow.outside import OutsideAnswer

MAX_ANSWER_BYTES: Final = 4 * 1024 * 1024  # an answer is held in memory and handed to a sandbox
TIMEOUT: Final = aiohttp.ClientTimeout(total=30, sock_connect=5)
TOLD_HEADERS: Final = (
    "x-ratelimit-limit",
    "x-ratelimit-remaining",
    "x-ratelimit-reset",
    "x-macroslow-emulator",
)


class Where(enum.StrEnum):
    """Which part of the request carries the secret."""

    HEADER = "header"
    QUERY = "query"
    BEARER = "bearer"


@dataclass(frozen=True, slots=True)
class Placement:
    """Where the secret goes: `name` is the header's or the query parameter's.

    `prefix` stands before it in a header.
    """

    where: Where
    name: str = "authorization"
    prefix: str = ""


def parse_placement(text: str) -> Placement:
    """Read "bearer", "header:NAME" or "query:NAME"; ConfigurationError otherwise."""
    where, _, name = text.partition(":")
    if where == Where.BEARER and not name:
        return Placement(Where.BEARER)
    if (
        where in {Where.HEADER, Where.QUERY}
        and name.isascii()
        and name.replace("-", "").replace("_", "").isalnum()
    ):
        return Placement(Where(where), name)
    raise ConfigurationError(
        f"{text!r} is no place for a secret", fix='"bearer", "header:NAME" or "query:NAME"'
    )


@dataclass(frozen=True, slots=True)
class HTTPOutsideAPI:
    """One outside API. `base_url` has no query; each of `paths` is open with all that is below it.

    Paths are checked by the caller to be plain (`workflow.outside.check_target`).
    """

    name: str
    base_url: str
    paths: Sequence[str]
    secret: Secret | None
    placement: Placement
    session: aiohttp.ClientSession

    async def get(self, path: str, query: str) -> OutsideAnswer:
        """Fetch once; the whole answer, at most MAX_ANSWER_BYTES.

        Raises MissingRightError outside `paths`, UpstreamUnavailableError and TooLargeError.
        """
        if not self._opens(path):
            raise MissingRightError(
                f"the operator has not opened this path of {self.name!r}",
                uri=f"api://{self.name}",
                fix=f"the operator may add it to [apis.{self.name}] paths",
            )
        url, headers = self._target(path, query)
        try:
            async with self.session.get(
                url, headers=headers, allow_redirects=False, timeout=TIMEOUT
            ) as answer:
                body = await answer.content.read(MAX_ANSWER_BYTES + 1)
                while len(body) <= MAX_ANSWER_BYTES and (more := await answer.content.read(MAX_ANSWER_BYTES)):
                    body += more
                content_type = answer.headers.get("content-type", "application/octet-stream")
                told = {name: answer.headers[name] for name in TOLD_HEADERS if name in answer.headers}
                status = answer.status
        except (aiohttp.ClientError, TimeoutError) as error:
            # The exception's text may hold the URL, and the URL the secret: only its class is told.
            detail = f"the API {self.name!r} could not be reached ({type(error).__name__})"
            raise UpstreamUnavailableError(detail, upstream=self.name) from None
        if len(body) > MAX_ANSWER_BYTES:
            raise TooLargeError(
                f"the answer of {self.name!r} is larger than {MAX_ANSWER_BYTES} bytes",
                limit_bytes=MAX_ANSWER_BYTES,
            )
        return OutsideAnswer(
            status, self._without_secret(content_type.encode()).decode(), self._without_secret(body), told
        )

    def _opens(self, path: str) -> bool:
        """Whole segments are compared: who opens /v1 has not opened /v10."""
        return any(f"{path}/".startswith(f"{opened.rstrip('/')}/") for opened in self.paths)

    def _without_secret(self, said: bytes) -> bytes:
        """Some services quote the request, key and all; the run must not learn it that way."""
        if self.secret is None:
            return said
        plain = self.secret.reveal()
        for form in {plain, quote(plain, safe=""), json.dumps(plain)[1:-1]}:
            said = said.replace(form.encode(), b"[secret]")
        return said

    def _target(self, path: str, query: str) -> tuple[URL, dict[str, str]]:
        headers = {"accept": "application/json, */*;q=0.5", "accept-encoding": "identity"}
        if self.secret is not None:
            match self.placement.where:
                case Where.QUERY:
                    own = f"{self.placement.name}={quote(self.secret.reveal(), safe='')}"
                    query = f"{query}&{own}" if query else own
                case Where.HEADER:
                    headers[self.placement.name] = self.placement.prefix + self.secret.reveal()
                case Where.BEARER:
                    headers["authorization"] = f"Bearer {self.secret.reveal()}"
        text = self.base_url.rstrip("/") + path + (f"?{query}" if query else "")
        return URL(text, encoded=True), headers
