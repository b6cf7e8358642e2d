"""The routes of one's own account: sessions, password, second factor."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, Request
from pydantic import Field

from willis.api.grants import grant_rows
from willis.api.identity import Password, SecretBody
from willis.api.needs import Asking, needs
from willis.api.types import SecretText
from willis.control.changes import Refused, Unknown
from willis.control.identity import SESSION_SCHEME, Identity
from willis.model.identity import Caller, Need, Session, Way

Json = dict[str, Any]


class PasswordBody(SecretBody):
    """Another password."""

    old: Password
    new: Password


class ProofBody(SecretBody):
    """That it is still the same person who sits there."""

    password: Password


class CodeBody(SecretBody):
    """What the app shows."""

    code: SecretText = Field(max_length=100)


def routes(app: FastAPI, identity: Identity, node: str) -> None:
    """Add them to ``app``. ``node``: its name, which an app shows beside the codes."""
    _sessions(app, identity)
    _second_factor(app, identity, node)

    @app.get("/api/v1/me", **needs(Need.SELF))
    async def me(who: Asking) -> Json:
        """Who asks, and what they may do."""
        user = identity.users.get(who.name) if who.way is Way.SESSION else None
        return {
            "name": who.name,
            "way": who.way.value,
            "grants": grant_rows(who.grants),
            "second_factor": user is not None and user.second_factor,
        }

    @app.post("/api/v1/me/password", **needs(Need.SELF))
    async def password(body: PasswordBody, who: Asking) -> Json:
        """Another password; all sessions of this user end, this one too."""
        old, new = body.old.get_secret_value(), body.new.get_secret_value()
        await identity.change_password(_user(who), old, new, who.source)
        return {"name": who.name}


def _sessions(app: FastAPI, identity: Identity) -> None:
    @app.post("/api/v1/logout", **needs(Need.SELF))
    async def logout(request: Request) -> Json:
        """End the session that asks."""
        scheme, _, key = request.headers.get("authorization", "").partition(" ")
        found = scheme.casefold() == SESSION_SCHEME.casefold()
        if found:
            identity.sessions.end(key)
        return {"ended": int(found)}

    @app.get("/api/v1/me/sessions", **needs(Need.SELF))
    async def sessions(who: Asking) -> Json:
        """Where one is signed in."""
        return {"sessions": [session_row(s) for s in identity.sessions.all(_user(who))]}

    @app.delete("/api/v1/me/sessions", **needs(Need.SELF))
    async def end_all(who: Asking) -> Json:
        """End all of one's sessions, this one too."""
        return {"ended": identity.sessions.end_all(_user(who))}

    @app.delete("/api/v1/me/sessions/{session}", **needs(Need.SELF))
    async def end(session: str, who: Asking) -> Json:
        """End one of them."""
        return ended(identity.sessions.end_of(session, _user(who)), session)


def _second_factor(app: FastAPI, identity: Identity, node: str) -> None:
    @app.post("/api/v1/me/second-factor", **needs(Need.SELF))
    async def begin(body: ProofBody, who: Asking) -> Json:
        """A secret for an app that makes codes; it counts once a code of it is confirmed."""
        await identity.prove_again(_user(who), body.password.get_secret_value(), who.source)
        secret, uri = identity.second_factors.begin(who.name, node)
        return {"secret": secret, "uri": uri}

    @app.post("/api/v1/me/second-factor/confirm", **needs(Need.SELF))
    async def confirm(body: CodeBody, who: Asking) -> Json:
        """From here on a code is asked for at sign-in. Recovery codes, each for one time without the app."""
        codes = identity.second_factors.confirm(_user(who), body.code.get_secret_value())
        return {"recovery_codes": list(codes)}

    @app.post("/api/v1/me/second-factor/remove", **needs(Need.SELF))
    async def remove(body: ProofBody, who: Asking) -> Json:
        """The password is enough again; all sessions of this user end, this one too."""
        await identity.prove_again(_user(who), body.password.get_secret_value(), who.source)
        identity.reset_second_factor(who.name)
        return {"name": who.name}


def session_row(session: Session) -> Json:
    """A session as plain data, without what opens it."""
    return {
        "session": session.handle,
        "name": session.name,
        "how": session.how,
        "source": session.source,
        "begun": session.begun,
        "seen": session.seen,
    }


def ended(found: bool, handle: str) -> Json:
    """Raises Unknown where there was none."""
    if not found:
        raise Unknown(f"there is no session {handle!r} to end; it may have ended by itself")
    return {"ended": 1}


def _user(who: Caller) -> str:
    """Whose sessions and password these are. Raises Refused for those who have none."""
    if who.way is not Way.SESSION:
        raise Refused(f"{who.name} comes by {who.way} and has neither sessions nor a password here")
    return who.name
