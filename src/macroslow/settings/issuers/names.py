"""How common identity providers write their own name in `iss`, and the usual ways to write it wrongly.

A token counts only if its `iss` is the configured one to the letter, so a name that its provider never
writes serves nobody. Judged is only what the provider's own documents settle; any other name is taken
as it is. Nothing is asked over a network.

Sources: OpenID Connect Discovery 1.0, section 4 (where the description is); and the pages of Amazon Cognito
("Verifying JSON web tokens"), Auth0 ("Validate JSON Web Tokens"), Google ("OpenID Connect"), Microsoft Entra
("Access token claims reference") and Keycloak ("Securing applications", endpoints).
"""

import re
from typing import Final
from urllib.parse import urlsplit

from macroslow.values import value

A_POOL: Final = "AbCdEfGhI"
A_TENANT: Final = "00000000-0000-0000-0000-000000000000"
_DESCRIPTION: Final = "/.well-known/"
_GOOGLE: Final = "https://accounts.google.com"
_ENTRA: Final = "https://login.microsoftonline.com"
_POOL: Final = re.compile(r"([a-z]{2}(?:-[a-z]+)+-[0-9])_[A-Za-z0-9]+")
_POOLS_HOST: Final = re.compile(r"cognito-idp\.([a-z0-9-]+)(\.amazonaws\.com(?:\.cn)?)")
_TENANT: Final = re.compile(r"/[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}/v2\.0")
_REALM: Final = re.compile(r"(.*/realms/[^/]+)(/.*)?")
_PLAIN: Final = re.compile(r"https?://[A-Za-z0-9.:-]+(?:/[A-Za-z0-9._~/-]*)?")


@value
class Misnamed:
    """What is wrong with a name, and `right`, the name as it would be: a capital word is to be filled in.

    Where the name is made of settings, `setting` is the one at fault and `part` is what it should be.
    """

    message: str
    right: str
    setting: str = "issuer"
    part: str = ""


def misnamed(preset: str | None, iss: str) -> Misnamed | None:
    """Why no token says `iss`; None if one may. `preset` is what the operator says that it is."""
    if not _PLAIN.fullmatch(iss):  # which is also what may be repeated to whoever wrote it
        return None
    name, described, _ = iss.partition(_DESCRIPTION)
    auth0 = preset == "auth0" or name.rstrip("/").endswith(".auth0.com")
    if described:
        message = "is where the issuer describes itself, and not its name"
        return Misnamed(message, name + "/" * auth0)
    if auth0:
        return None if iss.endswith("/") else Misnamed("lacks the slash that Auth0's tokens have", f"{iss}/")
    return _misnamed(preset, iss)


def _misnamed(preset: str | None, iss: str) -> Misnamed | None:
    parts = urlsplit(iss)
    if pools := _POOLS_HOST.fullmatch(parts.netloc):
        return _misnamed_pool(iss, parts.path.strip("/"), *pools.groups())
    if preset == "keycloak" or "/realms/" in parts.path:
        return _misnamed_realm(iss)
    if iss.startswith(f"{_ENTRA}/") and not _TENANT.fullmatch(parts.path.rstrip("/")):
        message = "is not the id of a tenant, by which alone Entra's tokens name it"
        return Misnamed(message, f"{_ENTRA}/{A_TENANT}/v2.0", "tenant", A_TENANT)
    if iss.startswith((f"{_ENTRA}/", _GOOGLE)):
        return _slash(iss)
    return None


def _misnamed_pool(iss: str, pool_id: str, region: str, domain: str) -> Misnamed | None:
    host = f"https://cognito-idp.{region}{domain}"
    pool = _POOL.fullmatch(pool_id)
    if pool is None:
        message = "is not a user pool's id: the region, _ and letters or digits"
        right = f"{region}_{A_POOL}"
        return Misnamed(message, f"{host}/{right}", "user_pool_id", right)
    if pool[1] != region:
        message = "is another region than the one in the user pool's id"
        return Misnamed(message, f"https://cognito-idp.{pool[1]}{domain}/{pool_id}", "region", pool[1])
    return _slash(iss)


def _misnamed_realm(iss: str) -> Misnamed | None:
    found = _REALM.fullmatch(iss)
    if found is None:
        right = f"{iss.rstrip('/').removesuffix('/realms')}/realms/REALM"
        return Misnamed("names no realm, and a Keycloak's tokens do", right)
    return (
        None
        if found[2] is None
        else Misnamed("goes on after its realm, where a Keycloak's tokens end", found[1])
    )


def _slash(iss: str) -> Misnamed | None:
    right = iss.rstrip("/")
    return None if iss == right else Misnamed("has a slash at its end, and its tokens have none", right)
