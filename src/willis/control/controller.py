"""The engine's face to the API: change, order, report. It joins store, loop and checks."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Protocol

from willis.certificates.store import CertificateStore
from willis.config import load
from willis.control.ages import Oldest
from willis.control.alerts import Alerter
from willis.control.audit import Audit
from willis.control.audit_export import AuditExport
from willis.control.certificates import Certificates
from willis.control.changes import Changes, Refused, Unknown, Wish
from willis.control.changesets import ChangeSets
from willis.control.checks import check_row
from willis.control.database import StoreError
from willis.control.directory import Directory
from willis.control.doctor import Doctor
from willis.control.events import Events
from willis.control.feedback import Listening
from willis.control.history import History
from willis.control.identity import Identity
from willis.control.logbook import Logbook
from willis.control.loop import Loop
from willis.control.oidc import Provider
from willis.control.orders import Orders
from willis.control.paths import Look, Paths
from willis.control.refusals import Refusing
from willis.control.renewal import Renewal
from willis.control.report import Rows, advice, sentence
from willis.control.secrets import Keeping, Secrets
from willis.control.shares import Shares
from willis.control.store import NOT_CONFIRMED, Revision, Store, Trial
from willis.control.stream import Stream
from willis.engines.port import Client, Engine, Ties
from willis.health.schedule import Schedule
from willis.model.check import Check, Target
from willis.model.config import Config
from willis.model.persistence import SourcePersistence
from willis.model.service import Address, VirtualService
from willis.model.status import Health, Status
from willis.plan.members import Member, members, target, targets
from willis.plan.noise import lines_a_day
from willis.plan.verdict import Result, Track, advance

log = logging.getLogger("willis.control")

_GATHER_S = 0.05
"""Seconds for which verdicts that change are gathered: each write waits for the disk, and a thousand
servers may change at once."""

OnResult = Callable[[Target, Result], None]


class Eyes(Protocol):
    """Whoever looks at the targets and tells the results."""

    def set(self, targets: Mapping[Target, Check]) -> None: ...

    async def look(self, target: Target, check: Check) -> Result: ...

    def close(self) -> None: ...


class Controller:
    """One node's engine. Made and used in the event loop's thread."""

    def __init__(
        self,
        node: str,
        store: Store,
        engines: Sequence[Engine],
        certificates: CertificateStore,
        eyes: Callable[[OnResult], Eyes] = Schedule,
        renewal: Renewal | None = None,
        knock: Look | None = None,
    ) -> None:
        """``knock``: how the path of direct routing is looked at; None: no server is reached that way."""
        self.node = node
        self.store = store
        store.settle(time.time())
        config = _running_config(store)
        status = _kept_status(store, config, by_paths=knock is not None)
        self._tracks = {t: Track(health=h) for t, h in status.health.items()}
        self._checks: dict[Target, Check] = {}
        self._news: dict[Target, Health] = {}
        self.loop = Loop(engines, config, status)
        self.audit = Audit(store)
        self.identity = Identity(store.database)
        self.sealed = Secrets(store.database.path.parent / "secrets")
        self.secrets = Keeping(self.sealed, self.loop)
        self.provider = Provider(certificates.authority_path, self.sealed)
        directory = Directory(certificates.authority_path, lambda: self.loop.config.access.ldap)
        self.identity.directory = directory.ask
        self.changes = Changes(store, self.loop, self.secrets.lacking)
        self.changesets = ChangeSets(store)
        self.logbook = Logbook(self.loop)
        self.history = History(self.logbook.recorder, store.database.path.with_name("history.db"))
        self.orders = Orders(self.loop, store, self.audit.itself)
        self.oldest = Oldest(self.loop)
        self._rows = Rows()
        self._listening = Listening()
        self._shares = Shares(self.loop, self._listening)
        self._refusing = Refusing(self.loop)
        self._paths = Paths(self.loop, knock, store.keep_paths)
        self.doctor = Doctor(self.loop)
        alerter = Alerter(node, certificates.authority_path, self.sealed)
        sources = [alerter.failures, self._listening.silent, self.doctor.errors]
        self._audit_export = AuditExport(node, self.loop, store.database, certificates)
        sources += [self._audit_export.conditions, self.history.conditions]
        if renewal is not None:
            sources.append(renewal.conditions)
        self.events = Events(self.loop, store, alerter, sources)
        self.stream = Stream(self.status, lambda: self.loop.config, self.events)
        self._eyes = eyes(self._take_result)
        self.renewal = renewal
        self.certificates = Certificates(certificates, self.loop)

    def start(self) -> None:
        """Begin to converge and to check. Raises EngineError, StoreError."""
        self.identity.start()
        self.loop.start()
        self.changes.start(self._returned)
        self.logbook.start()
        self.history.start()
        self.orders.start()
        self.events.start()
        self._audit_export.start()
        self.doctor.start()
        self._shares.start()
        self._refusing.start()
        self._paths.start()
        if self.renewal is not None:
            self.renewal.start(self.loop)
        self._follow()

    def end_follows(self) -> None:
        """Have all answers end that would go on: whoever serves them waits for that."""
        self.stream.close()
        self.events.end_follows()
        self.logbook.end_follows()

    async def close(self) -> None:
        """Stop looking and acting; traffic goes on."""
        self._eyes.close()
        self.end_follows()
        self.changes.close()
        self.logbook.close()
        self.orders.close()
        self.events.close()
        self._audit_export.close()
        self.doctor.close()
        self._shares.close()
        self._refusing.close()
        self._paths.close()
        self._listening.close()
        if self.renewal is not None:
            await self.renewal.close()
        await self.history.close()
        self.learn_news()
        await self.loop.close()
        self.store.close()

    async def apply(self, document: str, wish: Wish) -> Revision:
        """Make ``document`` the running revision. Raises Refused."""
        return self._adopted(await self.changes.apply(document, wish))

    async def undo(self, author: str, seen: Trial | None = None) -> Revision:
        """What ran before returns. ``seen``: only if this is the trial that runs. Raises Refused."""
        return self._adopted(await self.changes.undo(author, seen))

    async def restore(self, number: int, wish: Wish) -> Revision:
        """The document of an earlier revision, as a new one. Raises Refused."""
        return self._adopted(await self.changes.restore(number, wish))

    def _adopted(self, revision: Revision) -> Revision:
        self._follow_document()
        return revision

    def _returned(self, trial: Trial) -> None:
        """A trial was over."""
        self.audit.itself("undo", f"revision {trial.revision}", NOT_CONFIRMED)
        self._follow_document()

    def _follow_document(self) -> None:
        """All that hangs on the document in force."""
        self.orders.forget_strangers()
        self._follow()
        if self.renewal is not None:
            self.renewal.wake()

    async def status(self, only: str | None = None) -> dict[str, object]:
        """``status --json``. Raises Refused for an unknown service."""
        config, status = self.loop.config, self.loop.status
        if only is not None:
            self._service(only)
        traffic = self.loop.traffic()
        longest = {} if only is None else await self.oldest.longest()
        running, trial = self.store.running(), self.changes.trial()
        return {
            "revision": running.number if running else None,
            "trial": None if trial is None else asdict(trial),
            "node": self.node,
            "role": "active",
            "site": config.site,
            "engines": [
                {
                    "name": k.engine.name,
                    "ok": not k.failed,
                    "settled": k.settled(config, status),
                    "sentence": k.sentence,
                    "alarms": list(k.alarms),
                }
                for k in self.loop.keepers
            ]
            + ([] if self.renewal is None else self.renewal.rows()),
            "services": [
                self._rows.of(s, status, traffic, self.orders.terms, longest)
                for s in config.services
                if only is None or s.name == only
            ],
        }

    async def sessions(self, name: str) -> dict[str, object]:
        """The clients that persistence ties to servers. Raises Refused."""
        self._tied_service(name)
        found: list[Client] = []
        for keeper in self.loop.keepers:
            if isinstance(keeper.engine, Ties):
                found += await keeper.call(keeper.engine.clients, name)
        return {
            "service": name,
            "clients": [
                {"client": _network(c), "host": c.host, "seconds_left": round(c.seconds_left, 1)}
                for c in found
            ],
        }

    async def forget(self, name: str, client: Address | None) -> dict[str, object]:
        """End the tie of one client, or of all; their running connections stay. Raises Refused."""
        self._tied_service(name)
        ended = 0
        for keeper in self.loop.keepers:
            if isinstance(keeper.engine, Ties):
                ended += await keeper.call(keeper.engine.forget, name, client)
        return {"service": name, "forgotten": ended}

    def check_rows(self, only: str | None = None) -> list[dict[str, object]]:
        """``checks --json``: what is asked of each service's servers. Raises Unknown."""
        if only is not None:
            self._service(only)
        wanted = [s for s in self.loop.config.services if only in (None, s.name)]
        return [check_row(s, self.loop.status, self._tracks) for s in wanted]

    def explain(self, service_name: str, host: str) -> dict[str, object]:
        """``explain --json``. Raises Refused."""
        service, member = self._member(service_name, host)
        track = self._tracks.get(target(service, member.server), Track())
        looks = [r for r in (track.last_failed, track.last_good) if r is not None]
        return {
            "service": service_name,
            "host": host,
            "verdict": member.health.verdict.value,
            "admin": member.admin.value,
            "sentence": sentence(service, member),
            "advice": advice(member),
            "log_lines_a_day": lines_a_day(service.check),
            "checks": [_look(r) for r in sorted(looks, key=lambda r: -r.at)],
        }

    async def check(self, service_name: str, host: str) -> dict[str, object]:
        """``check --json``: every question, asked now; the verdict stays as it is. Raises Refused."""
        service, member = self._member(service_name, host)
        light = target(service, member.server)
        questions = dict.fromkeys((light, light.deeper()))
        results = [await self._eyes.look(each, service.check) for each in questions]
        return {
            "service": service_name,
            "host": host,
            "ok": all(result.ok for result in results),
            "verdict": member.health.verdict.value,
            "log_lines_a_day": lines_a_day(service.check),
            "checks": [_look(result) | {"verdict": result.verdict.value} for result in results],
        }

    def _member(self, service_name: str, host: str) -> tuple[VirtualService, Member]:
        service = self._service(service_name)
        found = [m for m in members(service, self.loop.status) if m.server.host == host]
        if not found:
            known = ", ".join(s.host for s in service.pool)
            raise Unknown(f"service {service_name} has no real server on host {host!r}; its pool: {known}")
        return service, found[0]

    def _service(self, name: str) -> VirtualService:
        found = self.loop.config.service(name)
        if found is None:
            raise Unknown(f"there is no service {name!r}; see 'willis status'")
        return found

    def _tied_service(self, name: str) -> None:
        service = self._service(name)
        kept = service.persistence
        if not isinstance(kept, SourcePersistence) and getattr(kept, "otherwise", None) is None:
            how = "by what they send, such as a cookie" if kept else "to no server"
            raise Refused(f"service {name} ties clients {how}, so there is nothing to list")

    def _follow(self) -> None:
        """Check what the configuration asks for, and nothing else."""
        self._checks = targets(self.loop.config)
        self._rows = Rows()
        self.logbook.follow()
        self._listening.follow(self.loop.config)
        self._paths.follow(self.loop.config)
        self._eyes.set(self._checks)

    def _take_result(self, looked_at: Target, result: Result) -> None:
        self.loop.timings.looked(result.kind, result.took_ms / 1000)
        check = self._checks.get(looked_at)
        if check is None:
            return
        before = self._tracks.get(looked_at, Track())
        after = advance(before, result, check, time.time())
        self._tracks[looked_at] = after
        self._shares.saw(looked_at, before, after)
        self._paths.saw(looked_at, before, after)
        self.history.recorder.looked(looked_at, result)
        if after.health == before.health:
            return
        log.debug("%s is %s: %s", looked_at, after.health.verdict, after.health.reason)
        if not self._news:
            asyncio.get_running_loop().call_later(_GATHER_S, self.learn_news)
        self._news[looked_at] = after.health

    def learn_news(self) -> None:
        """Act on the verdicts that changed: first the disk, then the engines.

        So an engine that is killed knows of everyone who serves by it when it starts again.
        """
        if not self._news:
            return
        news, self._news = self._news, {}
        try:
            self.store.keep_health(news)
        except StoreError as error:
            log.error("verdicts are not kept over a restart: %s", error)  # noqa: TRY400 - the text says all
        status = self.loop.status
        self.loop.learn(replace(status, health={**status.health, **news}))


