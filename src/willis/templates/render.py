"""Typed answers to a document: a config is built and written with the template's comments."""

from __future__ import annotations

from dataclasses import replace

from willis.config import write
from willis.model.config import Config
from willis.model.node import Host, Interface
from willis.model.persistence import SourcePersistence
from willis.model.service import Address, RealServer, VirtualService
from willis.templates.answers import Answers
from willis.templates.template import Row, Template


def document(template: Template, answers: Answers, unanswered: tuple[str, ...]) -> str:
    """The text of the site document; ``unanswered`` questions are named in its first lines."""
    return write(build(template, answers), _notes(template, unanswered))


def build(template: Template, answers: Answers) -> Config:
    """The config that a template makes of the answers."""
    pool = tuple(RealServer(name, address) for name, address in answers.hosts.items())
    return Config(
        site=template.name,
        interfaces=(Interface(answers.interface, (answers.address,)),),
        hosts=tuple(Host(name, address) for name, address in answers.hosts.items()),
        services=tuple(
            _service(template, row, vip, pool) for row, vip in zip(template.rows, answers.vips, strict=True)
        ),
    )


def _service(template: Template, row: Row, vip: Address, pool: tuple[RealServer, ...]) -> VirtualService:
    persistence = row.persistence
    if isinstance(persistence, SourcePersistence):
        persistence = replace(persistence, mask=vip.max_prefixlen)
    return VirtualService(
        name=row.name,
        vip=vip,
        ports=(row.port,),
        forwarding=row.forwarding,
        check=template.check,
        pool=pool,
        application=row.application,
        scheduler=template.scheduler,
        persistence=persistence,
    )


def _notes(template: Template, unanswered: tuple[str, ...]) -> dict[str, str]:
    head = [template.title]
    if unanswered:
        head.append(f"Example answers stand for: {', '.join(unanswered)}. Replace them by those of the site.")
    notes = {f"services.{row.name}": f"VIP {i}: {row.says}" for i, row in enumerate(template.rows, start=1)}
    return {
        **notes,
        "document": "\n".join(head),
        "interfaces": "The node's interface in the subnet of the imaging hosts (DR needs one there).",
        "hosts": "The imaging hosts. For DR each has the VIPs on its loopback and stays silent about them.",
        "defaults": "Stands in where a service is silent.",
    }
