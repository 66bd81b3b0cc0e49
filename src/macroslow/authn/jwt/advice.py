"""What an operator does about a token that is not let in, or that may do nothing: one sentence a cause.

It is for whoever has the configuration. Of what the token says, only names of claims and the words in
them are repeated, cut and escaped. What would make more tokens count is said with its condition: whoever
wrote the token may be the one that it should keep out.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from macroslow.authn.api_keys import is_credential
from macroslow.authn.jwt.check import Examination, Step, listed
from macroslow.authn.jwt.issuer import ClaimMapping, IssuerRules
from macroslow.authn.jwt.token import read
from macroslow.crypto.jose import Algorithm

MAX_DEPTH: Final = 3
_SCOPES: Final = '["inference:chat"]'
_NO_WORDS: Final = frozenset({"aud", "amr"})  # lists of texts in most tokens, and no rights
_TEXTS_OF_WORDS: Final = frozenset({"scope", "scp", "roles", "groups", "permissions"})

_PUBLIC: Final = tuple(each for each in Algorithm if each is not Algorithm.HS256)
_FOREIGN_ALGORITHM: Final = (
    "have the issuer sign with one of those (at Auth0: the API's signing algorithm): {section} can take"
    f" {', '.join(_PUBLIC)}, or with a secret {Algorithm.HS256} alone"
)
_REPAIRS: Final[Mapping[Step, str]] = {
    Step.ALGORITHM: "have the issuer sign with one of those (at Auth0: the API's signing algorithm); if its"
    " openid-configuration names another, add that to algorithms in {section}",
    Step.TYPE: "take the access token, not the ID token; if it is one, add its type to types in {section}",
    Step.KEY: "if no key is known, none came from jwks_url of {section}, and the log says why; else the token"
    " is of another environment of that issuer, or older than its keys: ask for a new one",
    Step.SIGNATURE: "take it again from the issuer: it was changed or cut off on its way, or is a forgery",
    Step.EXPIRY: "ask the issuer for a new one; one without `exp` never counts",
    Step.NOT_BEFORE: "compare the clocks: date -u here, and the issuer's",
    Step.ISSUED: "ask the issuer for a new one; if it is from the future, compare the clocks: date -u",
    Step.AUDIENCE: "ask the issuer for a token for this gateway; if this one is, add its `aud` to audiences"
    " in {section}, or where its tokens have none, write client_ids in its place",
    Step.CLIENT: "if this client may use the gateway, add it to client_ids in {section}",
    Step.CLAIMS: "take the access token, not the ID token; what else is asked for is required in {section}",
    Step.SUBJECT: 'name a claim that all of its tokens have: subject = "client_id" in {section}',
    Step.TEAM: "have the issuer write that claim, or take team_claim out of {section}",
    Step.RIGHTS: "name claims that hold text or lists of it: values in {section}",
    Step.REVOKED: "ask the issuer for a new one: what is issued later counts; macroslow jwt list",
}


def advice(credential: bytes, examination: Examination, issuers: Sequence[IssuerRules]) -> str:
    """What to do about the first step that is not good, or about no scope at all; "": there is no need."""
    step, identity = examination.refused_at, examination.identity
    if step is Step.FORM:
        return _other_form(credential.decode("utf-8", "replace"))
    token = read(credential)
    claims = token.claims
    if step is Step.ISSUER:
        return _other_issuer(claims.get("iss"), issuers)
    rules = next(each for each in issuers if each.name == examination.issuer)
    section = f"[auth.issuers.{rules.name}]"
    if step is Step.ALGORITHM and not _could_be_listed(token.algorithm, rules):
        return _FOREIGN_ALGORITHM.format(section=section)
    if step is not None:
        return _REPAIRS[step].format(section=section)
    return "" if identity and identity.scopes else _no_scope(claims, rules.mapping, section)


def _could_be_listed(algorithm: str, rules: IssuerRules) -> bool:
    return algorithm in _PUBLIC and Algorithm.HS256 not in rules.algorithms


def _other_form(text: str) -> str:
    if text.startswith("{"):
        return "give the access_token alone, without the JSON around it"
    if len(text.split()) > 1:
        return "give the token alone, on one line"
    if text.count(".") == 4:
        return "ask the issuer for a signed token: this has five parts, as an encrypted one (RFC 7516)"
    if is_credential(text) and "." not in text:
        return (
            "keep it to yourself: by its looks it is a key of a provider, and no credential of this gateway"
        )
    if "." not in text:
        return (
            "ask the issuer for a JSON Web Token: this is opaque, as are Auth0's where no audience was asked"
            " for, and Google's access tokens (its ID tokens are not)"
        )
    return "copy it whole: three parts of letters, digits, - and _, with a full stop between them"


def _other_issuer(iss: object, issuers: Sequence[IssuerRules]) -> str:
    if isinstance(iss, str):
        alike = next((each.name for each in issuers if _bare(each.issuer) == _bare(iss)), "")
        if alike:
            return (
                f"in [auth.issuers.{alike}], write issuer as `iss` is to the letter, with or without a slash"
            )
    return (
        "take a token of an issuer that is known here; if this one is yours, write [auth.issuers.NAME] for it"
    )


def _bare(iss: str) -> str:
    """A name without what is often written wrongly."""
    return iss.lower().removeprefix("https://").removeprefix("http://").rstrip("/")


def _no_scope(claims: Mapping[str, Any], mapping: ClaimMapping, section: str) -> str:
    said = mapping.words_in(claims)
    counting = {*mapping.scopes, *mapping.pass_scopes} if mapping.values else set()
    if counting:
        return f"ask the issuer for a token with one of the words that count in {section}: {listed(counting)}"
    if said:
        worth = f'scopes = {{ "WORD" = {_SCOPES} }}'
        return f"in {section}, say what one of its words is worth ({listed(said)}): {worth}"
    looked = listed(".".join(path) for path in mapping.values)
    others = set(_claims_with_words(claims)) - {".".join(path) for path in mapping.values}
    if others:
        where = f"but in {listed(others)}: name one in values, and say what its words are worth in scopes"
    else:
        where = (
            f"nor elsewhere: have the issuer write some, or give always_scopes = {_SCOPES} to all its tokens"
        )
    return f"its claims looked at ({looked}) hold no words, {where}, in {section}"


def _claims_with_words(claims: Mapping[str, Any], above: str = "", depth: int = 1) -> Iterator[str]:
    """The paths of claims that look like rights: lists of texts, and texts of usual names."""
    for name, found in claims.items():
        if not name or name in _NO_WORDS or ("." in name and (above or "://" not in name)):
            continue  # of a name with a full stop no path can be written
        path = f"{above}{name}"
        if isinstance(found, dict) and depth < MAX_DEPTH:
            yield from _claims_with_words(found, f"{path}.", depth + 1)
        elif _is_list_of_words(found) or (isinstance(found, str) and found and name in _TEXTS_OF_WORDS):
            yield path


def _is_list_of_words(found: object) -> bool:
    return isinstance(found, list) and bool(found) and all(isinstance(each, str) for each in found)
