"""Secrets over REST: names and users come out, values never; what is named is not removed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from tests.api.test_api import Site, Story, tell
from tests.builders import dr, site
from willis.config import write
from willis.model.alerts import Alerts, Login, Mail

__all__ = ["tell"]

VALUE = "correct horse battery staple"
NAMING = write(
    replace(
        site(dr()),
        alerts=Alerts(
            mail=(Mail("127.0.0.1", "a@b.example", ("c@b.example",), login=Login("willis", "smtp")),)
        ),
    )
)


def test_a_document_needs_the_secrets_that_it_names(tell: Callable[[Story], None]) -> None:
    async def story(s: Site) -> None:
        refused = await s.post("/plan", 409, document=NAMING)
        assert "alerts names the secret smtp" in refused["detail"]
        await s.post("/apply", 409, document=NAMING)
        assert (await s.http.put("/secrets/smtp", json={"value": VALUE})).status_code == 200
        await s.post("/apply", document=NAMING)
        listed = await s.get("/secrets")
        assert [(row["name"], row["used_by"]) for row in listed["secrets"]] == [("smtp", ["alerts"])]
        assert "used by alerts" in (await s.delete("/secrets/smtp", 409))["detail"]
        await s.post("/undo", 409, author="ann")
        await s.post("/apply", document=write(site(dr())), force=True)
        await s.delete("/secrets/smtp")
        assert (await s.get("/secrets")) == {"secrets": [], "missing": []}
        assert "willis secret set smtp" in (await s.post("/undo", 409, author="ann"))["detail"]

    tell(story)


def test_no_answer_and_no_audit_entry_holds_a_value(tell: Callable[[Story], None]) -> None:
    async def story(s: Site) -> None:
        answers = [
            await s.http.put("/secrets/smtp", json={"value": VALUE}),
            await s.http.put("/secrets/smtp", json={"value": VALUE, "more": VALUE}),
            await s.http.put("/secrets/smtp", json={"value": VALUE + "\0"}),
            await s.http.put("/secrets/..%2Fx", json={"value": VALUE}),
            await s.http.get("/secrets"),
            await s.http.get("/audit/export"),
            await s.http.get("/secrets/smtp"),
        ]
        assert [a.status_code for a in answers] == [200, 422, 409, 404, 200, 200, 405]
        assert not any("horse" in a.text for a in answers)
        assert "PUT /secrets/smtp" in answers[5].text

    tell(story)
