"""Answers that go on: a JSON object a line."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable


async def ndjson(found: AsyncIterator[dict[str, object]], still: Callable[[], bool]) -> AsyncIterator[bytes]:
    """Each object as a line, for as long as the client would be let in."""
    async for line in found:
        if not still():
            return
        yield json.dumps(line).encode() + b"\n"
