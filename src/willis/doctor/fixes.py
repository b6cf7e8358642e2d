"""What to type against a fault, on Linux and on Windows Server. Pure.

The lines may be repeated, and they quieten a machine before they give it a VIP: in the other
order it would answer for the VIP until the next line. ``conf.all`` is enough, since the kernel
takes the higher of all and the interface (ip-sysctl.rst); so no interface need be known.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from willis.doctor.finding import Fix
from willis.model.service import Address

_USUAL = 1500
"""Bytes of an IP packet that any Ethernet carries."""
Door = tuple[Address, int]
"""A VIP and a port."""
_QUIET = {
    4: "sysctl -w net.ipv4.conf.all.arp_ignore=1 net.ipv4.conf.all.arp_announce=2",
    6: "sysctl -w net.ipv6.conf.all.proxy_ndp=0",
}
_DELETE = """ip -o address show to $vip | awk '{print "address del", $4, "dev", $2}' | ip -batch -"""
"""From wherever it is: nobody but the host knows on which interface."""
_DELETE_ELSEWHERE = _DELETE.replace("'{", """'$2 != "lo" {""")
_KEEP = (
    "# keep both: the settings in /etc/sysctl.d/90-willis.conf, the addresses in the network configuration"
)


def own_quietly(vips: Sequence[Address], address: Address) -> Fix:
    """Have the host with ``address`` own the VIPs, and say so to nobody (direct routing)."""
    linux = []
    for version, family in _families(vips).items():
        add = "ip address replace $vip/32 dev lo"
        if version == 6:
            add = "ip -6 address replace $vip/128 dev lo nodad preferred_lft 0"
        linux += [_QUIET[version], _each(family, f"{_DELETE_ELSEWHERE}; {add}")]
    return Fix((*linux, _KEEP), tuple(_windows(vips, address)))


def leave(vips: Sequence[Address]) -> Fix:
    """Take the VIPs from a host that serves none of them by direct routing."""
    linux = (_each(vips, _DELETE), "# and from the network configuration, or they come back")
    return Fix(linux, tuple(f"Remove-NetIPAddress -IPAddress {vip} -Confirm:$false" for vip in vips))


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


def listen_on(doors: Sequence[Door]) -> Fix:
    """Have applications listen on VIPs too."""
    ports = sorted({port for _, port in doors})
    listed = ", ".join(map(str, ports))
    linux = " or ".join(f"sport = :{port}" for port in ports)
    advice = (
        "# must show all addresses (*, 0.0.0.0, [::]) or the VIP; else set the application so, and start it"
    )
    return Fix(
        (f"ss -ltnp '{linux}'", advice),
        (f"Get-NetTCPConnection -State Listen -LocalPort {listed}", advice),
    )


def let_in(doors: Sequence[Door]) -> Fix:
    """Open a host's own firewall for VIPs."""
    ports = ", ".join(str(port) for port in sorted({port for _, port in doors}))
    vips = ", ".join(dict.fromkeys(str(vip) for vip, _ in doors))
    linux = (
        "nft list ruleset   # or iptables-save: look for what drops or rejects it",
        f"# and let in TCP ports {ports} for {vips}",
    )
    windows = (
        'New-NetFirewallRule -DisplayName "Willis VIPs" -Direction Inbound -Action Allow '
        f"-Protocol TCP -LocalAddress {vips} -LocalPort {ports}",
    )
    return Fix(linux, windows)


def gateway(node: Address, address: Address, also_direct: bool) -> Fix:
    """Have the host with ``address`` send its answers by the node. ``also_direct``: only those of its own
    address, since in direct routing it answers from a VIP and by its router."""
    ip = "ip" if node.version == 4 else "ip -6"
    keep = "# keep it in the network configuration"
    everywhere = "0.0.0.0/0" if node.version == 4 else "::/0"
    lan = f"$lan = (Get-NetIPAddress -IPAddress {address}).InterfaceAlias"
    if also_direct:
        linux = (
            f"{ip} route replace default via {node} table 100",
            f"{ip} rule add from {address} table 100",
            f"# and the subnet itself: {ip} route add SUBNET dev DEV table 100",
            keep,
        )
        return Fix(linux, ("# Windows cannot route by source: use DR or NAT for this server, not both",))
    windows = (
        lan,
        f"Remove-NetRoute -DestinationPrefix {everywhere} -InterfaceAlias $lan -Confirm:$false",
        f"New-NetRoute -DestinationPrefix {everywhere} -InterfaceAlias $lan -NextHop {node}",
    )
    return Fix((f"{ip} route replace default via {node}", keep), windows)


def loose_filter(interface: str) -> Fix:
    """Let packets in whose way back is another interface. 2 wins over 1, since the higher counts."""
    name = interface.replace(".", "/")
    return Fix(
        willis=(f"sysctl -w net.ipv4.conf.{name}.rp_filter=2", "# keep it in /etc/sysctl.d/90-willis.conf")
    )


def mtu(interface: str, size: int) -> Fix:
    """Agree on one size; ``size``: what the interface sends now."""
    lower = (f"ip link set {interface} mtu {_USUAL}   # if larger packets are not meant",)
    return Fix(
        linux=("ip -o link show   # on the host: its MTU; the switch ports between must carry the larger",),
        windows=("netsh interface ipv4 show subinterfaces   # the host's MTU",),
        willis=lower if size > _USUAL else (),
    )


def clock() -> Fix:
    """The same time server for all."""
    return Fix(
        linux=("timedatectl   # must say: System clock synchronized: yes",),
        windows=("w32tm /query /status", "w32tm /resync"),
        willis=("timedatectl   # here too",),
    )


def _families(vips: Sequence[Address]) -> dict[int, list[Address]]:
    """The VIPs by IP version."""
    return {vip.version: [each for each in vips if each.version == vip.version] for vip in vips}


def _each(vips: Sequence[Address], command: str) -> str:
    return f"for vip in {' '.join(map(str, vips))}; do {command}; done"


def _windows(vips: Sequence[Address], address: Address) -> list[str]:
    """As in docs/guide/direct-routing.md. ``address`` finds the card that faces the node."""
    return [
        '# once: Device Manager > Add legacy hardware > "Microsoft KM-TEST Loopback Adapter"; name it vip',
        f"$lan = (Get-NetIPAddress -IPAddress {address}).InterfaceAlias",
        *(line for version, family in _families(vips).items() for line in _weak_host(version, family)),
    ]


def _weak_host(version: int, vips: Sequence[Address]) -> tuple[str, ...]:
    """The cards take each other's packets; the VIPs go from wherever they are to the loopback adapter."""
    start = f"netsh interface ipv{version} set interface"
    new = f'New-NetIPAddress -InterfaceAlias "vip" -IPAddress $_ -PrefixLength {vips[0].max_prefixlen}'
    return (
        f'{start} "$lan" weakhostreceive=enabled',
        f'{start} "vip" weakhostreceive=enabled weakhostsend=enabled metric=254',
        "$vips = " + ", ".join(f"'{vip}'" for vip in vips),
        "Remove-NetIPAddress -IPAddress $vips -Confirm:$false -ErrorAction SilentlyContinue",
        f"$vips | ForEach-Object {{ {new} -SkipAsSource $true }}",
    )
