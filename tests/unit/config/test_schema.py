"""The JSON Schema: valid itself, accepts the examples, refuses what the parser refuses for its shape."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from willis import config

EXAMPLES = sorted((Path(__file__).parents[3] / "examples").glob("*.yaml"))
VALIDATOR = jsonschema.Draft202012Validator(config.schema())

SOUND = """\
version: 1
site: s
interfaces: {eth0: {addresses: [10.60.0.2/24]}}
hosts: {a: 10.60.0.11, b: {address: 10.60.0.12}}
services:
  S:
    vip: 10.60.0.101
    ports: 80
    application: http
    forwarding: proxy
    persistence: {kind: cookie, idle: 30m}
    check: {interval: 2s}
    fallback: b
    pool: [{host: a, port: 8080}]
"""


def accepts(document: Any) -> bool:
    return VALIDATOR.is_valid(document)


def test_it_is_a_schema_and_plain_data() -> None:
    jsonschema.Draft202012Validator.check_schema(config.schema())
    assert json.loads(json.dumps(config.schema())) == config.schema()


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_it_accepts_the_examples(path: Path) -> None:
    VALIDATOR.validate(yaml.safe_load(path.read_text()))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("version: 1", "version: 2"),
        ("site: s", "site: no"),
        ("site: s", "site: -s"),
        ("site: s", "name: s"),
        ("[10.60.0.2/24]", "[10.60.0.2]"),
        ("{a: 10", "{a/b: 10.60.0.9, a: 10"),
        ("ports: 80", "ports: 1e3"),
        ("ports: 80", 'ports: "80"'),
        ("ports: 80", "ports: [80, 80]"),
        ("ports: 80", "ports: []"),
        ("ports: 80", "ports: 65536"),
        ("ports: 80", "ports: 80-"),
        ("ports: 80", "ports: 0-9"),
        ("ports: 80", "ports: [80-90, 80-90]"),
        ("forwarding: proxy", "forwarding: tun"),
        ("forwarding: proxy", "one-packet: yes-please\n    forwarding: dr"),
        ("forwarding: proxy", "timeouts: {idle: 5m}\n    forwarding: nat"),
        ("application: http", "application: web"),
        ("kind: cookie", "kind: cookies"),
        ("idle: 30m", "timeout: 5m"),
        ("interval: 2s", "interval: 2"),
        ("pool: [{host: a, port: 8080}]", "pool: []"),
        ("pool: [{host: a, port: 8080}]", "pool: [{port: 80}]"),
        ("vip: 10.60.0.101", "vpi: 10.60.0.101"),
    ],
)
def test_it_refuses_what_the_parser_refuses(old: str, new: str) -> None:
    assert accepts(yaml.safe_load(SOUND))
    changed = SOUND.replace(old, new)
    assert config.load(SOUND).config is not None
    assert config.load(changed).config is None
    assert not accepts(yaml.safe_load(changed))


def test_every_key_is_described() -> None:
    def properties(schema: Any) -> list[Any]:
        if isinstance(schema, list):
            return [found for part in schema for found in properties(part)]
        if not isinstance(schema, dict):
            return []
        own = list(schema.get("properties", {}).values())
        return own + [found for part in schema.values() for found in properties(part)]

    assert all("description" in part or "const" in part for part in properties(config.schema()))
