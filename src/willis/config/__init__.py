"""The site document: text to model and back, with every problem told at once.

``load`` is the way in: ``read`` (text to tree), ``parse`` (tree to values), ``build`` (values
to model), ``rules`` (across objects). ``document`` describes every key once, for all of them.
"""

from __future__ import annotations

from dataclasses import dataclass

from willis.config.build import build
from willis.config.document import SITE
from willis.config.parse import parse
from willis.config.problem import Fault, Problem, Severity
from willis.config.read import Node, as_problem, read
from willis.config.rules import judge
from willis.config.schema import schema
from willis.config.write import write
from willis.model.config import Config

__all__ = ["Loaded", "Problem", "Severity", "load", "schema", "write"]


@dataclass(frozen=True, slots=True)
class Loaded:
    """A config, or the problems that kept the document from becoming one; warnings come with either."""

    config: Config | None
    """None if there is any error."""
    problems: tuple[Problem, ...]
    """In the order of their lines."""


def load(text: str) -> Loaded:
    """The config that a site document describes. Never raises: whatever is wrong becomes a problem."""
    reading = read(text)
    faults = list(reading.faults)
    config = None
    if reading.root is not None:
        site = parse(SITE, reading.root, (), faults)
        if isinstance(site, dict):
            config = build(site, faults)
            faults += judge(config, faults)
    failed = any(fault.severity is Severity.ERROR for fault in faults)
    return Loaded(None if failed else config, _problems(faults, reading.root))


def _problems(faults: list[Fault], root: Node | None) -> tuple[Problem, ...]:
    return tuple(sorted((as_problem(fault, root) for fault in faults), key=lambda problem: problem.line))
