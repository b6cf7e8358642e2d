"""Small sites for tests: a builder for one example, and a hypothesis strategy for any."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Interface

from hypothesis import strategies as st

from willis.model.check import Check
from willis.model.config import Config
from willis.model.node import Host, Interface
from willis.model.persistence import CookiePersistence, SourcePersistence
from willis.model.service import (
    Application,
    Forwarding,
    RealServer,
    Scheduler,
    VirtualService,
)
from willis.model.status import Admin, Health, Place, Status, Verdict
from willis.plan.members import targets

ETH0 = Interface("eth0", (IPv4Interface("10.60.0.2/24"),))


def host(number: int) -> Host:
    return Host(f"vna{number}", IPv4Address(f"10.60.0.{10 + number}"))


def server(number: int, **changes: object) -> RealServer:
    return replace(RealServer(f"vna{number}", host(number).address), **changes)


def dr(name: str = "DicomRouting", vip: int = 101, port: int = 11112, **changes: object) -> VirtualService:
    """A layer-4 DR service over vna1, vna2 and vna3."""
    service = VirtualService(
        name=name,
        vip=IPv4Address(f"10.60.0.{vip}"),
        ports=(port,),
        forwarding=Forwarding.DR,
        check=Check(),
        pool=tuple(server(n) for n in (1, 2, 3)),
        application=Application.DICOM,
        persistence=SourcePersistence(),
    )
    return replace(service, **changes)


def nat(name: str = "Mwl", vip: int = 107, port: int = 104, **changes: object) -> VirtualService:
    """A layer-4 NAT service over vna1, vna2 and vna3."""
    return dr(name, vip, port, **{"forwarding": Forwarding.NAT, **changes})


def web(name: str = "VitreaRead", vip: int = 114, port: int = 8237, **changes: object) -> VirtualService:
    """A layer-7 HTTP service with cookie persistence over vna1, vna2 and vna3."""
    return replace(
        dr(name, vip, port),
        **{
            "forwarding": Forwarding.PROXY,
            "application": Application.HTTP,
            "persistence": CookiePersistence(),
            **changes,
        },
    )


def site(*services: VirtualService) -> Config:
    return Config(
        site="test", interfaces=(ETH0,), hosts=tuple(host(n) for n in range(1, 6)), services=services
    )


def seen(config: Config, verdict: Verdict = Verdict.UP, **hosts: Verdict) -> Status:
    """A status in which every target has ``verdict``, but for the hosts named."""
    names = {h.address: h.name for h in config.hosts}
    found = {t: hosts.get(names.get(t.address, ""), verdict) for t in targets(config)}
    return Status(health={t: Health(each, "seen") for t, each in found.items()})


def _services(vip: int) -> st.SearchStrategy[VirtualService]:
    pools = st.lists(st.integers(1, 5), min_size=1, max_size=5, unique=True)
    servers = pools.flatmap(
        lambda numbers: st.tuples(
            *(st.builds(server, st.just(n), weight=st.integers(0, 256)) for n in numbers)
        )
    )
    sources = st.none() | st.builds(SourcePersistence, st.integers(1, 86_400), st.integers(1, 32))
    common = {"vip": st.just(vip), "port": st.integers(1024, 1027), "pool": servers}
    schedulers = st.sampled_from(Scheduler)
    layer4 = st.builds(
        dr,
        st.just(f"svc{vip}"),
        **common,
        persistence=sources,
        scheduler=schedulers,
        fallback=st.none() | st.builds(server, st.integers(1, 5)),
        forwarding=st.sampled_from((Forwarding.DR, Forwarding.NAT, Forwarding.SNAT)),
    )
    layer7 = st.builds(
        web, st.just(f"svc{vip}"), **common, persistence=st.none() | st.builds(CookiePersistence),
        scheduler=schedulers,
    )  # fmt: skip
    return layer4 | layer7


def sites() -> st.SearchStrategy[Config]:
    """Any small site of layer-4 and layer-7 services."""
    vips = st.lists(st.integers(101, 106), max_size=4, unique=True)
    return vips.flatmap(lambda chosen: st.tuples(*map(_services, chosen))).map(lambda s: site(*s))


@st.composite
def statuses(draw: st.DrawFn, config: Config) -> Status:
    """Any verdicts and administrative states for the site."""
    verdicts = st.sampled_from(Verdict)
    health = {t: Health(draw(verdicts), "drawn") for t in targets(config)}
    states = st.sampled_from(Admin)
    admin = {Place(h.name): draw(states) for h in config.hosts if draw(st.booleans())}
    return Status(health=health, admin=admin)
