"""Hostile texts through the API: each is answered, none with a failure, and all can be read back."""

from __future__ import annotations

import json
from collections.abc import Callable
from urllib.parse import quote

from tests.api.test_api import DOCUMENT, Site, Story
from tests.api.test_api import tell as tell  # noqa: PLC0414 - a fixture
from tests.unit.config.hostile import TEXTS

_JSON = {"Content-Type": "application/json"}
_PATHS = ("/status/{}", "/explain/{}/{}", "/sessions/{}", "/services/{}", "/hosts/{}", "/revisions/{}")
_BODIES = (
    ("/apply", {"document": "", "reason": "", "author": ""}),
    ("/drain", {"where": "", "reason": ""}),
    ("/validate", {"document": ""}),
    ("/tokens", {"name": ""}),
    ("/users", {"name": ""}),
)


def test_no_text_makes_it_fail(tell: Callable[[Story], None]) -> None:
    async def story(at: Site) -> None:
        for text in TEXTS[::3]:
            short = text[:2000]
            name = quote(short.encode("utf-8", "surrogatepass"), safe="")
            for path in _PATHS:
                answer = await at.http.get(f"{path.format(name, name)}?limit={name}&cursor={name}")
                assert answer.status_code < 500, (path, text[:40])
            for path, body in _BODIES:
                raw = json.dumps({**body, **dict.fromkeys(body, text)})
                answer = await at.http.post(path, content=raw, headers=_JSON)
                assert answer.status_code < 500, (path, text[:40])

    tell(story)


def test_reasons_are_kept_and_read_back(tell: Callable[[Story], None]) -> None:
    async def story(at: Site) -> None:
        kept = 0
        for number, text in enumerate(TEXTS[::2]):
            document = f"{DOCUMENT}# {number}\n"
            raw = json.dumps({"document": document, "author": "ann", "reason": text})
            answer = await at.http.post("/apply", content=raw, headers=_JSON)
            assert answer.status_code < 500, text[:40]
            kept += answer.status_code == 200
        assert kept > 10
        for path in ("/history", "/audit"):
            answer = await at.http.get(path)
            assert answer.status_code == 200
        assert all(str(value).isprintable() for row in answer.json()["entries"] for value in row.values())

    tell(story)
