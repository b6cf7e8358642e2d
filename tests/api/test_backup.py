"""Backups over REST: for a recipient or under a passphrase, one of both; a refusal repeats neither."""

from __future__ import annotations

from collections.abc import Callable

from tests.api.test_api import DOCUMENT, Site, Story, tell
from willis.control.backup import unpack
from willis.control.backup_seal import Identity

__all__ = ["tell"]


def test_a_backup_for_a_recipient_opens_with_its_identity_alone(tell: Callable[[Story], None]) -> None:
    async def story(s: Site) -> None:
        await s.post("/apply", document=DOCUMENT)
        identity = Identity.make()
        answer = await s.http.post("/backup", json={"recipient": identity.recipient.line})
        assert answer.status_code == 200, answer.text
        assert answer.headers["Content-Type"] == "application/octet-stream"
        manifest, files = unpack(answer.content, identity)
        assert (manifest.node, manifest.revision) == ("lb1", 1)
        assert "willis.db" in files

    tell(story)


def test_what_closes_nothing_is_refused_and_not_repeated(tell: Callable[[Story], None]) -> None:
    async def story(s: Site) -> None:
        identity = Identity.make()
        line, pem = identity.recipient.line, identity.pem().decode()
        for body, status, sentence in (
            ({}, 409, "either a passphrase or a recipient"),
            ({"passphrase": "correct horse battery", "recipient": line}, 409, "either"),
            ({"passphrase": "short"}, 409, "fewer than 12"),
            ({"recipient": pem}, 409, "no X25519 public key"),
            ({"recipient": "MCowBQYDK2VuAyEA" + "A" * 43 + "="}, 409, "weak"),
            ({"recipient": pem * 20}, 422, "1000"),
            ({"recipient": [pem]}, 422, "string"),
        ):
            answer = await s.http.post("/backup", json=body)
            assert answer.status_code == status, answer.text
            assert sentence in answer.text
            assert pem.splitlines()[1] not in answer.text
        trail = (await s.http.get("/audit/export")).text
        assert "POST /backup" in trail
        assert pem.splitlines()[1] not in trail

    tell(story)
