"""``unshare --net python -m tests.lab.standstill``: half-open looks by a process that is stopped meanwhile.

Prints as JSON what an application that counts what it accepts, and dcmtk's storescp, saw of them: with
Willis' rule, and after it is gone, as on a node without nft. Each look is stopped right behind its SYN
for longer than the kernel holds back the last ACK of a handshake.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import socket
import subprocess
import time
from contextlib import suppress
from ipaddress import IPv4Address

from tests.builders import dr, seen, site
from willis.engines.quiet.driver import QuietEngine
from willis.health import tcp
from willis.model.check import Check, Target
from willis.plan.diff import diff
from willis.plan.verdict import Result

_HERE = IPv4Address("127.0.0.1")
_STOPPED = "kill -STOP $0; sleep 0.3; kill -CONT $0"


def main() -> None:
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    engine = QuietEngine()
    config = site(dr())
    engine.apply(diff(engine.name, engine.observe(), engine.compile(config, seen(config))))
    found = {"settled": not diff(engine.name, engine.observe(), engine.compile(config, seen(config)))}
    backed = _seen()
    engine.apply(diff(engine.name, engine.observe(), {}))
    print(json.dumps({**found, "gone": engine.observe() == {}, "backed": backed, "bare": _seen()}))


def _seen() -> dict[str, object]:
    with socket.create_server((str(_HERE), 0)) as listener:
        open_ = _stopped_look(listener.getsockname()[1]).reason
        listener.settimeout(0.3)
        accepted = 0
        with suppress(TimeoutError):
            while True:
                listener.accept()[0].close()
                accepted += 1
    return {"accepted": accepted, "logged": _logged(), "open": open_, "shut": _stopped_look(9).reason}


def _logged() -> bool:
    """Whether storescp says anything of somebody who connects."""
    storescp = shutil.which("storescp", path="/usr/bin:/usr/local/bin") or "storescp"
    server = subprocess.Popen([storescp, "-d", "11112"], stderr=subprocess.PIPE, text=True)
    try:
        while not asyncio.run(tcp.look(Target(_HERE, 11112), Check())).ok:
            time.sleep(0.05)
        _stopped_look(11112)
        time.sleep(0.3)
    finally:
        server.terminate()
    return "A-ASSOCIATE" in server.communicate()[1]


def _stopped_look(port: int) -> Result:
    async def run() -> Result:
        look = asyncio.create_task(tcp.look(Target(_HERE, port), Check()))
        await asyncio.sleep(0)
        subprocess.run(["sh", "-c", _STOPPED, str(os.getpid())], check=True)
        return await look

    return asyncio.run(run())


if __name__ == "__main__":
    main()
