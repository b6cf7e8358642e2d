"""Questions harm nobody's cache, answers are read as they are, and filters let in just those."""

from __future__ import annotations

import struct
from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from willis.doctor import filters, frames, segments
from willis.doctor.frames import checksum, pseudo_header
from willis.doctor.seen import Reply
from willis.doctor.segments import ACK, RST, SYN, Head, answer, segment
from willis.model.service import Address

OURS, THEIRS = bytes.fromhex("020000000001"), bytes.fromhex("0200000000ff")
VIP4, VIP6 = IPv4Address("10.60.0.101"), IPv6Address("2001:db8::101")
NODE4, NODE6 = IPv4Address("10.60.0.2"), IPv6Address("2001:db8::2")


def test_an_arp_probe_names_no_sender_so_that_nobody_learns_from_it() -> None:
    frame = frames.who_has(VIP4, OURS, None)
    assert frame.hex() == (
        "ffffffffffff" + "020000000001" + "0806"
        "0001080006040001" + "020000000001" + "00000000" + "000000000000" + "0a3c0065"
    )  # fmt: skip


def test_an_arp_request_for_a_host_names_the_node_as_the_kernel_does() -> None:
    assert frames.who_has(VIP4, OURS, NODE4)[28:32] == NODE4.packed


def test_a_solicitation_comes_from_the_nodes_own_address_to_the_targets_group() -> None:
    frame = frames.who_has(VIP6, OURS, NODE6)
    assert frame[:6] == bytes.fromhex("3333ff000101")
    packet = frame[14:]
    source, group = IPv6Address(packet[8:24]), IPv6Address(packet[24:40])
    assert (source, group, packet[7]) == (NODE6, IPv6Address("ff02::1:ff00:101"), 255)
    message = packet[40:]
    assert message[0] == 135 and message[8:24] == VIP6.packed and message[24:] == b"\x01\x01" + OURS
    assert checksum(pseudo_header(source, group, 58, len(message)), message) == 0


def test_ipv6_is_not_asked_for_without_an_address_of_its_own() -> None:
    with pytest.raises(ValueError, match="IPv6 address"):
        frames.who_has(VIP6, OURS, None)


def test_an_arp_reply_says_who_owns_the_address_and_a_request_does_not() -> None:
    assert frames.owner(arp(2)) == (VIP4, THEIRS)
    assert frames.owner(arp(1)) is None
    assert frames.owner(arp(2)[:30]) is None


def test_an_advertisement_says_it_by_its_option_or_by_where_it_came_from() -> None:
    assert frames.owner(advertisement(b"\x02\x01" + b"\x02" * 6)) == (VIP6, b"\x02" * 6)
    assert frames.owner(advertisement(b"")) == (VIP6, THEIRS)


def test_an_advertisement_that_a_router_passed_on_is_no_neighbours() -> None:
    assert frames.owner(advertisement(b"", limit=254)) is None


@given(st.binary(max_size=120))
def test_no_frame_breaks_the_readers(tail: bytes) -> None:
    for kind in (b"\x08\x06", b"\x08\x00", b"\x86\xdd"):
        frames.owner(OURS + THEIRS + kind + tail)
        segments.answer(OURS + THEIRS + kind + tail, 4711)


@pytest.mark.parametrize(("source", "vip"), [(NODE4, VIP4), (NODE6, VIP6)])
def test_a_syn_is_whole_and_lives_for_one_hop(source: Address, vip: Address) -> None:
    frame = segment(Head(OURS, THEIRS, source, 4711, vip, 104), SYN, 7)
    assert frame[:12] == THEIRS + OURS
    packet = frame[14:]
    size = 20 if source.version == 4 else 40
    assert packet[8 if source.version == 4 else 7] == 1
    if source.version == 4:
        assert checksum(packet[:20]) == 0
    tcp = packet[size:]
    assert struct.unpack_from("!HHI", tcp) == (4711, 104, 7)
    assert checksum(pseudo_header(source, vip, 6, len(tcp)), tcp) == 0


@pytest.mark.parametrize(("source", "vip"), [(NODE4, VIP4), (NODE6, VIP6)])
@pytest.mark.parametrize(("flags", "reply"), [(SYN | ACK, Reply.OPEN), (RST | ACK, Reply.CLOSED)])
def test_what_answers_a_syn_is_told_by_its_acknowledgement(
    source: Address, vip: Address, flags: int, reply: Reply
) -> None:
    frame = tcp_answer(source, vip, flags, 8)
    said = answer(frame, 4711)
    assert said is not None
    assert (said.sequence, said.port, said.reply) == (7, 104, reply)
    assert answer(frame, 4712) is None


