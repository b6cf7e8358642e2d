"""Where a twin's document comes from: a template, a file, and what the twin changes in it."""

from __future__ import annotations

import random
import sys
from pathlib import Path

import yaml

from willis import templates
from willis.config import load, write
from willis.lab import loopback, scale
from willis.lab.errors import LabError
from willis.lab.topology import Topology, arranged
from willis.model.config import Config

_LOOPBACK = 127
_FIRST, _SECOND = (3, 2) if sys.byteorder == "little" else (0, 1)
"""Where the first two numbers of an address stand: the kernel prints it as a word of the machine."""


def document(source: str, servers: int | None = None) -> str:
    """The text of a document file, or of a template rendered with its example answers.

    ``servers`` asks for that many hosts. Raises LabError.
    """
    text = _file(Path(source)) if _is_file(source) else _template(source)
    if servers is None:
        return text
    return _dump(scale.scaled(_tree(text), servers))


def in_topology(text: str, name: str) -> str:
    """The document with VIPs, node and hosts in another topology. Raises LabError."""
    try:
        topology = Topology(name)
    except ValueError:
        known = ", ".join(Topology)
        raise LabError(f"--topology {name} is not known; there is: {known}.") from None
    return write(arranged(_config(text), topology))


def udp_services(text: str) -> list[str]:
    """The services of a document that a light twin leaves out. Raises LabError."""
    return loopback.udp_services(_tree(text))


def on_loopback(text: str) -> str:
    """The document for a light twin: moved to loopback, to a network drawn at random. Raises LabError."""
    used = _listening_sites()
    free = [site for site in loopback.SITES if site not in used]
    if not free:
        raise LabError("All loopback networks from 127.16 to 127.250 are in use: take a twin down first.")
    return _dump(loopback.moved(_tree(text), random.choice(free)))  # noqa: S311 - to differ, not to hide


def _listening_sites() -> set[int]:
    """The networks ``127.SITE`` in which something has a socket (/proc/net/tcp, addresses as hex)."""
    lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    locals_ = (bytes.fromhex(line.split()[1].partition(":")[0]) for line in lines)
    return {address[_SECOND] for address in locals_ if address[_FIRST] == _LOOPBACK}


def _is_file(source: str) -> bool:
    path = Path(source)
    return path.suffix in (".yaml", ".yml") or path.exists() or len(path.parts) > 1


def _file(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise LabError(f"The document {path} cannot be read: {error}.") from error


def _template(name: str) -> str:
    try:
        return templates.render(name, {})
    except templates.TemplateError as error:
        raise LabError(f"{name!r} is neither a file nor a template that renders. {error}") from error


def _tree(text: str) -> loopback.Tree:
    """The document as plain data, once it is known to be sound."""
    _config(text)
    tree: loopback.Tree = yaml.safe_load(text)
    return tree


def _config(text: str) -> Config:
    loaded = load(text)
    if loaded.config is None:
        lines = "\n".join(f"  {problem}" for problem in loaded.problems)
        raise LabError(f"The document has errors, so no twin can be made of it:\n{lines}")
    return loaded.config


def _dump(tree: loopback.Tree) -> str:
    return yaml.safe_dump(tree, sort_keys=False, allow_unicode=True)
