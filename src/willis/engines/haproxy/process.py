"""HAProxy's master process: start it detached, adopt it, signal it, stop it.

It runs in a session of its own with a log file for its words, so that it outlives the
engine. A process is ours only if its command line names our configuration file: a
stale pid file never leads to a signal for a stranger.
"""

from __future__ import annotations

import os
import re
import resource
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from willis.engines.port import EngineError

_CHECK_S = 60.0
_STOP_S = 5.0
_LOG_BYTES = 1_000_000


class MasterProcess:
    """One HAProxy of one engine, known by the configuration file it is started with."""

    def __init__(self, config: Path, pid_file: Path, socket: Path, log: Path) -> None:
        self._config = config
        self._pid_file = pid_file
        self._socket = socket
        self._log = log
        self._children: list[subprocess.Popen[bytes]] = []
        """Masters that we started and that have not ended; the newest is the last."""

    def pid(self) -> int | None:
        """The running master, started by us or by an engine before us; None if there is none."""
        self._reap()
        try:
            pid = int(self._pid_file.read_text().split()[0])
        except (OSError, ValueError, IndexError):
            return None
        return pid if self.is_ours(pid) else None

    def is_ours(self, pid: int) -> bool:
        """Whether ``pid`` is a live HAProxy process, master or worker, of this engine."""
        try:
            arguments = (Path("/proc") / str(pid) / "cmdline").read_bytes().split(b"\0")
        except OSError:
            return False
        return (b"-f", os.fsencode(self._config)) in zip(arguments, arguments[1:], strict=False)

    def open_files(self) -> int:
        """The hard limit of descriptors that HAProxy runs under, now and if we start it anew."""
        limits = [resource.getrlimit(resource.RLIMIT_NOFILE)[1]]
        running = self.pid()
        if running is not None:
            limits.append(resource.prlimit(running, resource.RLIMIT_NOFILE)[1])
        return min((n for n in limits if n != resource.RLIM_INFINITY), default=1_000_000)

    def start(self, directory: Path) -> None:
        """Start a master in ``directory``; the caller sees whether it comes up. Raises EngineError."""
        for stray in self._masters():
            os.kill(stray, signal.SIGUSR1)
        self._pid_file.unlink(missing_ok=True)
        argv = [*_bounds(), binary(), "-W", "-f", str(self._config), "-p", str(self._pid_file)]
        argv += ["-S", f"{self._socket},mode,600"]
        with self._log.open("ab") as log:
            child = subprocess.Popen(
                argv,
                cwd=directory,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._children.append(child)

    def starting(self) -> bool:
        """Whether the master started last still runs."""
        return bool(self._children) and self._children[-1].poll() is None

    def give_up(self) -> None:
        """End the master started last, which did not come up."""
        if self.starting():
            self._children[-1].kill()
            self._children[-1].wait()
        self._pid_file.unlink(missing_ok=True)

    def signal(self, number: signal.Signals) -> None:
        """Signal the master. Raises EngineError if it is gone."""
        pid = self.pid()
        if pid is None:
            raise EngineError("HAProxy is not running any more; it is started again with the next pass")
        os.kill(pid, number)

    def retire(self) -> None:
        """Let the master finish what it carries and end; it is not ours to adopt any more."""
        self.signal(signal.SIGUSR1)
        self._pid_file.unlink(missing_ok=True)

    def stop(self) -> None:
        """End every HAProxy of this engine now, retired ones too."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            for pid in list(self._all()):
                _kill(pid, number)
            deadline = time.monotonic() + _STOP_S
            while any(self._all()) and time.monotonic() < deadline:
                self._reap()
                time.sleep(0.02)
        self._reap()
        self._pid_file.unlink(missing_ok=True)

    def trim_log(self) -> None:
        """Empty the log once it is long. HAProxy appends to it, so it goes on from the start."""
        if self.mark() > _LOG_BYTES:
            os.truncate(self._log, 0)

    def mark(self) -> int:
        """Where the log ends now."""
        return self._log.stat().st_size if self._log.exists() else 0

    def words_since(self, mark: int) -> str:
        """HAProxy's alerts since ``mark``, as one sentence."""
        with self._log.open("rb") as log:
            log.seek(mark)
            return alerts(log.read().decode("utf-8", "replace"))

    def _reap(self) -> None:
        self._children = [child for child in self._children if child.poll() is None]

    def _all(self) -> Iterator[int]:
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and self.is_ours(int(entry.name)):
                yield int(entry.name)

    def _masters(self) -> Iterator[int]:
        found = set(self._all())
        return (pid for pid in found if _parent(pid) not in found)


_KEPT = frozenset((0, 3, 5, 6, 7, 10, 13, 18))
"""What a master of root and its workers may ever do (linux/capability.h): CHOWN and FOWNER for the
owner of sockets, KILL for workers of another user, SETGID and SETUID to give up root, NET_BIND_SERVICE,
NET_RAW to speak in a client's name, SYS_CHROOT."""


def _bounds() -> list[str]:
    """The words before a command of root that bound what it and its children can ever do."""
    setpriv = shutil.which("setpriv")
    if os.geteuid() != 0 or setpriv is None:
        return []
    last = int(Path("/proc/sys/kernel/cap_last_cap").read_text())
    dropped = ",".join(f"-cap_{number}" for number in range(last + 1) if number not in _KEPT)
    return [setpriv, f"--bounding-set={dropped}"]


_VERSION = re.compile(r"version (\d+)\.(\d+)")


def since_3_0() -> bool:
    """Whether the installed HAProxy is 3.0 or newer."""
    try:
        done = subprocess.run(
            [binary(), "-v"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_CHECK_S,
            check=False,
        )
    except (EngineError, subprocess.TimeoutExpired):
        return False
    found = _VERSION.search(done.stdout)
    return found is not None and int(found[1]) >= 3


def binary() -> str:
    """HAProxy's path. Raises EngineError if it is not installed."""
    found = shutil.which("haproxy", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    if found is None:
        raise EngineError("HAProxy is not installed, and services with forwarding proxy need it; "
                          "run: apt-get install haproxy")  # fmt: skip
    return found


def verify(config: Path) -> None:
    """``haproxy -c``. Raises EngineError with HAProxy's own words."""
    try:
        done = subprocess.run(
            [binary(), "-c", "-f", str(config)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_CHECK_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise EngineError(
            f"'haproxy -c' gave no answer within {_CHECK_S:g} s; what runs stays as it is"
        ) from error
    if done.returncode != 0:
        said = alerts((done.stderr + done.stdout).decode("utf-8", "replace"))
        raise EngineError(f"HAProxy refuses the configuration: {said}; what runs stays as it is")


_ALERT = re.compile(r"^\[ALERT\]\s+\(\d+\) : (?:config : )?(.*)$", re.MULTILINE)
_SUMMARIES = ("Error(s) found in", "Fatal errors found", "[haproxy.main()]")


def alerts(text: str) -> str:
    """HAProxy's first alerts in a log, without its summaries."""
    found = [line for line in _ALERT.findall(text) if not line.startswith(_SUMMARIES)]
    return "; ".join(found[:3]) or "it gave no reason"


def _kill(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def _parent(pid: int) -> int:
    try:
        stat = (Path("/proc") / str(pid) / "stat").read_text()
    except OSError:
        return 0
    return int(stat.rpartition(")")[2].split()[1])
