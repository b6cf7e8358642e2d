"""Judges the target of a request before anything looks at its path. Pure.

Ways of writing a path that mean one thing to a front and another to what stands behind it are
how management interfaces were taken over (F5 CVE-2020-5902 by ``/..;/``, Citrix CVE-2019-19781
by ``/../``). No path of ours needs any of them, so all are refused and none is repaired.
"""

from __future__ import annotations

import re
from urllib.parse import unquote_to_bytes

LONGEST = 4096
"""Bytes of a target, path and query together."""

_PATH = re.compile(rb"/[A-Za-z0-9._~!$&'()*+,=:@%/-]*\Z")
"""What RFC 3986 allows in a path, without ``;``."""
_ENCODED = re.compile(rb"%(..)?", re.DOTALL)
_NEVER_ENCODED = frozenset(b"./\\;%")
"""With ``%`` nothing can be encoded twice."""


def refused(target: bytes) -> str | None:
    """Why a request's target, as it came, is not served; None: it may be looked at further."""
    if len(target) > LONGEST:
        return f"the target is longer than {LONGEST:,} bytes"
    path = target.partition(b"?")[0]
    if not _PATH.match(path):
        return "the path holds something that no path of Willis has"
    segments = path[1:].split(b"/")
    if b"." in segments or b".." in segments:
        return "the path has a segment of dots"
    if b"" in segments and path != b"/":
        return "the path has an empty segment"
    return _badly_encoded(path)


def _badly_encoded(path: bytes) -> str | None:
    for digits in _ENCODED.findall(path):
        if not re.fullmatch(rb"[0-9A-Fa-f]{2}", digits):
            return "a percent sign in the path begins no encoding"
        byte = int(digits, 16)
        if byte in _NEVER_ENCODED or byte < 0x20 or byte == 0x7F:
            return "the path encodes a byte that may only stand there plainly, or not at all"
    try:
        unquote_to_bytes(path).decode("utf-8")
    except UnicodeDecodeError:
        return "the path is no UTF-8"
    return None
