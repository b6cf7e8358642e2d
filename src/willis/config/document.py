"""The site document, described once: every key, what it may be, what it is for.

The parser, the JSON Schema and the manual's reference follow this description.
"""

from __future__ import annotations

import re

from willis.config.addresses import IPAddress, OwnAddress
from willis.config.document_access import ACCESS
from willis.config.document_alerts import ALERTS
from willis.config.document_audit import AUDIT
from willis.config.document_check import CHECK, DEFAULT_CHECK
from willis.config.document_feedback import FEEDBACK
from willis.config.document_persistence import PERSISTENCE
from willis.config.document_proxy import DICOM, HTTP, LIMITS, WAITS
from willis.config.document_tls import ACME, SERVER_TLS, TLS
from willis.config.fields import Key, Many, Names, Record
from willis.config.scalars import Choice, Duration, Flag, Integer, Name, PortSpan, Version
from willis.config.words import PORT
from willis.model.node import Attach
from willis.model.proxy import ProxyProtocol
from willis.model.service import Application, Forwarding, Need, Protocol, Scheduler, Watermarks

LATER = (Forwarding.TUN,)
"""Forwarding modes that are understood but not carried."""

VERSION = 1
"""Of this format, and the only one so far. What an older document says differently from a newer one
is changed where documents are read: in ``load``, before ``parse``."""

MOST_PORTS = 1024
"""How many ports one service may have."""

_INTERFACE = re.compile(r"\A[A-Za-z0-9][A-Za-z0-9._-]{0,14}\Z")
"""The kernel holds at most 15 bytes of an interface's name (IFNAMSIZ)."""

INTERFACE_NAME = Name(
    "interface", _INTERFACE, "1 to 15 letters, digits, '.', '_' or '-', beginning with a letter or digit"
)
HOST_NAME = Name("host")

POOL_ITEM = Record(
    "Real server",
    (
        Key("host", HOST_NAME, "A name from `hosts`.", required=True),
        Key(
            "port",
            PORT,
            "The port on the host. DR cannot change the port; every other forwarding can.",
            default="the port of the virtual service",
        ),
        Key(
            "weight",
            Integer(0, 256),
            "Its share of new connections; 0 takes none.",
            default="the service's `weight`",
        ),
    ),
    short="host",
)
FALLBACK = Record("Fallback server", POOL_ITEM.keys[:2], short="host")

TIMEOUTS = Record(
    "Time-outs",
    (
        Key(
            "established",
            Duration("1s", "30d", whole=True),
            "TCP, while the connection is open: an association may idle between two studies.",
            default="`4h`",
        ),
        Key(
            "closing",
            Duration("1s", "30d", whole=True),
            "TCP, after one end said that it is done.",
            default="`2m`",
        ),
        Key("datagram", Duration("1s", "30d", whole=True), "UDP.", default="`5m`"),
    ),
)

WATERMARKS = Record(
    "Watermarks",
    (
        Key("high", Integer(1, 1_000_000), "With so many connections it takes no new ones.", required=True),
        Key("low", Integer(0, 1_000_000), "Until it has no more than these.", required=True),
    ),
    makes=Watermarks,
)

