"""Runs nft(8) for the engines that have a table of their own. No engine by itself."""

from __future__ import annotations

import json
import os
import subprocess

from willis.engines.port import EngineError

_PATIENCE_S = 60


def rules(table: str) -> list[tuple[str, str]] | None:
    """Chain and comment of each rule of a table; None without it, or without nft. Raises EngineError."""
    done = nft("--json", "list", "table", *table.split())
    if done is None or "No such file or directory" in done.stderr:
        return None
    if done.returncode != 0:
        raise _refused(done.stderr)
    try:
        listed = [entry["rule"] for entry in json.loads(done.stdout)["nftables"] if "rule" in entry]
        return [(rule["chain"], rule.get("comment", "")) for rule in listed]
    except (ValueError, KeyError, TypeError) as error:
        raise EngineError(f"what nft lists cannot be read ({error}); nftables 1.0.6 is needed") from error


def run(script: str, who: str, *options: str) -> None:
    """One transaction. ``who`` needs it, in a sentence. Raises EngineError."""
    done = nft(*options, "--file", "-", text=script)
    if done is None:
        raise EngineError(f"nft is not installed, and {who} need it: apt-get install nftables")
    if done.returncode != 0:
        raise _refused(done.stderr)


def _refused(said: str) -> EngineError:
    if "Operation not permitted" in said:
        return EngineError("nft may not touch the rules: run Willis as root or with CAP_NET_ADMIN")
    return EngineError(f"nftables refused: {' '.join(said.split())[:200]}; what was in force goes on")


def nft(*arguments: str, text: str = "") -> subprocess.CompletedProcess[str] | None:
    """What nft did; None: there is no nft. Raises EngineError if it does not end."""
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
