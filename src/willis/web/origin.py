"""Tells a browser's own request from one that a foreign page made it send. Pure.

A cookie goes along whoever wrote the page; ``Sec-Fetch-Site`` and ``Origin`` are set by the browser
and out of a page's reach (W3C Fetch Metadata; RFC 6454). A token is never sent by itself, so
requests with an ``Authorization`` header need no such proof.
"""

from __future__ import annotations

from collections.abc import Mapping

_HARMLESS = frozenset({"GET", "HEAD"})


def forged(method: str, headers: Mapping[str, str], *, cookie: bool) -> str | None:
    """Why a request may be a foreign page's; None: it is not, or it changes nothing.

    ``headers`` by names in lower case. ``cookie``: a session's cookie came along.
    """
    if method in _HARMLESS or "authorization" in headers:
        return None
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if site is not None and site not in ("same-origin", "none"):
        return f"the browser says that it comes from another site ({_shown(site)})"
    if origin is not None and origin.lower() != f"https://{headers.get('host', '')}".lower():
        return f"it comes from {_shown(origin)}, not from this node's own pages"
    if cookie and site is None and origin is None:
        return "it has a session's cookie, but neither Origin nor Sec-Fetch-Site says which page sent it"
    return None


def _shown(value: str) -> str:
    return ascii(value[:100])
