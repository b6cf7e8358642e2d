"""What ``willis web`` may be started with, judged before anything is done."""

from __future__ import annotations

import re
from collections.abc import Sequence
from ipaddress import ip_address, ip_network
from pathlib import Path

from willis.web.hosts import Network
from willis.web.server import Settings
from willis.web.tls import Files

_LISTEN = re.compile(r"(?P<host>[0-9.]+|\[[0-9A-Fa-f:.]+\]):(?P<port>[0-9]{1,5})")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,252}")


class Unfit(Exception):
    """An option has a value that it must not have; the text says what it may be."""


def read(
    listen: Sequence[str],
    names: Sequence[str] | None,
    networks: Sequence[str] | None,
    certificate: Path | None,
    key: Path | None,
    run: Path,
    state: Path,
    user: str,
) -> Settings:
    """Raises Unfit."""
    if (certificate is None) != (key is None):
        raise Unfit("--certificate and --key go together")
    files = Files(certificate, key) if certificate is not None and key is not None else None
    return Settings(
        listen=tuple(_address(text) for text in listen),
        run=run,
        state=state,
        user=user,
        names=tuple(_name(text) for text in names or ()),
        networks=tuple(_network(text) for text in networks or ()),
        files=files,
    )


def _address(text: str) -> tuple[str, int]:
    found = _LISTEN.fullmatch(text)
    try:
        if found is None or not 0 <= int(found["port"]) <= 65_535:
            raise ValueError
        return str(ip_address(found["host"].strip("[]"))), int(found["port"])
    except ValueError:
        raise Unfit(
            f"--listen takes an address and a port, as in 10.60.0.2:8443 or [::]:8443, not {text!r}"
        ) from None


def _name(text: str) -> str:
    if not _NAME.fullmatch(text):
        raise Unfit(f"--host takes a host name or an address without port, not {text!r}")
    return text


def _network(text: str) -> Network:
    try:
        return ip_network(text)
    except ValueError:
        raise Unfit(f"--allow takes a network, as in 10.60.0.0/24, not {text!r}") from None
