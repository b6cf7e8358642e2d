// SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only)
/*
 * Willis, layer 4: one scheduler for tc and XDP, forwarding by direct routing;
 * for NAT and SNAT it chooses the member, and nftables translates.
 *
 * A packet's way:
 *
 *   read      Ethernet, IPv4 or IPv6, TCP or UDP; anything else is the stack's.
 *             (tc: headers outside the linear part are pulled in, once)
 *   own       addressed to this node's MAC; a flooded frame is not ours to send
 *   flow      flows[5-tuple]: its member, unless that is down; the state advances
 *   service   else services[VIP, port, protocol]; none: the stack's
 *   client    a persistent client's member, if the tie holds and the member is able
 *   choose    wlc or wrr for an opening packet, else the Maglev table
 *   fallback  the fallback server, if no member is able; without one: drop, counted.
 *             (A dropped SYN is sent again: the sender waits instead of failing)
 *   remember  the flow, its member's load, the client's tie; nothing of a service
 *             with one-packet scheduling but the tie
 *   count     packets, bytes, connections, by service and by member
 *   send      the member's MAC as destination, our own as source, bpf_redirect;
 *             or, for a member with a mark, that mark and on to the stack (tc only:
 *             XDP cannot mark, and leaves translated services as they are)
 *
 * Later fragments follow the first, and an ICMP error about a packet that a
 * server sent from the VIP follows that server's flow.
 *
 * IP and above stay untouched: with direct routing the server answers the
 * client directly, from the VIP that it carries on its loopback.
 */
#include <linux/bpf.h>
#include <linux/if_packet.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_helpers.h>

#include "flows.h"
#include "maps.h"
#include "packet.h"
#include "sweep.h"

static __always_inline void count_packet(struct packet *p, struct counts *counts)
{
	if (!counts)
		return;
	counts->packets += p->segments;
	counts->bytes += p->bytes;
}

static __noinline int refuse(const struct packet *p, __u32 service)
{
	struct counts *counts = bpf_map_lookup_elem(&service_counts, &service);

	if (counts)
		counts->refused += p->segments;
	return REFUSE;
}

/* Counts the packet and lets it go to the member, if that can be reached. */
static __always_inline int carry(struct packet *p, __u32 slot, bool marks)
{
	struct member *member = bpf_map_lookup_elem(&members, &slot);
	__u32 service;

	if (!member)
		return REFUSE;
	service = member->service;
	if (!member->ifindex) {
		if (!member->mark)
			return refuse(p, service);
		if (!marks)
			return PASS;
	}
	count_packet(p, bpf_map_lookup_elem(&server_counts, &slot));
	count_packet(p, bpf_map_lookup_elem(&service_counts, &service));
	return slot;
}

static __always_inline void fragment_of(struct fragment_key *key, const struct packet *p)
{
	key->source = p->flow.source;
	key->vip = p->flow.vip;
	key->id = p->fragment;
	key->protocol = p->flow.protocol;
}

static __always_inline int direct_connection(struct packet *p, bool head, bool marks)
{
	__u64 now = bpf_ktime_get_coarse_ns();
	int way = follow(p, bpf_map_lookup_elem(&flows, &p->flow), now, marks);
	struct fragment_key fragment;
	struct service *service;
	__u32 slot;

	if (way == ANEW) {
		service = service_of(p);
		if (!service || (service->translated && !marks))
			return PASS;
		way = begin(p, service, now);
		if (way == REFUSE)
			return refuse(p, service->id);
	}
	if (way <= REFUSE)
		return way;
	slot = way;
	if (head) {
		fragment_of(&fragment, p);
		bpf_map_update_elem(&fragments, &fragment, &slot, BPF_ANY);
	}
	return carry(p, slot, marks);
}

static __noinline int direct_fragment(struct packet *p, bool marks)
{
	struct fragment_key fragment;
	__u32 *slot;

	fragment_of(&fragment, p);
	slot = bpf_map_lookup_elem(&fragments, &fragment);
	return slot ? carry(p, *slot, marks) : PASS;
}

static __noinline int direct_error(struct packet *p, bool marks)
{
	struct flow *flow = bpf_map_lookup_elem(&flows, &p->flow);

	return flow ? carry(p, flow->member, marks) : PASS;
}

/* `marks`: whether the caller can mark packets. */
static __always_inline int direct(struct packet *p, enum kind kind, bool marks)
{
	switch (kind) {
	case WHOLE:
	case FRAGMENT_HEAD:
		return direct_connection(p, kind == FRAGMENT_HEAD, marks);
	case FRAGMENT_TAIL:
		return direct_fragment(p, marks);
	case ICMP_ERROR:
		return direct_error(p, marks);
	default:
		return PASS;
	}
}

