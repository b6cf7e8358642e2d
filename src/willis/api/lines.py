"""Answers that go on: a JSON object a line."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator


async def ndjson(found: AsyncIterator[dict[str, object]]) -> AsyncIterator[bytes]:
    """Each object as a line."""
    async for line in found:
        yield json.dumps(line).encode() + b"\n"
