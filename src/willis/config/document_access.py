"""The part of the document that says who else vouches for people who sign in."""

from __future__ import annotations

from willis.config.fields import Key, Many, Record
from willis.config.scalars import Choice, Name, Text
from willis.config.words import AUTHORITY, PORT, URL
from willis.model.identity import Role
from willis.model.sign_in import GroupGrant, Ldap, Oidc, SignIn

_CLIENT = Text(
    "client id", r"[A-Za-z0-9][A-Za-z0-9._:/@-]{0,199}", "1 to 200 letters, digits and ._:/@-", "willis"
)
_CLAIM = Text("claim", r"[A-Za-z][A-Za-z0-9._:/-]{0,99}", "1 to 100 letters, digits and ._:/-", "groups")
_GROUP = Text(
    "group",
    r"[A-Za-z0-9/][A-Za-z0-9 ._@:/=,&+-]{0,199}",
    "1 to 200 letters, digits, spaces and ._@:/=,&+-",
    "PACS Administrators",
)
_SERVICES = Text(
    "pattern",
    r"[A-Za-z0-9*?][A-Za-z0-9._*?-]{0,62}",
    "a service's name, in which * and ? stand for any",
    '"Dicom*"',
)

_DIRECTORY = Text(
    "server",
    r"[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?",
    "a host name or an IPv4 address",
    "dc1.example.org",
)
_DN = r"[A-Za-z0-9 ._=,@-]{0,200}"
_BIND = Text(
    "name to bind as",
    _DN + r"\{name\}" + _DN,
    "a distinguished name or a principal name with {name} in it",
    '"{name}@example.org" or "uid={name},ou=people,dc=example,dc=org"',
)
_BASE = Text(
    "distinguished name", r"[A-Za-z]+=[A-Za-z0-9 ._=,-]{1,200}", "a distinguished name", "dc=example,dc=org"
)

GRANT = Record(
    "Grant",
    (
        Key("group", _GROUP, "The group as the provider calls it, or its id.", required=True),
        Key("role", Choice(Role), "What its members are here.", required=True),
        Key(
            "services",
            Many("pattern", _SERVICES, most=64, bare=True),
            "In which services, by name; `*` and `?` stand for any characters.",
            default="all",
        ),
    ),
    makes=GroupGrant,
)
OIDC = Record(
    "OpenID provider",
    (
        Key("issuer", URL, "Its URL, exactly as its ID tokens say it.", required=True),
        Key("client-id", _CLIENT, "What this node is called there.", required=True),
        Key(
            "secret",
            Name("secret"),
            "The client's secret: a name of `willis secret set`, never the secret itself.",
            required=True,
        ),
        Key("groups-claim", _CLAIM, "The claim of its ID tokens that lists groups.", default="`groups`"),
        Key(
            "authority",
            AUTHORITY,
            "Who signed its certificate, by name in the store.",
            default="the system's",
        ),
        Key(
            "grants",
            Many("grant", GRANT, most=64),
            "What groups may do. Who is in none of them does not get in.",
            required=True,
        ),
    ),
    makes=Oidc,
)
LDAP = Record(
    "Directory",
    (
        Key(
            "servers",
            Many("server", _DIRECTORY, most=8, bare=True),
            "Its servers; the next one is asked where one does not answer.",
            required=True,
        ),
        Key("port", PORT, "Their port, for LDAP over TLS.", default="`636`"),
        Key(
            "authority",
            AUTHORITY,
            "Who signed their certificates, by name in the store.",
            default="the system's",
        ),
        Key("bind", _BIND, "Whom to bind as; `{name}` is the name that was typed.", required=True),
        Key("base", _BASE, "Below this, users and groups are looked for.", required=True),
        Key(
            "grants",
            Many("grant", GRANT, most=64),
            "What groups may do, by common or distinguished name. Who is in none of them does not get in.",
            required=True,
        ),
    ),
    makes=Ldap,
)
ACCESS = Record(
    "Access",
    (
        Key("oidc", OIDC, "An OpenID provider where people sign in, with a browser.", default="none"),
        Key("ldap", LDAP, "A directory that knows names and passwords.", default="none"),
    ),
    makes=SignIn,
)
