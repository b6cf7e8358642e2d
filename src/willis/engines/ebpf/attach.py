"""Where the program sits: pinned links, one file for each interface and hook.

A pinned link outlives the daemon, and its program is replaced at one instant.
A link whose device has vanished counts as not attached, so the next apply makes it anew.
Where the kernel has no tcx, ``clsact`` stands in.
"""

from __future__ import annotations

import errno
import os
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from willis.engines.ebpf import bpf, clsact, layout
from willis.engines.ebpf.bpf import AttachType, Map
from willis.engines.ebpf.entries import Attachment
from willis.engines.port import EngineError
from willis.engines.rtnetlink import Link
from willis.model.node import Attach

_TYPES = {Attach.TCX: AttachType.TCX_INGRESS, Attach.XDP: AttachType.XDP}
_PROGRAMS = {Attach.TCX: "willis_tc", Attach.XDP: "willis_xdp"}
_REMEDIES = {
    errno.EBUSY: "Another program holds its hook: find it with 'bpftool net', detach it, then apply again.",
    errno.EEXIST: "Another program holds its hook: find it with 'bpftool net', detach it, then apply again.",
    errno.EOPNOTSUPP: "Its driver cannot do that: write 'attach: tcx' for this interface.",
    errno.ERANGE: "Its MTU is too large for XDP in this driver: lower it, or write 'attach: tcx'.",
    errno.EINVAL: "This kernel cannot do that.",
    errno.EPERM: "Run Willis with CAP_BPF and CAP_NET_ADMIN.",
}
_LAST_REMEDY = "See the kernel's log (dmesg)."


@dataclass(frozen=True, slots=True)
class _Pinned:
    """A link's pin and the device it holds: 0 when that is gone."""

    interface: str
    hook: Attach
    path: Path
    ifindex: int


class Hooks:
    """Attaches, finds and removes the program's links."""

    def __init__(self, directory: Path, programs: Mapping[str, int], links: Map) -> None:
        self._directory = directory
        self._programs = programs
        self._links = links
        self._tcx = clsact.has_tcx()
        for hook in Attach:
            (directory / hook).mkdir(parents=True, exist_ok=True)

    def adopt(self, links: Mapping[str, Link]) -> None:
        """Puts the newly loaded programs where earlier ones are attached."""
        for pinned in self._pinned():
            if pinned.ifindex:
                with _opened(pinned.path) as link:
                    bpf.update_link(link, self._program(pinned.hook))
        for name in self._filtered(links):
            clsact.attach(links[name].index, self._program(Attach.TCX))

    def attached(self, links: Mapping[str, Link]) -> dict[str, Attachment]:
        """The interfaces that the program sits on now, leaving out devices that have gone or come anew."""
        hooks: dict[str, set[Attach]] = defaultdict(set)
        for pinned in self._pinned():
            if _holds(pinned, links):
                hooks[pinned.interface].add(pinned.hook)
        for name in self._filtered(links):
            hooks[name].add(Attach.TCX)
        return {interface: Attachment(tuple(sorted(each))) for interface, each in hooks.items()}

    def attach(self, interface: str, hook: Attach, links: Mapping[str, Link]) -> None:
        """Attaches to an interface; does nothing where that is done. Raises EngineError."""
        link = links.get(interface)
        if link is None:
            raise EngineError(
                f"Layer 4 cannot be attached to interface {interface}, because this node has none of that "
                f"name. Correct the name in the document, or bring the interface up and apply again."
            )
        if link.index >= layout.LINKS:
            raise EngineError(
                f"Layer 4 cannot be attached to interface {interface}: its index {link.index} is beyond "
                f"{layout.LINKS - 1}. Indices rise with every interface that was ever made; restart the node."
            )
        if hook in self.attached(links).get(interface, Attachment(())).hooks:
            return
        self._note_mac(link)
        try:
            if hook is Attach.TCX and not self._tcx:
                clsact.attach(link.index, self._program(hook))
            else:
                self._link(interface, hook, link)
        except OSError as error:
            number = error.errno or 0
            raise EngineError(
                f"Layer 4 cannot be attached to interface {interface} by {hook}: {os.strerror(number)}. "
                f"{_REMEDIES.get(number, _LAST_REMEDY)}"
            ) from error

    def _link(self, interface: str, hook: Attach, link: Link) -> None:
        path = self._path(interface, hook)
        path.unlink(missing_ok=True)
        made = bpf.create_link(self._program(hook), link.index, _TYPES[hook])
        try:
            bpf.pin(made, path)
        finally:
            os.close(made)

    def detach(self, interface: str, hook: Attach, links: Mapping[str, Link]) -> None:
        """Detaches from an interface, whether it is there or not."""
        for pinned in self._pinned():
            if (pinned.interface, pinned.hook) == (interface, hook):
                _unlink(pinned)
        if hook is Attach.TCX and interface in self._filtered(links):
            clsact.detach(links[interface].index)

    def detach_all(self, links: Mapping[str, Link]) -> None:
        """Detaches everywhere and removes the pins' directories."""
        for pinned in self._pinned():
            _unlink(pinned)
        for name in self._filtered(links):
            clsact.detach(links[name].index)
        for hook in Attach:
            (self._directory / hook).rmdir()

    def note_macs(self, links: Mapping[str, Link]) -> None:
        """Tells XDP our own MACs as they are now."""
        for pinned in self._pinned():
            link = links.get(pinned.interface)
            if link is not None:
                self._note_mac(link)

    def _note_mac(self, link: Link) -> None:
        key, value = layout.INDEX.pack(link.index), layout.LINK.pack(link.mac)
        if self._links.lookup(key) != value:
            self._links.update(key, value)

    def _program(self, hook: Attach) -> int:
        return self._programs[_PROGRAMS[hook]]

    def _filtered(self, links: Mapping[str, Link]) -> list[str]:
        """The interfaces with our filter, on kernels without tcx."""
        return [] if self._tcx else [name for name, link in links.items() if clsact.holds(link.index)]

    def _path(self, interface: str, hook: Attach) -> Path:
        # bpffs keeps dots for itself; an interface's name allows no per cent sign
        return self._directory / hook / interface.replace(".", "%2E")

    def _pinned(self) -> list[_Pinned]:
        found = []
        for hook in Attach:
            for path in sorted((self._directory / hook).iterdir()):
                with _opened(path) as link:
                    ifindex = bpf.link_ifindex(link)
                found.append(_Pinned(path.name.replace("%2E", "."), hook, path, ifindex))
        return found


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    link = bpf.open_pin(path)
    try:
        yield link
    finally:
        os.close(link)


def _unlink(pinned: _Pinned) -> None:
    with _opened(pinned.path) as link:
        if pinned.ifindex:
            bpf.detach_link(link)
    pinned.path.unlink()


def _holds(pinned: _Pinned, links: Mapping[str, Link]) -> bool:
    link = links.get(pinned.interface)
    return link is not None and link.index == pinned.ifindex
