"""A small document with every kind of service, for the twin's unit tests."""

from __future__ import annotations

from willis.config import load
from willis.model.config import Config

DOCUMENT = """
version: 1
site: sample
interfaces:
  eth0:
    addresses: [10.60.0.2/24]
hosts:
  vna1: 10.60.0.11
  vna2: 10.60.0.12
  far: 10.77.0.5
services:
  Routing:
    vip: 10.60.0.101
    ports: 11112
    application: dicom
    forwarding: dr
    persistence: {kind: source-ip, timeout: 5m}
    pool: [vna1, vna2]
  Internal:
    vip: 10.60.0.102
    ports: 11112
    application: dicom
    forwarding: dr
    pool: [vna1, vna2]
  Worklist:
    vip: 10.60.0.103
    ports: 4106
    application: mwl
    forwarding: dr
    pool: [vna1]
    fallback: vna2
  Live:
    vip: 10.60.0.104
    ports: 2398
    application: hl7
    forwarding: dr
    pool: [vna1, vna2]
  Mint:
    vip: 10.60.0.105
    ports: 8080
    application: mint
    forwarding: dr
    persistence: {kind: source-ip, timeout: 5m}
    pool: [vna1, vna2]
  Clock:
    vip: 10.60.0.106
    ports: 9123
    protocol: udp
    forwarding: dr
    pool: [vna1]
  Web:
    vip: 10.60.0.107
    ports: 8237
    application: http
    forwarding: proxy
    persistence: {kind: cookie}
    pool: [vna1, {host: far, port: 9237}]
"""


def config(text: str = DOCUMENT) -> Config:
    loaded = load(text)
    assert loaded.config is not None, loaded.problems
    return loaded.config
