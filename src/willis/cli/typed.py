"""What must not stand on a command line, which everybody can read: passwords, codes, secrets."""

from __future__ import annotations

import sys

import typer


def typed(what: str, *, twice: bool = False) -> str:
    """From a person at a terminal, a new one ``twice``; else the next line of standard input."""
    if sys.stdin.isatty():
        return str(typer.prompt(what, hide_input=True, confirmation_prompt=twice, err=True))
    return sys.stdin.readline().rstrip("\r\n")
