"""Beside the loop: orders and renews certificates, keeps staples fresh, calls out what ends.

It looks once a minute and when it is woken. What takes seconds (an authority, a responder)
runs in threads that nobody waits for when the engine ends.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from willis.acme import responder
from willis.acme.account import Account, AccountError
from willis.acme.client import AcmeError, Directory, order
from willis.acme.staples import Staples
from willis.acme.tries import Tries
from willis.acme.when import Event, Life, due, order_at
from willis.certificates.facts import Facts
from willis.certificates.store import CertificateError, CertificateStore
from willis.control.changes import Refused
from willis.control.loop import Keeper, Loop
from willis.engines.port import EngineError, Stapling
from willis.model.config import Acme, AcmeCertificate
from willis.model.event import Condition, Severity

log = logging.getLogger("willis.renewal")

_LOOK_S = 60.0
_FIRST_S = 5.0
"""After a start the engines come first: challenges are answered by one of them."""

T = TypeVar("T")


class Renewal:
    """One node's certificates. Made and used in the event loop's thread."""

    def __init__(
        self,
        store: CertificateStore,
        account: Account,
        place: Path,
        ask: Callable[[str, bytes], bytes] = responder.ask,
    ) -> None:
        self._store = store
        self._account = account
        self._tries = Tries(place / "tries.json")
        self._staples = Staples(store, ask)
        self._loop: Loop | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._wakes = (asyncio.Event(), asyncio.Event())
        self._busy = asyncio.Lock()
        self._read: dict[tuple[str, str], Facts] = {}
        self._said: dict[str, int] = {}
        """The threshold that was last logged, by certificate."""

    def start(self, loop: Loop) -> None:
        """Begin to look after the certificates of ``loop``'s config."""
        self._loop = loop
        orders, staples = self._wakes
        self._tasks = [
            asyncio.create_task(self._keep(self._look, orders)),
            asyncio.create_task(self._keep(self._staple, staples)),
        ]

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def wake(self) -> None:
        """Look again now: there is another config, or another certificate."""
        for event in self._wakes:
            event.set()

    def alarms(self) -> tuple[str, ...]:
        """What somebody should know, in sentences."""
        now = datetime.now(UTC)
        ends = (event.sentence for event in self._events(now))
        failed = (
            f"certificate {wanted.name} could not be ordered: {failure.reason}; next try at "
            f"{failure.again:%Y-%m-%d %H:%M} UTC, or now: willis acme renew {wanted.name}"
            for wanted in self._wanted()
            if (failure := self._tries.failure(wanted.name)) is not None
        )
        return (*ends, *failed, *self._staples.alarms(now))

    def conditions(self) -> Iterator[Condition]:
        """Certificates that end soon or have ended, for the list of events."""
        for event in self._events(datetime.now(UTC)):
            severity = Severity.ERROR if event.threshold <= 1 else Severity.WARNING
            about, topic = f"certificate {event.name}", f"{event.threshold} days"
            yield Condition(severity, about, event.sentence.removeprefix(f"{about} "), topic)

    def rows(self) -> list[dict[str, object]]:
        """A row among the engines of ``status --json``; none while there is nothing to say."""
        said, lost = list(self.alarms()), [task.exception() for task in self._tasks if task.done()]
        sentence = f"nobody looks after certificates: {lost[0]!r}; restart the engine" if lost else "watched"
        row = {"name": "certificates", "ok": not lost, "settled": True, "sentence": sentence, "alarms": said}
        return [row] if said or lost else []

    def report(self) -> dict[str, object]:
        """``acme status --json``. Raises Refused."""
        acme = self._acme()
        try:
            binding = self._account.binding()
        except AccountError as error:
            raise Refused(str(error)) from error
        return {
            "directory": acme.directory if acme else None,
            "account": {"eab_kid": binding.kid if binding else None},
            "certificates": [self._row(wanted) for wanted in self._wanted()],
            "alarms": list(self.alarms()),
        }

    def bind(self, kid: str, hmac_key: str) -> None:
        """Keep what binds the account to a contract. Raises Refused."""
        try:
            self._account.bind(kid, hmac_key)
        except AccountError as error:
            raise Refused(str(error)) from error
        self.wake()

    async def renew(self, name: str) -> dict[str, object]:
        """Order a certificate now, due or not. Raises Refused with the reason."""
        wanted = next((each for each in self._wanted() if each.name == name), None)
        if wanted is None:
            raise Refused(
                f"acme.certificates of the running document has no {name!r}; see 'willis acme status'"
            )
        reason = await self._order(wanted)
        if reason is not None:
            raise Refused(f"certificate {name} was not renewed, what served goes on: {reason}")
        return self._row(wanted)

    def _acme(self) -> Acme | None:
        return self._loop.config.acme if self._loop is not None else None

    def _wanted(self) -> tuple[AcmeCertificate, ...]:
        acme = self._acme()
        return acme.certificates if acme else ()

    async def _keep(self, look: Callable[[], Awaitable[None]], wake: asyncio.Event) -> None:
        patience = _FIRST_S
        while True:
            # Not wait_for, which before Python 3.12 may lose a cancellation: the engine would never end.
            with suppress(TimeoutError):
                async with asyncio.timeout(patience):
                    await wake.wait()
            wake.clear()
            await look()
            patience = _LOOK_S

    async def _look(self) -> None:
        """One look at what is to be ordered, and at what ends."""
        for wanted in self._wanted():
            failure = self._tries.failure(wanted.name)
            now = datetime.now(UTC)
            if self._order_at(wanted) <= now and (failure is None or failure.again <= now):
                await self._order(wanted)
        for event in self._events(datetime.now(UTC)):
            if self._said.get(event.name) != event.threshold:
                log.log(logging.ERROR if event.threshold <= 1 else logging.WARNING, "%s", event.sentence)
            self._said[event.name] = event.threshold

    async def _order(self, wanted: AcmeCertificate) -> str | None:
        """Order one certificate and store it. Returns why it did not work."""
        async with self._busy:
            acme = self._acme()
            if acme is None:
                return "the document orders no certificates any more"
            try:
                await _aside(lambda: self._fetch(acme, wanted))
                self._tries.succeeded(wanted.name)
            except (AcmeError, AccountError, CertificateError) as error:
                return self._failed(wanted.name, str(error))
        self._said.pop(wanted.name, None)
        log.info("certificate %s came from %s", wanted.name, acme.directory)
        if self._loop is not None:
            self._loop.wake()
        self._wakes[1].set()
        return None

    def _fetch(self, acme: Acme, wanted: AcmeCertificate) -> None:
        authorities = None if acme.authority is None else self._store.authority_path(acme.authority)
        if authorities is not None and not authorities.exists():
            raise AcmeError(
                f"the store has no authority {acme.authority}; add it: willis certificate authority add "
                f"{acme.authority} FILE"
            )
        directory = Directory(acme.directory, acme.contact, authorities)
        issued = order(directory, self._account.key(), self._account.binding(), wanted.domains)
        self._store.put(wanted.name, issued.chain_pem.encode(), issued.key_pem.encode())

    def _failed(self, name: str, reason: str) -> str:
        log.error("certificate %s could not be ordered: %s", name, reason)
        try:
            self._tries.failed(name, reason, datetime.now(UTC))
        except AccountError as error:
            log.error("%s", error)
        return reason

    async def _staple(self) -> None:
        """Ask responders for what is due; the files are for the next reload, the engines serve it now."""
        fresh = await _aside(lambda: self._staples.refresh(datetime.now(UTC)))
        if self._loop is None or not fresh:
            return
        for keeper in self._loop.keepers:
            if isinstance(keeper.engine, Stapling):
                await self._hand_over(self._loop, keeper, keeper.engine, fresh)

    async def _hand_over(self, loop: Loop, keeper: Keeper, engine: Stapling, fresh: dict[str, bytes]) -> None:
        """The certificate first: a staple is refused by, and lost with, the one before it."""
        try:
            await keeper.converge(loop.config, loop.status)
            for name, der in fresh.items():
                await keeper.call(engine.staple, self._store.path(name), der)
        except EngineError as error:
            log.warning("staples of %s wait for the next reload: %s", ", ".join(fresh), error)

    def _facts(self) -> dict[str, Facts]:
        """Of all stored certificates; each is read once."""
        held = self._store.holdings().certificates
        self._read = {each: found for each, found in self._read.items() if each in held}
        for each in held - self._read.keys():
            with suppress(CertificateError):  # removed meanwhile, or broken by hand: no reason to stop
                self._read[each] = self._store.read(each[0]).facts
        return {name: found for (name, _), found in self._read.items()}

    def _events(self, now: datetime) -> Iterator[Event]:
        ordered = {wanted.name for wanted in self._wanted()}
        for name, found in sorted(self._facts().items()):
            event = due(now, Life(name, found.not_before, found.not_after, name in ordered))
            if event is not None:
                yield event

    def _order_at(self, wanted: AcmeCertificate) -> datetime:
        found = self._facts().get(wanted.name)
        if found is None:
            return datetime.min.replace(tzinfo=UTC)
        life = Life(wanted.name, found.not_before, found.not_after, True)
        return order_at(life, () if found.self_signed else found.names, wanted.domains)

    def _row(self, wanted: AcmeCertificate) -> dict[str, object]:
        found, failure = self._facts().get(wanted.name), self._tries.failure(wanted.name)
        came = found is not None and not found.self_signed
        return {
            "name": wanted.name,
            "domains": list(wanted.domains),
            "issuer": found.issuer if found and came else None,
            "not_after": found.not_after.isoformat() if found and came else None,
            "renewal_at": self._order_at(wanted).isoformat() if came else None,
            "failures": failure.count if failure else 0,
            "reason": failure.reason if failure else None,
            "next_try": failure.again.isoformat() if failure else None,
        }


async def _aside(work: Callable[[], T]) -> T:
    """``work`` in a thread that does not keep the process from ending."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def tell(act: Callable[[], None]) -> None:
        with suppress(RuntimeError):  # the loop was closed meanwhile
            loop.call_soon_threadsafe(lambda: None if done.done() else act())

    def run() -> None:
        try:
            result = work()
        except Exception as error:  # noqa: BLE001 - carried over to whoever waits
            reason = error
            tell(lambda: done.set_exception(reason))
        else:
            tell(lambda: done.set_result(result))

    threading.Thread(target=run, daemon=True, name="renewal").start()
    return await done
