"""Gives a site document more or fewer hosts. Pure: a tree in, a tree out."""

from __future__ import annotations

import copy
import re
from ipaddress import ip_address, ip_interface
from typing import Any

from willis.lab.errors import LabError

Tree = dict[str, Any]


def scaled(tree: Tree, count: int) -> Tree:
    """The document with ``count`` hosts (1 to 200).

    Fewer: the last hosts leave, with their places in pools and as fallback servers. More:
    each new host joins every pool that the last host is in, with the next free address.
    Raises LabError.
    """
    if not 1 <= count <= 200:
        raise LabError(f"A twin can have 1 to 200 imaging hosts, not {count}.")
    result = copy.deepcopy(tree)
    hosts: dict[str, Any] = result["hosts"]
    if not hosts:
        raise LabError("The document names no host, so there is none to multiply.")
    while len(hosts) > count:
        _leave(result, list(hosts)[-1])
    while len(hosts) < count:
        _join(result, list(hosts)[-1])
    return result


def _leave(tree: Tree, name: str) -> None:
    del tree["hosts"][name]
    for service, body in tree["services"].items():
        body["pool"] = [item for item in body["pool"] if _host(item) != name]
        if not body["pool"]:
            raise LabError(
                f"Service {service!r} would have no server left: build the twin with more servers."
            )
        if "fallback" in body and _host(body["fallback"]) == name:
            del body["fallback"]


def _join(tree: Tree, last: str) -> None:
    hosts = tree["hosts"]
    name, old = _next_name(last, hosts), hosts[last]
    address = _next_address(tree, _address(old))
    hosts[name] = {**old, "address": address} if isinstance(old, dict) else address
    for body in tree["services"].values():
        for item in [item for item in body["pool"] if _host(item) == last]:
            body["pool"].append({**item, "host": name} if isinstance(item, dict) else name)


def _next_name(last: str, taken: dict[str, Any]) -> str:
    stem, digits = re.fullmatch(r"(.*?)(\d*)", last).groups()  # type: ignore[union-attr]
    number = int(digits or 1) + 1
    while f"{stem}{number}" in taken:
        number += 1
    return f"{stem}{number}"


def _next_address(tree: Tree, last: str) -> str:
    """The next address that the document gives to nobody, in the subnet of the last host."""
    taken = {ip_address(_address(host)) for host in tree["hosts"].values()}
    taken |= {ip_address(body["vip"]) for body in tree["services"].values()}
    own = [ip_interface(text) for body in tree["interfaces"].values() for text in body["addresses"]]
    taken |= {each.ip for each in own}
    address = ip_address(last)
    near = next((each.network for each in own if address in each.network), None)
    candidate = address + 1
    while candidate in taken:
        candidate += 1
    # The highest addresses of a subnet are its broadcast address and the twin's gateway.
    if near is not None and (candidate not in near or int(near.broadcast_address) - int(candidate) < 2):
        raise LabError(f"The subnet {near} has no free address after {last} for one more host.")
    return str(candidate)


def _host(item: object) -> object:
    return item["host"] if isinstance(item, dict) else item


def _address(host: object) -> str:
    return str(host["address"] if isinstance(host, dict) else host)
