"""Asks OCSP responders over HTTP (RFC 6960, A.1). Bounded in time and size, and led nowhere else.

The URL comes out of a certificate, so it is a stranger's word: only plain HTTP as OCSP
uses it, and no redirect, which would let a responder aim our requests at the site's network.
"""

from __future__ import annotations

import httpx

_ANSWER_S = 10.0
_LARGEST = 64 * 1024
"""Bytes; answers have one to four thousand."""


class ResponderError(Exception):
    """A responder did not answer; the text says why."""


def ask(url: str, question: bytes) -> bytes:
    """The answer in DER, not judged yet. Raises ResponderError."""
    headers = {"Content-Type": "application/ocsp-request", "Accept": "application/ocsp-response"}
    try:
        with (
            httpx.Client(timeout=_ANSWER_S, follow_redirects=False) as http,
            http.stream("POST", url, content=question, headers=headers) as answer,
        ):
            if answer.status_code != httpx.codes.OK:
                raise ResponderError(f"{url} answers HTTP {answer.status_code}")
            found = b""
            for part in answer.iter_bytes():
                found += part
                if len(found) > _LARGEST:
                    raise ResponderError(f"{url} answers more than {_LARGEST} bytes")
            return found
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        raise ResponderError(f"{url} does not answer: {error or type(error).__name__}") from error
