"""Runs ``willis`` commands as processes of their own that need not import everything again.

Importing and putting the commands together is nearly all of a command's time, and drills give
thousands. Here a server has done it (multiprocessing's fork server) and forks a process for each.
"""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from multiprocessing.forkserver import ensure_running
from pathlib import Path
from unittest.mock import patch

_ROOT = Path(__file__).parent.parent
_KILLED_S = 10.0
_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(["tests.forked_commands"])


class Command:
    """``willis ARGUMENTS``, started in the repository's root."""

    def __init__(self, arguments: Sequence[str], environment: Mapping[str, str], stdin: str = "") -> None:
        with patch.dict(os.environ, PYTHONPATH=str(_ROOT)):
            ensure_running()
        self._arguments = ["willis", *arguments]
        self._home = tempfile.TemporaryDirectory(prefix="willis-command-")
        self._files = [Path(self._home.name) / name for name in ("in", "out", "err")]
        self._files[0].write_text(stdin)
        told = (self._arguments, dict(environment), self._files)
        self._process = _FORKS.Process(target=_command, args=told)
        self._process.start()

    def end(self, timeout: float) -> subprocess.CompletedProcess[str]:
        """What came of it. Raises TimeoutExpired, and the command is gone, after ``timeout`` s."""
        with self._home:
            self._process.join(timeout)
            if self._process.exitcode is None:
                self._process.kill()
                self._process.join(_KILLED_S)
                raise subprocess.TimeoutExpired(self._arguments, timeout)
            out, err = (file.read_text(errors="replace") for file in self._files[1:])
            return subprocess.CompletedProcess(self._arguments, self._process.exitcode, out, err)


def _command(arguments: list[str], environment: dict[str, str], files: list[Path]) -> None:
    """In the forked process: put everything where a shell would have put it, then be the command."""
    from tests.forked_commands import run

    for number, (file, mode) in enumerate(zip(files, ("rb", "wb", "wb"), strict=True)):
        with file.open(mode) as opened:
            os.dup2(opened.fileno(), number)
    sys.stdin, sys.stdout, sys.stderr = (
        os.fdopen(number, mode, encoding="utf-8", closefd=False) for number, mode in enumerate("rww")
    )
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(_ROOT)
    sys.argv = arguments
    run()