def test_a_segment_of_a_running_connection_is_no_answer() -> None:
    assert answer(tcp_answer(NODE4, VIP4, ACK, 8), 4711) is None


@pytest.mark.parametrize(("source", "vip"), [(NODE4, VIP4), (NODE6, VIP6)])
def test_a_router_that_complains_passed_it_on_and_a_firewall_forbade_it(
    source: Address, vip: Address
) -> None:
    exceeded, unreachable = (11, 3) if source.version == 4 else (3, 1)
    for kind, reply in ((exceeded, Reply.PASSED_ON), (unreachable, Reply.FORBIDDEN)):
        said = answer(complaint(source, vip, kind), 4711)
        assert said is not None
        assert (said.sequence, said.port, said.reply) == (7, 104, reply)


def test_filters_let_in_what_is_asked_for_and_nothing_else() -> None:
    everything = {
        "arp reply": arp(2),
        "arp request": arp(1),
        "advertisement": advertisement(b""),
        "solicitation": frames.who_has(VIP6, OURS, NODE6),
        "tcp4": tcp_answer(NODE4, VIP4, SYN | ACK, 8),
        "tcp6": tcp_answer(NODE6, VIP6, SYN | ACK, 8),
        "icmp4": complaint(NODE4, VIP4, 11),
        "icmp6": complaint(NODE6, VIP6, 3),
    }
    arps, fours, sixes = ({n: everything[n] for n in names} for names in (
        ("arp reply", "arp request"), ("tcp4", "icmp4"), ("advertisement", "solicitation", "tcp6", "icmp6")
    ))  # fmt: skip

    def passed(code: bytes, given: dict[str, bytes]) -> set[str]:
        return {name for name, frame in given.items() if run(code, frame)}

    assert passed(filters.arp_replies(), arps) == {"arp reply"}
    assert passed(filters.advertisements(), sixes) == {"advertisement"}
    assert passed(filters.answers_to(4, 4711), fours) == {"tcp4", "icmp4"}
    assert passed(filters.answers_to(4, 4712), fours) == {"icmp4"}
    assert passed(filters.answers_to(6, 4711), sixes) == {"tcp6", "icmp6", "advertisement", "solicitation"}
    assert "tcp6" not in passed(filters.answers_to(6, 4712), sixes)


def arp(operation: int) -> bytes:
    body = struct.pack("!HHBBH", 1, 0x0800, 6, 4, operation) + THEIRS + VIP4.packed + OURS + bytes(4)
    return OURS + THEIRS + b"\x08\x06" + body


def advertisement(option: bytes, limit: int = 255) -> bytes:
    message = bytes((136, 0, 0, 0)) + bytes(4) + VIP6.packed + option
    head = struct.pack("!IHBB", 6 << 28, len(message), 58, limit) + VIP6.packed + NODE6.packed
    return OURS + THEIRS + b"\x86\xdd" + head + message


def tcp_answer(source: Address, vip: Address, flags: int, acknowledged: int) -> bytes:
    """Of the server's to ``source``."""
    frame = segment(Head(THEIRS, OURS, vip, 104, source, 4711), flags, 99)
    size = 14 + (20 if source.version == 4 else 40)
    return frame[: size + 8] + struct.pack("!I", acknowledged) + frame[size + 12 :]


def complaint(source: Address, vip: Address, kind: int) -> bytes:
    quoted = segment(Head(OURS, THEIRS, source, 4711, vip, 104), SYN, 7)[14:]
    message = bytes((kind, 0)) + bytes(6) + quoted[: 28 if source.version == 4 else 48]
    if source.version == 4:
        head = struct.pack(
            "!BBHHHBBH4s4s", 0x45, 0, 20 + len(message), 0, 0, 64, 1, 0, vip.packed, source.packed
        )
        return OURS + THEIRS + b"\x08\x00" + head + message
    head = struct.pack("!IHBB", 6 << 28, len(message), 58, 64) + vip.packed + source.packed
    return OURS + THEIRS + b"\x86\xdd" + head + message


def run(code: bytes, frame: bytes) -> int:
    """What the kernel's interpreter of classic BPF would return."""
    accumulator = index = at = 0
    while True:
        opcode, yes, no, operand = struct.unpack_from("=HBBI", code, at * 8)
        at += 1
        if opcode == 0x28:
            accumulator = int.from_bytes(frame[operand : operand + 2])
        elif opcode == 0x30:
            accumulator = frame[operand]
        elif opcode == 0xB1:
            index = 4 * (frame[operand] & 0x0F)
        elif opcode == 0x48:
            accumulator = int.from_bytes(frame[index + operand : index + operand + 2])
        elif opcode == 0x15:
            at += yes if accumulator == operand else no
        else:
            assert opcode == 0x06
            return operand
