"""Our table in nftables that marks answers to transparent sockets: read, made, removed by nft(8)."""

from __future__ import annotations

import json
import os
import subprocess

from willis.engines.port import EngineError
from willis.engines.routes.compile import NFT_TABLE, STAMP, Marking, is_whole, marking_script, removal_script

_PATIENCE_S = 60


def read() -> Marking | None:
    """What is there; None without a table. Raises EngineError."""
    done = _nft("--json", "list", "table", *NFT_TABLE.split())
    if done is None or "No such file or directory" in done.stderr:
        return None
    if done.returncode != 0:
        raise _refused(done.stderr)
    try:
        listed = [entry["rule"] for entry in json.loads(done.stdout)["nftables"] if "rule" in entry]
        rules = [(rule["chain"], rule.get("comment", "")) for rule in listed]
    except (ValueError, KeyError, TypeError) as error:
        raise EngineError(f"what nft lists cannot be read ({error}); nftables 1.0.6 is needed") from error
    return Marking(STAMP if is_whole(rules) else "")


def make() -> None:
    """Make it, or mend what is there. Raises EngineError."""
    _run(marking_script())


def remove() -> None:
    """Remove it. Raises EngineError."""
    _run(removal_script())


def check() -> None:
    """Have nft and the kernel try it; changes nothing. Raises EngineError."""
    _run(marking_script(), "--check")


def _run(script: str, *options: str) -> None:
    done = _nft(*options, "--file", "-", text=script)
    if done is None:
        raise EngineError("nft is not installed, and transparent services need it: apt-get install nftables")
    if done.returncode != 0:
        raise _refused(done.stderr)


def _refused(said: str) -> EngineError:
    if "Operation not permitted" in said:
        return EngineError("nft may not touch the rules: run Willis as root or with CAP_NET_ADMIN")
    return EngineError(f"nftables refused: {' '.join(said.split())[:200]}; what was in force goes on")


def _nft(*arguments: str, text: str = "") -> subprocess.CompletedProcess[str] | None:
    """None: there is no nft."""
    try:
        return subprocess.run(
            ["nft", *arguments],
            input=text,
            capture_output=True,
            text=True,
            check=False,
            timeout=_PATIENCE_S,
            env={**os.environ, "LC_ALL": "C"},
        )
    except FileNotFoundError:
        return None
    except subprocess.TimeoutExpired:
        raise EngineError(f"nft did not answer within {_PATIENCE_S} s; the next pass tries again") from None
