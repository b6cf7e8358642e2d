"""How roles are written in bodies and answers."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from willis.model.identity import PATTERN, Grant, Role


def _pattern(text: str) -> str:
    if not PATTERN.match(text):
        raise ValueError("a service's name, in which * and ? stand for any characters; * alone: all services")
    return text


class GrantBody(BaseModel):
    """A role in some services."""

    model_config = ConfigDict(extra="forbid")

    role: Role
    services: list[Annotated[str, AfterValidator(_pattern)]] = Field(["*"], min_length=1, max_length=100)


GrantBodies = Annotated[list[GrantBody], Field(min_length=1, max_length=20)]


def grants_of(bodies: list[GrantBody]) -> tuple[Grant, ...]:
    """As the model has them."""
    return tuple(Grant(body.role, tuple(body.services)) for body in bodies)


def grant_rows(grants: tuple[Grant, ...]) -> list[dict[str, Any]]:
    """As plain data."""
    return [{"role": grant.role.value, "services": list(grant.services)} for grant in grants]