SERVICE = Record(
    "Virtual service",
    (
        Key(
            "vip",
            IPAddress(),
            "The address that clients connect to, in a subnet of one of the interfaces.",
            required=True,
        ),
        Key(
            "ports",
            Many("port", PortSpan(), most=MOST_PORTS, bare=True),
            f"The port, a range, or a list of both, {MOST_PORTS:,} ports in all. They share one persistence. "
            "A `proxy` service without ports serves only where another service's rules or routes lead.",
            default="**required** but for `proxy`",
        ),
        Key(
            "protocol",
            Choice(Protocol),
            "The transport protocol. UDP is carried at layer 4 only.",
            default="`tcp`",
        ),
        Key("application", Choice(Application), "What is spoken inside the connection.", default="`generic`"),
        Key(
            "forwarding",
            Choice(Forwarding, LATER),
            "`dr` (layer 4, direct routing: the real server answers the client itself), `nat` (layer 4: "
            "answers return through the node), `snat` (layer 4: servers see the node's address, and may be "
            "anywhere) or `proxy` (layer 7).",
            required=True,
        ),
        Key(
            "source",
            IPAddress(),
            "SNAT: the address that real servers see, one of the node's own or a VIP.",
            default="the node's address that faces the real server",
        ),
        Key(
            "one-packet",
            Flag(),
            "UDP: every datagram is scheduled by itself.",
            default="`false`",
        ),
        Key(
            "timeouts",
            TIMEOUTS,
            "Layer 4: how long a silent connection is remembered.",
            default="the defaults of its keys",
        ),
        Key(
            "scheduler",
            Choice(Scheduler),
            "Weighted round robin, weighted least connections, hash of the source, or Maglev hash.",
            default="`defaults.scheduler`",
        ),
        Key(
            "weight",
            Integer(0, 256),
            "Weight of its real servers that name none.",
            default="`defaults.weight`",
        ),
        Key(
            "proxy-timeouts", WAITS, "Layer 7: how long the proxy waits.", default="the defaults of its keys"
        ),
        Key("limits", LIMITS, "Layer 7: what clients may ask for.", default="none"),
        Key("tls", TLS, "Layer 7: TLS ends here.", default="none, or it passes through"),
        Key("server-tls", SERVER_TLS, "Layer 7: TLS towards real servers.", default="none"),
        Key(
            "proxy-protocol",
            Choice(ProxyProtocol),
            "Layer 7: tell real servers of the client by the PROXY protocol.",
            default="none",
        ),
        Key(
            "behind-proxies",
            Flag(),
            "Layer 7: clients come through proxies that speak the PROXY protocol.",
            default="`false`",
        ),
        Key(
            "transparent",
            Flag(),
            "Layer 7: real servers see the client's own address. Their answers must return through the node.",
            default="`false`",
        ),
        Key(
            "quick-acknowledge",
            Flag(),
            "Layer 7: acknowledge real servers' answers at once, which senders of many images wait for.",
            default="`true` with dicom and mwl",
        ),
        Key("http", HTTP, "Layer 7: what HTTP services may ask for.", default="the defaults of its keys"),
        Key("dicom", DICOM, "Layer 7: what DICOM services may ask for.", default="the defaults of its keys"),
        Key(
            "floor",
            Integer(0, 64),
            "With fewer servers than this left by their checks, all that are meant to be online serve.",
            default="`0`: checks may empty the pool",
        ),
        Key(
            "slow-start",
            Duration("1s", "1h", whole=True),
            "Time over which a server that came back gets its whole weight.",
            default="at once",
        ),
        Key(
            "watermarks",
            WATERMARKS,
            "Connections open to one server, counted every second, at which it gets no new ones.",
            default="none",
        ),
        Key(
            "feedback",
            FEEDBACK,
            "Servers say themselves how much they can take.",
            default="they are not asked",
        ),
        Key("persistence", PERSISTENCE, "What keeps a client on its real server.", default="none"),
        Key(
            "check",
            CHECK,
            "How the real servers are looked at; each key stands in for that of `defaults.check`.",
            default="`defaults.check`",
        ),
        Key(
            "fallback", FALLBACK, "Serves when no server of the pool can. It is not checked.", default="none"
        ),
        Key(
            "pool",
            Many("real server", POOL_ITEM, most=64),
            "The real servers: names of hosts, or records.",
            required=True,
        ),
    ),
)

INTERFACE = Record(
    "Interface",
    (
        Key(
            "addresses",
            Many("address", OwnAddress(), most=16),
            "The node's own addresses there, as the operating system gave them.",
            required=True,
        ),
        Key(
            "attach",
            Choice(Attach),
            "Where the layer-4 program sits: `tcx` on any interface, `xdp` natively on a physical one.",
            default="`tcx`",
        ),
    ),
)
NEED = Record(
    "Need",
    (
        Key("name", Name("need"), "What it is, such as `database`.", required=True),
        Key("address", IPAddress(), "Where it is.", required=True),
        Key("port", PORT, "Its TCP port.", required=True),
    ),
    makes=Need,
)
HOST = Record(
    "Host",
    (
        Key("address", IPAddress(), "The host's own address (RIP).", required=True),
        Key(
            "needs",
            Many("need", NEED, most=8, bare=True),
            "What nothing on it works without: if that does not answer, its servers get no new connections.",
            default="nothing",
        ),
    ),
    short="address",
)

DEFAULTS = Record(
    "Defaults",
    (
        Key("scheduler", Choice(Scheduler), "Scheduler of services that name none.", default="`wlc`"),
        Key("weight", Integer(0, 256), "Weight of real servers that name none.", default="`100`"),
        Key("check", DEFAULT_CHECK, "Check of services, key by key.", default="the defaults of its keys"),
    ),
)

SITE = Record(
    "Site",
    (
        Key("version", Version(VERSION), "The version of this format.", required=True),
        Key("site", Name("site"), "The name of the site.", required=True),
        Key(
            "interfaces",
            Names(INTERFACE_NAME, INTERFACE, most=64),
            "The node's interfaces by name.",
            required=True,
        ),
        Key(
            "hosts",
            Names(HOST_NAME, HOST),
            "The machines behind the node by name: an address, or a record.",
            required=True,
        ),
        Key(
            "defaults",
            DEFAULTS,
            "What stands in where a service is silent.",
            default="the defaults of its keys",
        ),
        Key("acme", ACME, "Certificates that are ordered and renewed by themselves.", default="none"),
        Key("alerts", ALERTS, "Who is told of events.", default="nobody"),
        Key("audit", AUDIT, "Who gets every entry of the audit trail.", default="nobody"),
        Key("access", ACCESS, "Who else vouches for people who sign in.", default="nobody"),
        Key("services", Names(Name("service"), SERVICE), "The virtual services by name.", required=True),
    ),
)
