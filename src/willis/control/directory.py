"""The client of a directory (LDAP, RFC 4511; Active Directory): a name and a password, groups for grants.

It binds as whoever signs in, over LDAPS alone, so there is no account of ours to keep. Bonsai is
an optional extra (``pip install willis[ldap]``): it needs OpenLDAP's library.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from willis.certificates.store import CertificateError
from willis.control.changes import Refused
from willis.control.passwords import Busy
from willis.control.vouched import Person, Unproved, person
from willis.model.identity import NAME
from willis.model.sign_in import Ldap

try:
    import bonsai
except ImportError:
    bonsai = None

log = logging.getLogger("willis.identity")

Find = Callable[[str], Path]
"""Where an authority of the certificate store is, by its name."""

_PATIENCE_S = 5.0
_AT_ONCE = 4
_MOST_GROUPS = 1000
_WRONG = "name, password or code is wrong"


class Directory:
    """``find`` may raise CertificateError; ``setting``: what the document says now."""

    def __init__(self, find: Find, setting: Callable[[], Ldap | None]) -> None:
        self._find = find
        self._setting = setting
        self._asking = 0

    def ask(self, name: str, password: str) -> Coroutine[None, None, Person] | None:
        """None: the document names no directory."""
        ldap = self._setting()
        return None if ldap is None else self.person(ldap, name, password)

    async def person(self, ldap: Ldap, name: str, password: str) -> Person:
        """Who it is. Raises Unproved, Refused where no server can be asked, Busy."""
        if bonsai is None:
            raise Refused(
                "the document names a directory, but LDAP is not installed: pip install willis[ldap]"
            )
        # An empty password would be an anonymous bind, which succeeds (RFC 4513, 5.1.2).
        if not NAME.match(name) or not password:
            raise Unproved(_WRONG)
        if self._asking >= _AT_ONCE:
            raise Busy("too many sign in at this moment; try again")
        self._asking += 1
        try:
            groups = await asyncio.to_thread(_ask, ldap, self._authority(ldap), name, password)
        finally:
            self._asking -= 1
        return person(name.lower(), groups, ldap.grants)

    def _authority(self, ldap: Ldap) -> str:
        try:
            if ldap.authority is not None:
                return str(self._find(ldap.authority))
        except CertificateError as error:
            raise Refused(
                f"the authority {ldap.authority} of the directory cannot be used: {error}"
            ) from error
        return ssl.get_default_verify_paths().cafile or "/etc/ssl/certs/ca-certificates.crt"


def _ask(ldap: Ldap, authority: str, name: str, password: str) -> set[str]:
    """Common names and distinguished names of the groups, of the first server that answers."""
    for server in ldap.servers:
        try:
            return _groups(_client(ldap, server, authority, name, password), ldap, name)
        except bonsai.AuthenticationError:
            raise Unproved(_WRONG) from None
        except bonsai.LDAPError as error:
            log.warning("the directory server %s cannot be asked: %s", server, error)
    raise Refused("no directory server can be asked; the engine's log says why")


def _client(ldap: Ldap, server: str, authority: str, name: str, password: str) -> Any:  # noqa: ANN401 - untyped
    client = bonsai.LDAPClient(f"ldaps://{server}:{ldap.port}")
    client.set_cert_policy("demand")
    client.set_ca_cert(authority)
    client.set_credentials("SIMPLE", user=_bound(ldap, name), password=password)
    return client


def _bound(ldap: Ldap, name: str) -> str:
    """Whom to bind as. A name of the allow-list has nothing that a distinguished name must escape."""
    return ldap.bind.replace("{name}", name)


def _groups(client: Any, ldap: Ldap, name: str) -> set[str]:  # noqa: ANN401 - untyped
    with client.connect(timeout=_PATIENCE_S) as connection:
        member, user = (bonsai.escape_filter_exp(each) for each in (_entry(connection, ldap, name), name))
        wanted = f"(|(member={member})(uniqueMember={member})(memberUid={user}))"
        found = connection.search(
            ldap.base,
            bonsai.LDAPSearchScope.SUBTREE,
            wanted,
            ["cn"],
            timeout=_PATIENCE_S,
            sizelimit=_MOST_GROUPS,
        )
    return {str(entry.dn) for entry in found} | {str(each) for entry in found for each in entry.get("cn", ())}


def _entry(connection: Any, ldap: Ldap, name: str) -> str:  # noqa: ANN401 - untyped
    """The distinguished name of whoever signed in."""
    bound = _bound(ldap, name)
    if "=" in bound:
        return bound
    full, user = (bonsai.escape_filter_exp(each) for each in (bound, name))
    wanted = f"(|(userPrincipalName={full})(sAMAccountName={user})(uid={user})(mail={full}))"
    found = connection.search(
        ldap.base, bonsai.LDAPSearchScope.SUBTREE, wanted, ["cn"], timeout=_PATIENCE_S, sizelimit=2
    )
    if len(found) != 1:
        raise Unproved(f"below {ldap.base} there are {len(found)} entries of {name}, where one is needed")
    return str(found[0].dn)
