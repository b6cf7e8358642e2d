"""Beside the loop: what is ordered when, what is said, and that nothing good is lost."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.unit.acme.authority import make
from willis.acme.account import Account
from willis.acme.client import AcmeError, Issued
from willis.acme.ready import Ready
from willis.certificates.store import CertificateStore
from willis.control import renewal as module
from willis.control.changes import Refused
from willis.control.loop import Loop
from willis.control.renewal import Renewal
from willis.model.config import Acme, AcmeCertificate, Config
from willis.model.status import Status

CA = make("Test CA", authority=True)
DOMAIN = "pacs.example.org"
CONFIG = Config(acme=Acme("https://ca.example.org/dir", certificates=(AcmeCertificate("pacs", (DOMAIN,)),)))


@dataclass
class Authority:
    """Stands in for the ACME client; what it speaks is proved by the drill against Pebble."""

    orders: int = 0
    refuses: str | None = None
    life: timedelta = timedelta(days=90)
    wrong_key: bool = False

    def __call__(self, *_: object) -> Issued:
        self.orders += 1
        if self.refuses is not None:
            raise AcmeError(self.refuses)
        made = make(DOMAIN, CA, domains=(DOMAIN,), life=self.life)
        key = make(DOMAIN).key_pem() if self.wrong_key else made.key_pem()
        return Issued((made.pem() + CA.pem()).decode(), key.decode())


class Node:
    def __init__(self, place: Path, config: Config = CONFIG) -> None:
        self.place = place
        self.store = CertificateStore(place / "certificates")
        self.account = Account(place / "acme")
        self.loop = Loop((), config, Status())
        self.ready = Ready(self.account, self.store)
        self.restart()

    def restart(self) -> None:
        self.renewal = Renewal(self.store, self.account, self.place / "acme")
        self.renewal._loop = self.loop

    def look(self, times: int = 1) -> None:
        async def looks() -> None:
            for _ in range(times):
                await self.renewal._look()

        asyncio.run(looks())

    def put(self, life: timedelta, age: timedelta = timedelta(days=1), name: str = "pacs") -> str:
        made = make(DOMAIN, CA, domains=(DOMAIN,), life=life, age=age)
        return self.store.put(name, made.key_pem() + made.pem() + CA.pem()).facts.serial


@pytest.fixture
def authority(monkeypatch: pytest.MonkeyPatch) -> Authority:
    found = Authority()
    monkeypatch.setattr(module, "order", found)
    return found


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path)


def test_the_stopgap_is_replaced_at_once_and_the_new_one_is_left_alone(
    node: Node, authority: Authority
) -> None:
    assert node.ready(CONFIG) == node.account.thumbprint()
    assert node.store.read("pacs").facts.self_signed
    node.look(3)
    assert authority.orders == 1
    assert node.store.read("pacs").facts.issuer == "Test CA"


def test_what_is_stored_is_never_replaced_by_a_stopgap(node: Node) -> None:
    serial = node.put(timedelta(days=90))
    node.ready(CONFIG)
    assert node.store.read("pacs").facts.serial == serial
    assert node.ready(Config()) is None


def test_it_is_renewed_when_a_third_is_left(node: Node, authority: Authority) -> None:
    node.put(timedelta(days=90), age=timedelta(days=59))
    node.look()
    assert authority.orders == 0
    node.put(timedelta(days=90), age=timedelta(days=61))
    node.look()
    assert authority.orders == 1


def test_another_domain_is_ordered_at_once(node: Node, authority: Authority) -> None:
    node.put(timedelta(days=90))
    more = AcmeCertificate("pacs", (DOMAIN, "ris.example.org"))
    node.loop.config = replace(CONFIG, acme=replace(CONFIG.acme, certificates=(more,)))  # type: ignore[type-var]
    node.look()
    assert authority.orders == 1


def test_a_refusal_keeps_the_certificate_says_why_and_waits_even_over_a_restart(
    node: Node, authority: Authority
) -> None:
    serial = node.put(timedelta(days=90), age=timedelta(days=70))
    authority.refuses = "the authority refused: too many orders"
    node.look(3)
    node.restart()
    node.look(3)
    assert authority.orders == 1
    assert node.store.read("pacs").facts.serial == serial
    said = "\n".join(node.renewal.alarms())
    assert (
        "certificate pacs could not be ordered: the authority refused: too many orders; next try at" in said
    )
    assert "certificate pacs expires in 19 days" in said


def test_a_certificate_that_the_store_refuses_changes_nothing(node: Node, authority: Authority) -> None:
    serial = node.put(timedelta(days=90), age=timedelta(days=70))
    authority.wrong_key = True
    node.look()
    assert node.store.read("pacs").facts.serial == serial
    assert "key" in str(node.renewal.report()["alarms"])


def test_renew_by_hand_does_not_wait_and_refuses_what_is_not_ordered(
    node: Node, authority: Authority
) -> None:
    authority.refuses = "no"
    with pytest.raises(Refused, match="what served goes on: no"):
        asyncio.run(node.renewal.renew("pacs"))
    authority.refuses = None
    row = asyncio.run(node.renewal.renew("pacs"))
    assert (row["name"], row["issuer"], row["reason"]) == ("pacs", "Test CA", None)
    with pytest.raises(Refused, match="has no 'other'"):
        asyncio.run(node.renewal.renew("other"))


def test_an_end_is_logged_once_a_threshold_and_is_an_alarm_all_the_time(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    node = Node(tmp_path, Config())
    node.put(timedelta(days=16), age=timedelta(days=9, hours=12), name="ris")
    with caplog.at_level(logging.WARNING):
        node.look(5)
    logged = [r.getMessage() for r in caplog.records if "ris" in r.getMessage()]
    sentence = "certificate ris expires in 6 days; renew it: willis certificate add ris FILE"
    assert logged == [sentence]
    assert node.renewal.alarms() == (sentence,)
    assert node.renewal.rows()[0]["alarms"] == [sentence]
    (condition,) = node.renewal.conditions()
    assert f"{condition.about} {condition.what}" == sentence
    assert condition.topic.endswith(" days"), "one event a threshold, not one a day"


def test_nothing_to_say_is_no_row(tmp_path: Path) -> None:
    assert Node(tmp_path, Config()).renewal.rows() == []


def test_the_binding_never_leaves(node: Node) -> None:
    secret = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W"
    node.renewal.bind("kid-1", secret)
    report = node.renewal.report()
    assert report["account"] == {"eab_kid": "kid-1"}
    assert secret not in str(report)
    with pytest.raises(Refused, match="copy all of it"):
        node.renewal.bind("kid-1", "short")


def test_an_authority_that_the_store_lacks_is_named(node: Node, authority: Authority) -> None:
    node.loop.config = replace(CONFIG, acme=replace(CONFIG.acme, authority="hospital"))  # type: ignore[type-var]
    with pytest.raises(Refused, match="willis certificate authority add hospital FILE"):
        asyncio.run(node.renewal.renew("pacs"))
    assert authority.orders == 0


def test_start_and_close(node: Node, authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_FIRST_S", 0.01)

    async def run(done: Callable[[], bool]) -> None:
        node.renewal.start(node.loop)
        while not done():
            await asyncio.sleep(0.01)
        await node.renewal.close()

    node.ready(CONFIG)
    asyncio.run(asyncio.wait_for(run(lambda: not node.store.read("pacs").facts.self_signed), 30))
    assert datetime.now(UTC) < node.store.read("pacs").facts.not_after
