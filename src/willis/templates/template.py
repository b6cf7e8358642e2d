"""What a template is: a deployment guide's table of services and a few questions.

A template is data. Only typed values reach the document that is made of it, so no answer
can say more than it was asked for.
"""

from __future__ import annotations

from dataclasses import dataclass

from willis.model.check import Check
from willis.model.persistence import Persistence
from willis.model.service import Application, Forwarding, Scheduler


@dataclass(frozen=True, slots=True)
class Question:
    """One thing that only the site knows."""

    name: str
    text: str
    type: str
    """What may be answered, in words."""
    example: str
    """An answer that makes a working document together with the other examples."""


@dataclass(frozen=True, slots=True)
class Row:
    """A virtual service of the vendor's table."""

    name: str
    port: int
    forwarding: Forwarding
    application: Application
    persistence: Persistence
    says: str
    """What it carries; becomes a comment."""


@dataclass(frozen=True, slots=True)
class Template:
    """A vendor's deployment. Rows are numbered from 1 in the vendor's order."""

    name: str
    title: str
    description: str
    questions: tuple[Question, ...]
    scheduler: Scheduler
    check: Check
    rows: tuple[Row, ...]
