"""What to type against a fault, on Linux and on Windows Server. Pure.

The lines may be repeated, and they quieten a machine before they give it a VIP: in the other
order it would answer for the VIP until the next line. ``conf.all`` is enough, since the kernel
takes the higher of all and the interface (ip-sysctl.rst); so no interface need be known.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from willis.doctor.finding import Fix
from willis.model.service import Address

_KEEP = (
    "# keep both: the settings in /etc/sysctl.d/90-willis.conf, the addresses in the network configuration"
)


def own_quietly(vips: Sequence[Address], address: Address) -> Fix:
    """Have the host with ``address`` own the VIPs, and say so to nobody (direct routing)."""
    linux = [*_quiet_linux(vips), *(_on_loopback(vip) for vip in vips), _KEEP]
    return Fix(tuple(linux), tuple(_windows(vips, address)))


def leave(vips: Sequence[Address], address: Address) -> Fix:
    """Take the VIPs from the host with ``address``: it serves none of them by direct routing."""
    linux = [
        *(f"ip -o address show to {vip}   # says on which interface DEV it is" for vip in vips),
        *(f"ip address del {vip}/{vip.max_prefixlen} dev DEV" for vip in vips),
        "# and from the network configuration, or it comes back",
    ]
    return Fix(tuple(linux), tuple(_taken(vip) for vip in vips))


def no_proxy_arp(version: int) -> Fix:
    """Have a router answer for its own addresses only."""
    setting = "ipv4.conf.all.proxy_arp" if version == 4 else "ipv6.conf.all.proxy_ndp"
    router = "# on the router's interface to this subnet; on Cisco's: no ip proxy-arp"
    return Fix(linux=(router, f"sysctl -w net.{setting}=0"))


def find(macs: Iterable[str]) -> Fix:
    """A machine that nobody knows."""
    lines = [f"# look for {mac} in the switches' address tables; its port shows the machine" for mac in macs]
    return Fix(willis=(*lines, "# then give it another address, or this site another VIP"))


def plug_in(interface: str) -> Fix:
    """A host that nobody answers for."""
    return Fix(
        willis=(f"# look at the host, its cable and the VLAN of both switch ports ({interface} here)",)
    )


def listen_on(vip: Address, ports: Sequence[int]) -> Fix:
    """Have an application listen on the VIP too."""
    linux = [f"ss -ltn sport = :{port}   # must show *, 0.0.0.0, [::] or {vip}" for port in ports]
    windows = [
        f"Get-NetTCPConnection -State Listen -LocalPort {port}   # must show 0.0.0.0, :: or {vip}"
        for port in ports
    ]
    advice = "# else have the application listen on all addresses, and start it again"
    return Fix((*linux, advice), (*windows, advice))


def let_in(vip: Address, ports: Sequence[int]) -> Fix:
    """Open a host's own firewall for the VIP."""
    listed = ", ".join(map(str, ports))
    family = "ip" if vip.version == 4 else "ip6"
    linux = (
        "nft list ruleset   # or iptables-save: look for what drops or rejects it",
        f"nft insert rule inet filter input {family} daddr {vip} tcp dport {{ {listed} }} accept",
    )
    windows = (
        f'New-NetFirewallRule -DisplayName "VIP {vip}" -Direction Inbound -Protocol TCP '
        f"-LocalAddress {vip} -LocalPort {','.join(map(str, ports))} -Action Allow",
    )
    return Fix(linux, windows)


def _quiet_linux(vips: Sequence[Address]) -> list[str]:
    lines = []
    if any(vip.version == 4 for vip in vips):
        lines.append("sysctl -w net.ipv4.conf.all.arp_ignore=1 net.ipv4.conf.all.arp_announce=2")
    if any(vip.version == 6 for vip in vips):
        lines.append("sysctl -w net.ipv6.conf.all.proxy_ndp=0")
    shown = " ".join(f"to {vip}" for vip in vips[:1])
    return [*lines, f"ip -o address show {shown}   # must stand on lo only; delete it from any other"]


def _on_loopback(vip: Address) -> str:
    if vip.version == 6:
        return f"ip -6 address replace {vip}/128 dev lo nodad preferred_lft 0"
    return f"ip address replace {vip}/32 dev lo"


def _windows(vips: Sequence[Address], address: Address) -> list[str]:
    """As in docs/guide/direct-routing.md. ``address`` finds the card that faces the node."""
    return [
        '# once: Device Manager > Add legacy hardware > "Microsoft KM-TEST Loopback Adapter"; name it vip',
        f"$lan = (Get-NetIPAddress -IPAddress {address}).InterfaceAlias",
        *(line for version in sorted({vip.version for vip in vips}) for line in _weak_host(version)),
        *(_taken(vip) for vip in vips),
        *(
            f'New-NetIPAddress -InterfaceAlias "vip" -IPAddress {vip} -PrefixLength {vip.max_prefixlen} '
            "-SkipAsSource $true"
            for vip in vips
        ),
    ]


def _weak_host(version: int) -> tuple[str, str]:
    start = f"netsh interface ipv{version} set interface"
    return (
        f'{start} "$lan" weakhostreceive=enabled',
        f'{start} "vip" weakhostreceive=enabled weakhostsend=enabled metric=254',
    )


def _taken(vip: Address) -> str:
    return f"Remove-NetIPAddress -IPAddress {vip} -Confirm:$false -ErrorAction SilentlyContinue"
