"""Lists that HAProxy looks things up in, such as AE titles: they change without a reload.

A map is an artefact ``map/NAME`` whose value is its lines, ``KEY VALUE`` each. The file
is what the next worker reads; the running one is told over its runtime socket (management
guide, "prepare map"), and asked what it holds.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from willis.engines.haproxy.files import HaproxyFiles
from willis.engines.haproxy.write import Token, TokenError
from willis.engines.haproxy.write import path as path_token

Lines = tuple[str, ...]

_KEY = re.compile(r"\A(?!#)[A-Za-z0-9_.#/@:+&!-]{1,200}\Z")
"""What begins with '#' would be a comment in a file."""
_VALUE = re.compile(r"\A[A-Za-z0-9._:@-](?:[A-Za-z0-9._:@ -]{0,198}[A-Za-z0-9._:@-])?\Z")
"""It goes to the end of its line, and may have spaces inside."""
_NAME = re.compile(r"\A[A-Za-z0-9][A-Za-z0-9._-]{0,80}\Z")
_ENTRY = re.compile(r"^0x[0-9a-f]+ (\S+ .+)$", re.MULTILINE)
_MOST_BYTES = 8_000
"""Of one command with its payload: it must fit into HAProxy's buffer of 16 KiB."""


def key(name: str) -> str:
    """The artefact's key."""
    return f"map/{name}"


def lines(entries: Mapping[str, str]) -> Lines:
    """The artefact's value. Raises TokenError for what may not stand in a map."""
    for key, value in entries.items():
        for text, pattern in ((key, _KEY), (value, _VALUE)):
            if not pattern.match(text):
                raise TokenError(
                    f"{text!r} cannot stand in a map of HAProxy's; it must match {pattern.pattern}"
                )
    return tuple(sorted(f"{key} {value}" for key, value in entries.items()))


def place(files: HaproxyFiles, name: str) -> Token:
    """The map's file, for the configuration. Raises TokenError."""
    if not _NAME.match(name):
        raise TokenError(f"{name!r} cannot be the name of a map")
    return path_token(f"{files.maps}/{name}.map")


def named(text: str, directory: str) -> list[str]:
    """The maps that a configuration of ours looks into."""
    return sorted(set(re.findall(rf"{re.escape(directory)}/([A-Za-z0-9._-]+)\.map\b", text)))


def file_text(held: Lines) -> str:
    return "".join(f"{line}\n" for line in held)


def parse(report: str) -> Lines:
    """The answer to ``show map FILE``."""
    return tuple(sorted(_ENTRY.findall(report)))


def commands(file: Path, want: Lines, version: int) -> Iterator[str]:
    """The commands that replace the whole map at once; ``version`` is what ``prepare map`` answered."""
    for chunk in _chunks(want):
        yield f"add map @{version} {file} <<\n{file_text(chunk)}"
    yield f"commit map @{version} {file}"


def version(answer: str) -> int | None:
    """The number in the answer to ``prepare map``; None if it was refused."""
    found = re.search(r"New version created: (\d+)", answer)
    return None if found is None else int(found[1])


def _chunks(want: Iterable[str]) -> Iterator[Lines]:
    chunk: list[str] = []
    size = 0
    for line in want:
        if chunk and size + len(line) + 1 > _MOST_BYTES:
            yield tuple(chunk)
            chunk, size = [], 0
        chunk.append(line)
        size += len(line) + 1
    if chunk:
        yield tuple(chunk)
