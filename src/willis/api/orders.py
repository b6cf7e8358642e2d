"""The routes of orders: drain, halt, online."""

from __future__ import annotations

import time
from typing import Any

from fastapi import FastAPI

from willis.api.needs import Asking, demand, needs
from willis.api.types import OrderBody
from willis.control.controller import Controller
from willis.model.identity import Need
from willis.model.status import Admin
from willis.plan.rights import ordered
from willis.plan.terms import Term

Json = dict[str, Any]

_DOES = {
    Admin.ONLINE: "Back to work.",
    Admin.DRAIN: "No new connections; running ones finish.",
    Admin.HALT: "No connections at all.",
}


def routes(app: FastAPI, controller: Controller) -> None:
    """Add them to ``app``."""
    for state in Admin:
        _order(app, controller, state)


def _order(app: FastAPI, controller: Controller, state: Admin) -> None:
    @app.post(
        f"/api/v1/{state}",
        name=str(state),
        description=f"{_DOES[state]} Of a host, in all its services and both layers, or one real server.",
        **needs(Need.OPERATE),
    )
    async def order(body: OrderBody, who: Asking) -> Json:
        demand(who, Need.OPERATE, ordered(controller.loop.config, body.where))
        until = None if body.for_s is None else time.time() + body.for_s
        done = controller.orders.give(
            body.where, state, term=Term(until, body.halt_when_idle), force=body.force
        )
        return {
            "where": body.where,
            "admin": state.value,
            "until": until,
            "services": done.services,
            "without_servers": done.short,
            "sessions": await controller.oldest.carried(body.where.rpartition("/")[2], done.services)
            if state is Admin.DRAIN
            else None,
        }
