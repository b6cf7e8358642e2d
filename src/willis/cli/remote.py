"""Another machine's node, as the command line reaches it: HTTPS to its web process, with a token.

``WILLIS_URL``, ``WILLIS_TOKEN_FILE``, and what tells that it is really that node: ``WILLIS_CA`` (a PEM
file), ``WILLIS_FINGERPRINT`` (of its certificate, SHA-256), or else the system's authorities.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_URL = re.compile(r"https://(?P<host>[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:(?P<port>[0-9]{1,5}))?/?")
_TOKEN = re.compile(r"willis_[A-Za-z0-9_-]{20,100}")
_FINGERPRINT = re.compile(r"[0-9A-F]{64}")
_PATIENCE_S = 10.0


class NotReachable(Exception):
    """The node cannot be asked; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class Remote:
    """Where it is, and what it is asked with."""

    url: str
    token: str | None
    """None: somebody signs in."""
    trust: ssl.SSLContext


def from_environment(environment: Mapping[str, str], *, token: bool = True) -> Remote | None:
    """The node that ``WILLIS_URL`` names, asked with a ``token`` or not; None: none. Raises NotReachable."""
    url = environment.get("WILLIS_URL")
    if not url:
        return None
    found = _URL.fullmatch(url)
    if found is None:
        raise NotReachable(f"WILLIS_URL is https://HOST or https://HOST:PORT, not {url[:200]!r}")
    host, port = found["host"].strip("[]"), int(found["port"] or 443)
    with_token = _token(environment.get("WILLIS_TOKEN_FILE")) if token else None
    return Remote(url.rstrip("/"), with_token, _trust(environment, host, port))


def _token(file: str | None) -> str:
    if not file:
        raise NotReachable(
            "with WILLIS_URL, WILLIS_TOKEN_FILE names a file with a token of 'willis token add'"
        )
    try:
        if Path(file).stat().st_mode & 0o077:
            raise NotReachable(f"others may read the token in {file}: run 'chmod 600 {file}'")
        token = Path(file).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise NotReachable(f"cannot read the token in {file}: {error}") from error
    if not _TOKEN.fullmatch(token):
        raise NotReachable(f"{file} holds no token; one begins with willis_")
    return token


def _trust(environment: Mapping[str, str], host: str, port: int) -> ssl.SSLContext:
    authority, wanted = environment.get("WILLIS_CA"), environment.get("WILLIS_FINGERPRINT")
    if wanted:
        return _pinned(wanted, host, port)
    try:
        return ssl.create_default_context(cafile=authority or None)
    except OSError as error:
        raise NotReachable(f"cannot use WILLIS_CA={authority}: {error}") from error


def _pinned(wanted: str, host: str, port: int) -> ssl.SSLContext:
    """Trusts one certificate alone, whoever signed it and whatever names are in it."""
    plain = wanted.replace(":", "").upper()
    if not _FINGERPRINT.fullmatch(plain):
        raise NotReachable("WILLIS_FINGERPRINT has 64 hexadecimal digits, with or without colons")
    try:
        shown = ssl.get_server_certificate((host, port), timeout=_PATIENCE_S)
    except OSError as error:
        raise NotReachable(f"nothing answers at {host}:{port} ({error}); see WILLIS_URL") from error
    found = hashlib.sha256(ssl.PEM_cert_to_DER_cert(shown)).hexdigest().upper()
    if not hmac.compare_digest(found, plain):
        raise NotReachable(
            f"{host}:{port} shows another certificate: {found}. Either it was replaced, and 'willis web' "
            "printed this fingerprint on that node when it started, or it is not that node"
        )
    context = ssl.create_default_context(cadata=shown)
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.check_hostname = False
    return context
