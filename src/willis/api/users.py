"""The routes for administrators of users, tokens and sessions. A token is shown once; no hash goes out."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from pydantic import ConfigDict, Field, IPvAnyNetwork

from willis.api.grants import GrantBodies, grant_rows, grants_of
from willis.api.identity import Password, SecretBody
from willis.api.me import ended, session_row
from willis.api.needs import Asking, needs
from willis.control.changes import Refused, Unknown
from willis.control.identity import Identity
from willis.control.tokens import TokenWish
from willis.model.identity import NAME, Need, Token, User

Json = dict[str, Any]
_DAY_S = 86_400


class UserBody(SecretBody):
    """What is given is set, what is not stays. A new user needs both."""

    grants: GrantBodies | None = None
    password: Password | None = None


class TokenBody(SecretBody):
    """A token to be made."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(max_length=64)
    grants: GrantBodies
    lasts_s: int = Field(90 * _DAY_S, ge=60, le=1830 * _DAY_S, description="Seconds until it expires")
    networks: list[IPvAnyNetwork] = Field(
        [], max_length=100, description="Where it may come from; none: from anywhere"
    )


def routes(app: FastAPI, identity: Identity) -> None:
    """Add them to ``app``."""
    _users(app, identity)
    _tokens(app, identity)

    @app.get("/api/v1/user-sessions", **needs(Need.ADMINISTER))
    async def sessions() -> Json:
        """Who is signed in, from where."""
        return {"sessions": [session_row(s) for s in identity.sessions.all()]}

    @app.delete("/api/v1/user-sessions", **needs(Need.ADMINISTER))
    async def end_all(user: str | None = None) -> Json:
        """End all sessions, or those of one user."""
        return {"ended": identity.sessions.end_all(user)}

    @app.delete("/api/v1/user-sessions/{session}", **needs(Need.ADMINISTER))
    async def end(session: str) -> Json:
        """End one session."""
        return ended(identity.sessions.end_of(session), session)

    @app.post("/api/v1/setup-code", **needs(Need.ADMINISTER))
    async def setup_code() -> Json:
        """Another one-time code for the first administrator; those before count no more."""
        return {"code": identity.new_setup_code()}


def _users(app: FastAPI, identity: Identity) -> None:
    @app.get("/api/v1/users", **needs(Need.ADMINISTER))
    async def users() -> Json:
        """Whom the node knows by itself."""
        return {"users": [_user_row(user) for user in identity.users.all()]}

    @app.get("/api/v1/users/{name}", **needs(Need.ADMINISTER))
    async def user(name: str) -> Json:
        """One of them."""
        return _user_row(identity.user(name))

    @app.put("/api/v1/users/{name}", **needs(Need.ADMINISTER))
    async def set_user(name: str, body: UserBody) -> Json:
        """Make a user, or give another role or password; the user's sessions end."""
        grants = None if body.grants is None else grants_of(body.grants)
        password = None if body.password is None else body.password.get_secret_value()
        return _user_row(await identity.set_user(name, grants, password))

    @app.delete("/api/v1/users/{name}", **needs(Need.ADMINISTER))
    async def remove_user(name: str) -> Json:
        """Forget a user; their sessions end. The last administrator stays."""
        identity.remove_user(name)
        return {"name": name}

    @app.delete("/api/v1/users/{name}/second-factor", **needs(Need.ADMINISTER))
    async def reset_second_factor(name: str) -> Json:
        """For somebody who lost the app and the recovery codes; their sessions end."""
        identity.reset_second_factor(name)
        return _user_row(identity.user(name))


def _tokens(app: FastAPI, identity: Identity) -> None:
    @app.get("/api/v1/tokens", **needs(Need.ADMINISTER))
    async def tokens() -> Json:
        """All API tokens, those that have expired too."""
        return {"tokens": [_token_row(token) for token in identity.tokens.all()]}

    @app.post("/api/v1/tokens", status_code=201, **needs(Need.ADMINISTER))
    async def make_token(body: TokenBody, who: Asking) -> Json:
        """Make a token. This answer is the only one that holds it."""
        if not NAME.match(body.name):
            raise Refused("a token's name has 1 to 64 letters, digits and . _ @ -, and begins with no sign")
        wish = TokenWish(body.name, grants_of(body.grants), body.lasts_s, tuple(body.networks))
        secret = identity.tokens.make(wish, who.name)
        if secret is None:
            raise Refused(f"there is a token {body.name} already; remove it first, or choose another name")
        return _token_row(_token(identity, body.name)) | {"token": secret}

    @app.get("/api/v1/tokens/{name}", **needs(Need.ADMINISTER))
    async def token(name: str) -> Json:
        """One of them."""
        return _token_row(_token(identity, name))

    @app.delete("/api/v1/tokens/{name}", **needs(Need.ADMINISTER))
    async def remove_token(name: str) -> Json:
        """It opens nothing any more."""
        _token(identity, name)
        identity.tokens.remove(name)
        return {"name": name}


def _token(identity: Identity, name: str) -> Token:
    found = next((token for token in identity.tokens.all() if token.name == name), None)
    if found is None:
        raise Unknown(f"there is no token {name}; see 'willis token list'")
    return found


def _user_row(user: User) -> Json:
    return {
        "name": user.name,
        "grants": grant_rows(user.grants),
        "second_factor": user.second_factor,
        "changed": user.changed,
    }


def _token_row(token: Token) -> Json:
    return {
        "name": token.name,
        "grants": grant_rows(token.grants),
        "networks": [str(network) for network in token.networks],
        "created": token.created,
        "created_by": token.created_by,
        "expires": token.expires,
        "used": token.used,
    }
