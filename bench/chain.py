"""The whole chain: what stands between generator and sink, and what a frame costs through it.

The generator is an XDP program run with live frames. Its frames reach the balancer as if
received from the wire, and all receive work runs as softirq inside the calling thread, so
that thread's CPU time is the cost of the chain, whoever else uses the machine.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from bench import engine
from bench.engine import Policy
from bench.kernel import Hook, Plan, Programs
from bench.topology import (
    BACK,
    BACK_MAC,
    FRONT_MAC,
    PORT,
    SINK_MAC,
    VIP,
    Bed,
    bed,
    index,
    inside,
    ip,
    run,
    server_address,
    sysctl,
)
from willis.model.persistence import SourcePersistence
from willis.model.service import Forwarding

_ANSWERED = 8192
"""Frames, several of each flow."""


@dataclass(frozen=True, slots=True)
class Ground:
    """What a balancer may use, and the stack that takes it away again."""

    bed: Bed
    programs: bytes
    bpffs: Path
    stack: ExitStack


@dataclass(frozen=True, slots=True)
class Case:
    """One way through the balancer."""

    name: str
    hook: Hook
    """Where the sink sits: it takes bare XDP frames or socket buffers."""
    build: Callable[[Ground], None]
    dmac: str = FRONT_MAC
    sink: str = "s0"
    answered: bool = False
    """The servers answer once, before anything is measured: until then a connection is new to conntrack."""
    target: float | None = None
    """Most that it may cost, in the cost of ``beside``."""
    beside: str = "plain IP forwarding"
    """The name of the case that the target is about."""


@dataclass(frozen=True, slots=True)
class Sample:
    """ns a frame, once for each try of one round, and how many of the frames arrived."""

    tries: tuple[float, ...]
    sent: int
    arrived: int


def sample(case: Case, programs: bytes, bpffs: Path, warm_up: int, frames: int, tries: int) -> Sample:
    """Build ``case`` on fresh namespaces, send ``warm_up`` frames, then ``tries`` times ``frames``."""
    with ExitStack() as stack:
        ground = Ground(stack.enter_context(bed(engine.MOST_SERVERS)), programs, bpffs, stack)
        case.build(ground)
        source = stack.enter_context(Programs.load(programs, bpffs))
        source.plan(Plan(case.dmac, index(ground.bed.generator, "g0")))
        if case.answered:
            _answered(ground, source)
        sink = _sink(ground, case)
        with inside(ground.bed.generator):
            source.generate(warm_up)
            before = sink.arrived()
            costs = tuple(source.generate(frames) for _ in range(tries))
            return Sample(costs, frames * tries, sink.arrived() - before)


def _answered(ground: Ground, source: Programs) -> None:
    with ExitStack() as stack:
        servers = stack.enter_context(Programs.load(ground.programs, ground.bpffs))
        with inside(ground.bed.sink):
            stack.enter_context(servers.attached("answer", "s0", Hook.TC))
        with inside(ground.bed.generator):
            source.generate(_ANSWERED)


def _sink(ground: Ground, case: Case) -> Programs:
    sink = ground.stack.enter_context(Programs.load(ground.programs, ground.bpffs))
    namespace = ground.bed.sink if case.sink == "s0" else ground.bed.balancer
    with inside(namespace):
        ground.stack.enter_context(sink.attached("sink", case.sink, case.hook))
    return sink


def _nothing(ground: Ground) -> None:
    """The sink itself stands in the balancer's place."""


def _redirect(hook: Hook) -> Callable[[Ground], None]:
    def build(ground: Ground) -> None:
        bare = ground.stack.enter_context(Programs.load(ground.programs, ground.bpffs))
        bare.plan(Plan(SINK_MAC, index(ground.bed.balancer, "b1")))
        with inside(ground.bed.balancer):
            ground.stack.enter_context(bare.attached("redirect", "b0", hook))

    return build


def _forward(ground: Ground) -> None:
    with inside(ground.bed.balancer):
        sysctl(ip_forward=1, conf__all__rp_filter=0, conf__b0__rp_filter=0)
        ip(f"route add {VIP}/32 via {server_address(0)}")


def _bridge(ground: Ground) -> None:
    with inside(ground.bed.balancer):
        # Bridged frames would otherwise pass the IP hooks as well, where the kernel has that.
        for family in ("iptables", "ip6tables", "arptables"):
            switch = Path(f"/proc/sys/net/bridge/bridge-nf-call-{family}")
            if switch.exists():
                switch.write_text("0")
        ip(
            "link add br0 type bridge stp_state 0 forward_delay 0 mcast_snooping 0",
            "link set b0 master br0",
            "link set b1 master br0",
            "link set br0 up",
        )
        run(["bridge", "fdb", "add", SINK_MAC, "dev", "b1", "master", "static"])


_NFT = f"""
table netdev willis_bench {{
  map flows {{ type ipv4_addr . inet_service . ipv4_addr . inet_service : mark
               size 262144; flags dynamic, timeout; timeout 5m; }}
  map clients {{ type ipv4_addr : mark; size 65536; flags dynamic, timeout; timeout 5m; }}
  map servers {{ type mark : ether_addr; elements = {{ 1 : {SINK_MAC}, 2 : {SINK_MAC}, 3 : {SINK_MAC} }}; }}
  counter server1 {{ }}
  counter server2 {{ }}
  counter server3 {{ }}
  chain ingress {{
    type filter hook ingress device b0 priority 0; policy accept;
    ip daddr {VIP} udp dport {PORT} goto choose
  }}
  chain choose {{
    meta mark set ip saddr . udp sport . ip daddr . udp dport map @flows goto send
    meta mark set ip saddr map @clients
    meta mark 0 meta mark set jhash ip saddr . udp sport mod 3 map {{ 0 : 1, 1 : 2, 2 : 3 }}
    update @clients {{ ip saddr : meta mark }}
    goto send
  }}
  chain send {{
    update @flows {{ ip saddr . udp sport . ip daddr . udp dport : meta mark }}
    counter name meta mark map {{ 1 : "server1", 2 : "server2", 3 : "server3" }}
    ether saddr set {BACK_MAC}
    ether daddr set meta mark map @servers
    fwd to "b1"
  }}
}}
"""
"""DR in nftables alone, doing what the engine does: flows that stay and are renewed, source-IP
persistence, a hash for the rest, counters. A map that misses ends its rule, so the next one tries."""


