"""A program of the site: exit code 0 is up. No shell, no output kept, a user of its own.

It gets four arguments after its own: VIP, VIP's port, RIP, RIP's port. The file must
belong to root and be writable for nobody else, since the engine starts it as root does.
"""

from __future__ import annotations

import asyncio
import os
import pwd
import stat
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Any

from willis.health.faults import Ended
from willis.health.wire import Transcript
from willis.model.check import Check, Command, CommandAsk, Target
from willis.model.status import Verdict
from willis.plan.verdict import Result

_ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"}
_MISUSED = (126, 127)


async def look(target: Target, check: Check) -> Result:
    """One run. Never raises."""
    question = target.question
    assert isinstance(question, Command)  # noqa: S101 - chosen by its class
    transcript = Transcript()
    try:
        end = await _run(target, question, check.timeout_s, transcript)
    except Ended as ended:
        end = ended
    except OSError as error:
        end = _unable(question.ask, error.strerror or str(error))
    return transcript.result(end, target)


async def _run(target: Target, question: Command, timeout_s: float, transcript: Transcript) -> Ended:
    ask = question.ask
    _trusted(ask)
    place = (question.vip or "", question.vip_port, target.address, target.port)
    transcript.note(f"{ask.program} for {target.address} port {target.port}", sent=True)
    process = await asyncio.create_subprocess_exec(
        ask.program,
        *ask.arguments,
        *map(str, place),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd="/",
        env=_ENVIRONMENT,
        start_new_session=True,
        **_as(ask),
    )
    try:
        async with asyncio.timeout(timeout_s):
            code = await process.wait()
    except TimeoutError:
        return Ended(Verdict.HUNG, f"{ask.program} did not end within {timeout_s:g} s")
    finally:
        await _end(process)
    transcript.note(f"exit code {code}" if code >= 0 else f"signal {-code}", sent=False)
    if code == 0:
        return Ended(Verdict.UP, f"{ask.program} says so")
    if code in _MISUSED:
        return _unable(ask, f"it ended with {code}: a program that it needs is missing or may not run")
    told = f"with {code}" if code > 0 else f"by signal {-code}"
    return Ended(Verdict.FAILING, f"{ask.program} ended {told}")


async def _end(process: asyncio.subprocess.Process) -> None:
    """Whatever it started goes with it."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, 9)
    if process.returncode is None:
        await process.wait()


def _trusted(ask: CommandAsk) -> None:
    """Raises Ended if somebody else could put another program in its place."""
    found = Path(ask.program).stat()
    if found.st_uid not in (0, os.geteuid()) or found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise _unable(ask, "others than root may change it; chown root it and chmod go-w it")
    if not stat.S_ISREG(found.st_mode):
        raise _unable(ask, "it is no file")


def _as(ask: CommandAsk) -> dict[str, Any]:
    if os.geteuid() != 0:
        return {}
    try:
        user = pwd.getpwnam(ask.user)
    except KeyError:
        raise _unable(ask, f"there is no user {ask.user} on the node") from None
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def _unable(ask: CommandAsk, why: str) -> Ended:
    return Ended(Verdict.UNKNOWN, f"{ask.program} could not be run: {why}")