/*
 * MAC addresses by half-words: a header in a packet counts as unaligned, and the
 * compiler would go byte by byte.
 */
static __always_inline void copy_mac(__u8 *to, const __u8 *from)
{
	const __u16 *source = (const __u16 *)from;
	__u16 *target = (__u16 *)to;

	target[0] = source[0];
	target[1] = source[1];
	target[2] = source[2];
}

static __always_inline bool same_mac(const __u8 *one, const __u8 *other)
{
	const __u16 *a = (const __u16 *)one, *b = (const __u16 *)other;

	return !((a[0] ^ b[0]) | (a[1] ^ b[1]) | (a[2] ^ b[2]));
}

/* Addresses the frame to the member.  Returns the interface to send it from; 0 if it cannot be. */
static __always_inline __u32 address_frame(void *data, void *end, __u32 slot)
{
	struct member *member = bpf_map_lookup_elem(&members, &slot);
	struct ethhdr *ethernet = data;

	if (!member || !member->ifindex || (void *)(ethernet + 1) > end)
		return 0;
	copy_mac(ethernet->h_dest, member->mac);
	copy_mac(ethernet->h_source, member->source_mac);
	return member->ifindex;
}

static __always_inline void *start_of(struct __sk_buff *skb)
{
	return (void *)(long)skb->data;
}

static __always_inline void *end_of(struct __sk_buff *skb)
{
	return (void *)(long)skb->data_end;
}

/*
 * Gives the packet to the stack with the member's mark.  The whole word is ours
 * to write: an administrator's own marks come from nftables, which is later.
 */
static __noinline int hand_over(struct __sk_buff *skb, __u32 slot)
{
	struct member *member = bpf_map_lookup_elem(&members, &slot);

	if (!member || !member->mark)
		return TC_ACT_SHOT;
	skb->mark = member->mark;
	return TC_ACT_UNSPEC;
}

SEC("tc")
int willis_tc(struct __sk_buff *skb)
{
	struct packet p = {};
	enum kind kind;
	__u32 out;
	int way;

	/* A tagged frame belongs to the VLAN's own device. */
	if (skb->pkt_type != PACKET_HOST || skb->vlan_present)
		return TC_ACT_UNSPEC;
	kind = read_frame(&p, start_of(skb), end_of(skb));
	if (kind == TRUNCATED) {
		bpf_skb_pull_data(skb, skb->len < HEADERS_MAX ? skb->len : HEADERS_MAX);
		kind = read_frame(&p, start_of(skb), end_of(skb));
	}
	/* A super-packet stands for many frames, each with its own headers. */
	p.segments = skb->gso_segs ? skb->gso_segs : 1;
	p.bytes = skb->len - ETH_HLEN + (p.segments - 1) * p.headers;
	way = direct(&p, kind, true);
	if (way == PASS)
		return TC_ACT_UNSPEC;
	if (way == REFUSE)
		return TC_ACT_SHOT;
	out = address_frame(start_of(skb), end_of(skb), way);
	return out ? bpf_redirect(out, 0) : hand_over(skb, way);
}

/* XDP sees every frame on the wire; tc knows by the packet type which are ours. */
static __always_inline bool is_own(struct xdp_md *xdp, void *data, void *end)
{
	__u32 ifindex = xdp->ingress_ifindex;
	struct link *link = bpf_map_lookup_elem(&links, &ifindex);
	struct ethhdr *ethernet = data;

	if (!link || (void *)(ethernet + 1) > end)
		return false;
	return same_mac(ethernet->h_dest, link->mac);
}

SEC("xdp.frags")
int willis_xdp(struct xdp_md *xdp)
{
	void *data = (void *)(long)xdp->data, *end = (void *)(long)xdp->data_end;
	struct packet p = { .segments = 1 };
	__u32 out;
	int way;

	if (!is_own(xdp, data, end))
		return XDP_PASS;
	p.bytes = bpf_xdp_get_buff_len(xdp) - ETH_HLEN;
	way = direct(&p, read_frame(&p, data, end), false);
	if (way == PASS)
		return XDP_PASS;
	out = way == REFUSE ? 0 : address_frame(data, end, way);
	return out ? bpf_redirect(out, 0) : XDP_DROP;
}

char _license[] SEC("license") = "Dual BSD/GPL";