def _running_config(store: Store) -> Config:
    """The last good document, or an empty site."""
    running = store.running()
    if running is None:
        return Config()
    loaded = load(running.document)
    if loaded.config is None:
        first = next(problem for problem in loaded.problems if problem.severity == "error")
        raise Refused(
            f"revision {running.number} does not load in this version of Willis ({first}); traffic goes on "
            "as it is. Run the version that it was made with, or apply a corrected document to a new state "
            "directory"
        )
    return loaded.config


def _kept_status(store: Store, config: Config, *, by_paths: bool) -> Status:
    """What was known of the servers when the last engine ended."""
    return Status(
        health=store.health(targets(config)),
        admin=store.admin(),
        paths=store.paths() if by_paths else {},
    )


def _network(client: Client) -> str:
    """A single client as its address, a masked one as its network."""
    one = client.network.prefixlen == client.network.max_prefixlen
    return str(client.network.network_address if one else client.network)


def _look(result: Result) -> dict[str, object]:
    return {
        "at": result.at,
        "kind": result.kind,
        "ok": result.ok,
        "took_ms": round(result.took_ms, 2),
        "sent": result.sent,
        "received": result.received,
        "decoded": result.reason,
        "transcript": [{"after_ms": s.after_ms, "sent": s.sent, "what": s.what} for s in result.transcript],
    }
