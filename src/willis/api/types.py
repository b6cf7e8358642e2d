"""The bodies of requests. Answers are the shapes that the command line prints with ``--json``."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr

Document = Annotated[str, Field(max_length=8 * 1024 * 1024, description="The site document, YAML")]


def _whole(secret: SecretStr) -> SecretStr:
    """JSON can write half a character (RFC 8259, 8.2); no bytes stand for it."""
    if any("\ud800" <= c <= "\udfff" for c in secret.get_secret_value()):
        raise ValueError("it holds half a character")
    return secret


SecretText = Annotated[SecretStr, AfterValidator(_whole)]
"""What is never repeated."""


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class DocumentBody(_Body):
    """A document to look at."""

    document: Document


class AuthorBody(_Body):
    """Who asks."""

    author: str = Field("unknown", max_length=100)


class WishBody(AuthorBody):
    """Who wants a change, why, and under which conditions."""

    reason: str = Field("", max_length=1000)
    force: bool = Field(False, description="Apply although the guard refuses")
    checksum: str | None = Field(None, max_length=64, description="Apply only the plan of this name")
    confirm_s: int | None = Field(
        None, ge=10, le=86_400, description="Seconds to confirm it, or what ran before returns by itself"
    )


class ApplyBody(DocumentBody, WishBody):
    """A document to make the running one."""


class ValueBody(_Body):
    """An entry of the document as it shall be."""

    value: dict[str, Any] | str = Field(description="Its keys; of a host, its address is enough")


class OrderBody(_Body):
    """Which real servers an order is for."""

    where: str = Field(max_length=130, description="HOST, or SERVICE/HOST")
    force: bool = Field(False, description="Although a service is left without servers")
    for_s: int | None = Field(
        None, ge=1, le=30 * 86_400, description="Seconds until it comes back online by itself"
    )
    halt_when_idle: bool = Field(False, description="Of a drain: halt once no connection is left")