_TRACKED = """
table ip willis_bench {
  chain tracked { type filter hook forward priority filter; policy accept; ct state invalid drop; }
}
"""
"""The least that makes the kernel track connections."""

_NFT_NAT = f"""
table ip willis_bench {{
  map clients {{ type ipv4_addr : mark; size 65536; flags dynamic, timeout; timeout 5m; }}
  map servers {{ type mark : ipv4_addr;
                 elements = {{ {", ".join(f"{i + 1} : {server_address(i)}" for i in range(3))} }}; }}
  counter to1 {{ }}
  counter to2 {{ }}
  counter to3 {{ }}
  counter from1 {{ }}
  counter from2 {{ }}
  counter from3 {{ }}
  chain service {{
    type filter hook prerouting priority mangle; policy accept;
    ip daddr {VIP} udp dport {PORT} jump count
  }}
  chain count {{
    ct state new jump choose
    update @clients {{ ip saddr : ct mark }}
    counter name ct mark map {{ 1 : "to1", 2 : "to2", 3 : "to3" }}
  }}
  chain choose {{
    meta mark set ip saddr map @clients
    meta mark 0 meta mark set jhash ip saddr . udp sport mod 3 map {{ 0 : 1, 1 : 2, 2 : 3 }}
    ct mark set meta mark
  }}
  chain to_server {{
    type nat hook prerouting priority dstnat; policy accept;
    dnat to ct mark map @servers
  }}
  chain replied {{
    type filter hook forward priority filter; policy accept;
    ct direction reply counter name ct mark map {{ 1 : "from1", 2 : "from2", 3 : "from3" }}
  }}
}}
"""
"""NAT in nftables alone: conntrack remembers connections, a new one follows its client's persistence or
else a hash, and every packet counts for its server in either direction, as in the engines."""

_NFT_SNAT = f"""
{_NFT_NAT}
table ip willis_bench {{
  chain from_node {{
    type nat hook postrouting priority srcnat; policy accept;
    ct mark 1-3 snat to {BACK.partition("/")[0]}
  }}
}}
"""


def _nftables(ground: Ground) -> None:
    with inside(ground.bed.balancer):
        run(["nft", "-f", "-"], _NFT)


def _routed(rules: str) -> Callable[[Ground], None]:
    """Plain forwarding with these rules."""

    def build(ground: Ground) -> None:
        _forward(ground)
        with inside(ground.bed.balancer):
            run(["nft", "-f", "-"], rules)

    return build


def _engine(hook: Hook, policy: Policy) -> Callable[[Ground], None]:
    def build(ground: Ground) -> None:
        site = engine.site(hook, policy)
        ground.stack.enter_context(engine.running(site, ground.bed.balancer, ground.bpffs))

    return build


_KEPT = SourcePersistence(timeout_s=300)


def _translated(forwarding: Forwarding) -> Callable[[Ground], None]:
    return _engine(Hook.TC, Policy(persistence=_KEPT, forwarding=forwarding))


XDP_ALONE = Case("generator, XDP drop", Hook.XDP, _nothing, sink="b0")
SKB_ALONE = Case("generator, skb + tc drop", Hook.TC, _nothing, sink="b0")
FORWARDING = Case("plain IP forwarding", Hook.TC, _forward)
CASES = (
    XDP_ALONE,
    SKB_ALONE,
    Case("XDP bare redirect", Hook.XDP, _redirect(Hook.XDP)),
    Case("Willis DR, XDP", Hook.XDP, _engine(Hook.XDP, Policy()), target=0.33),
    Case("Willis DR, XDP, persistence", Hook.XDP, _engine(Hook.XDP, Policy(persistence=_KEPT))),
    Case("Willis DR, XDP, 64 servers", Hook.XDP, _engine(Hook.XDP, Policy(servers=engine.MOST_SERVERS))),
    Case("tc bare redirect", Hook.TC, _redirect(Hook.TC)),
    Case("Willis DR, tcx", Hook.TC, _engine(Hook.TC, Policy()), target=0.80),
    Case("Willis DR, tcx, persistence", Hook.TC, _engine(Hook.TC, Policy(persistence=_KEPT))),
    FORWARDING,
    Case("plain bridge", Hook.TC, _bridge, dmac=SINK_MAC),
    Case("nftables DR, persistence", Hook.TC, _nftables),
    Case("IP forwarding, conntrack", Hook.TC, _routed(_TRACKED), answered=True),
    Case("nftables NAT, persistence", Hook.TC, _routed(_NFT_NAT), answered=True),
    Case(
        "Willis NAT, persistence",
        Hook.TC,
        _translated(Forwarding.NAT),
        answered=True,
        target=0.90,
        beside="nftables NAT, persistence",
    ),
    Case("nftables SNAT, persistence", Hook.TC, _routed(_NFT_SNAT), answered=True),
    Case(
        "Willis SNAT, persistence",
        Hook.TC,
        _translated(Forwarding.SNAT),
        answered=True,
        target=0.90,
        beside="nftables SNAT, persistence",
    ),
)
