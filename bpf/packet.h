/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * Reading a frame: who talks to whom, and what the frame is to a connection.
 */
#ifndef WILLIS_PACKET_H
#define WILLIS_PACKET_H

#include <stdbool.h>
#include <linux/icmpv6.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <linux/udp.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "willis_l4.h"

/* RFC 792; <linux/icmp.h> would pull in the C library. */
#define ICMP_DEST_UNREACH 3
#define ICMP_TIME_EXCEEDED 11
#define ICMP_PARAMETERPROB 12

#define FRAGMENT_OFFSET 0x1fff
#define MORE_FRAGMENTS 0x2000
#define EXTENSIONS 4            /* IPv6 extension headers that are walked over */

/* Ethernet, IPv6, two extension headers, ICMPv6, the inner IPv6 and its ports. */
#define HEADERS_MAX 134

enum kind {
	FOREIGN,                /* none of ours: the stack's */
	TRUNCATED,              /* the headers reach beyond what can be read */
	WHOLE,
	FRAGMENT_HEAD,          /* the first fragment, with ports */
	FRAGMENT_TAIL,          /* a later one, without */
	ICMP_ERROR,             /* about a packet of the flow in `flow` */
};

struct packet {
	struct flow_key flow;   /* from the client to the VIP */
	__u32 fragment;         /* the datagram's id, where it is fragmented */
	__u32 headers;          /* bytes of IP and transport headers */
	__u32 bytes;            /* from the IP header on, of all segments */
	__u32 segments;
	__u32 reserved;         /* the member whose load already counts this flow */
	bool opening;           /* SYN, or any datagram */
	bool finishing;         /* FIN */
	bool resetting;         /* RST */
};

struct icmp_header {
	__u8 type;
	__u8 code;
	__be16 checksum;
	__be32 rest;
};

struct fragment_header {
	__u8 next;
	__u8 reserved;
	__be16 offset;
	__be32 id;
};

static __always_inline void set_v4(struct address *to, __be32 from)
{
	to->words[0] = 0;
	to->words[1] = 0;
	to->words[2] = bpf_htonl(0xffff);
	to->words[3] = from;
}

static __always_inline void set_v6(struct address *to, const struct in6_addr *from)
{
	__builtin_memcpy(to->words, from->in6_u.u6_addr32, sizeof(to->words));
}

static __always_inline void swap_ends(struct flow_key *flow)
{
	struct address address = flow->source;
	__be16 port = flow->source_port;

	flow->source = flow->vip;
	flow->vip = address;
	flow->source_port = flow->port;
	flow->port = port;
}

static __always_inline enum kind read_tcp(struct packet *p, void *at, void *end)
{
	struct tcphdr *tcp = at;

	if ((void *)(tcp + 1) > end)
		return TRUNCATED;
	p->flow.source_port = tcp->source;
	p->flow.port = tcp->dest;
	p->headers += tcp->doff * 4;
	p->opening = tcp->syn && !tcp->ack;
	p->finishing = tcp->fin;
	p->resetting = tcp->rst;
	return WHOLE;
}

static __always_inline enum kind read_udp(struct packet *p, void *at, void *end)
{
	struct udphdr *udp = at;

	if ((void *)(udp + 1) > end)
		return TRUNCATED;
	p->flow.source_port = udp->source;
	p->flow.port = udp->dest;
	p->headers += sizeof(*udp);
	p->opening = true;
	return WHOLE;
}

/* The ports of the packet inside an ICMP error; TCP and UDP begin alike. */
static __always_inline enum kind read_inner_ports(struct packet *p, void *at, void *end)
{
	struct udphdr *ports = at;

	if (p->flow.protocol != IPPROTO_TCP && p->flow.protocol != IPPROTO_UDP)
		return FOREIGN;
	if ((void *)(ports + 1) > end)
		return TRUNCATED;
	p->flow.source_port = ports->source;
	p->flow.port = ports->dest;
	swap_ends(&p->flow);    /* the inner packet went from the VIP to the client */
	return ICMP_ERROR;
}

static __noinline enum kind read_icmp(struct packet *p, void *at, void *end)
{
	struct icmp_header *icmp = at;
	struct iphdr *inner = at + sizeof(*icmp);

	if ((void *)(inner + 1) > end)
		return TRUNCATED;
	if (icmp->type != ICMP_DEST_UNREACH && icmp->type != ICMP_TIME_EXCEEDED &&
	    icmp->type != ICMP_PARAMETERPROB)
		return FOREIGN;
	if (inner->version != 4 || inner->frag_off & bpf_htons(FRAGMENT_OFFSET))
		return FOREIGN;
	set_v4(&p->flow.source, inner->saddr);
	set_v4(&p->flow.vip, inner->daddr);
	p->flow.protocol = inner->protocol;
	return read_inner_ports(p, (void *)inner + inner->ihl * 4, end);
}

static __noinline enum kind read_icmp6(struct packet *p, void *at, void *end)
{
	struct icmp6hdr *icmp = at;
	struct ipv6hdr *inner = at + sizeof(*icmp);

	if ((void *)(icmp + 1) > end)
		return TRUNCATED;
	if (icmp->icmp6_type < ICMPV6_DEST_UNREACH || icmp->icmp6_type > ICMPV6_PARAMPROB)
		return FOREIGN;
	if ((void *)(inner + 1) > end)
		return TRUNCATED;
	set_v6(&p->flow.source, &inner->saddr);
	set_v6(&p->flow.vip, &inner->daddr);
	p->flow.protocol = inner->nexthdr;
	return read_inner_ports(p, inner + 1, end);
}

static __always_inline enum kind read_transport(struct packet *p, void *at, void *end)
{
	switch (p->flow.protocol) {
	case IPPROTO_TCP:
		return read_tcp(p, at, end);
	case IPPROTO_UDP:
		return read_udp(p, at, end);
	case IPPROTO_ICMP:
		return read_icmp(p, at, end);
	case IPPROTO_ICMPV6:
		return read_icmp6(p, at, end);
	default:
		return FOREIGN;
	}
}

/* `place` is the fragment's place in its datagram: offset and more-fragments, in host order. */
static __always_inline enum kind read_fragment(struct packet *p, __u16 place, void *at, void *end)
{
	enum kind kind;

	if (place & FRAGMENT_OFFSET)
		return FRAGMENT_TAIL;
	kind = read_transport(p, at, end);
	return kind == WHOLE && place ? FRAGMENT_HEAD : kind;
}

static __always_inline enum kind read_v4(struct packet *p, void *at, void *end)
{
	struct iphdr *ip = at;

	if ((void *)(ip + 1) > end)
		return TRUNCATED;
	if (ip->version != 4 || ip->ihl < 5)
		return FOREIGN;
	set_v4(&p->flow.source, ip->saddr);
	set_v4(&p->flow.vip, ip->daddr);
	p->flow.protocol = ip->protocol;
	p->fragment = ip->id;
	p->headers = ip->ihl * 4;
	return read_fragment(p, bpf_ntohs(ip->frag_off) & (FRAGMENT_OFFSET | MORE_FRAGMENTS),
			     at + ip->ihl * 4, end);
}

static __noinline enum kind read_v6(struct packet *p, void *at, void *end)
{
	struct ipv6hdr *ip = at;
	void *next = ip + 1;
	__u8 protocol;
	__u16 place = 0;
	int i;

	if (next > end)
		return TRUNCATED;
	set_v6(&p->flow.source, &ip->saddr);
	set_v6(&p->flow.vip, &ip->daddr);
	protocol = ip->nexthdr;
#pragma unroll
	for (i = 0; i < EXTENSIONS; i++) {
		struct fragment_header *header = next;

		if (protocol != IPPROTO_HOPOPTS && protocol != IPPROTO_DSTOPTS &&
		    protocol != IPPROTO_FRAGMENT)
			break;
		if ((void *)(header + 1) > end)
			return TRUNCATED;
		if (protocol == IPPROTO_FRAGMENT) {
			/* 13 bits of offset, 2 reserved, 1 more-fragments (RFC 8200, 4.5) */
			place = bpf_ntohs(header->offset) >> 3;
			if (header->offset & bpf_htons(1))
				place |= MORE_FRAGMENTS;
			p->fragment = header->id;
			next += sizeof(*header);
		} else {
			next += (header->reserved + 1) * 8;     /* here: the header's length */
		}
		protocol = header->next;
		if (place & FRAGMENT_OFFSET)
			break;
	}
	p->flow.protocol = protocol;
	p->headers = next - at;
	return read_fragment(p, place, next, end);
}

/* Reads a frame into `p`, which must be zero. */
static __always_inline enum kind read_frame(struct packet *p, void *data, void *end)
{
	struct ethhdr *ethernet = data;

	if ((void *)(ethernet + 1) > end)
		return TRUNCATED;
	switch (ethernet->h_proto) {
	case bpf_htons(ETH_P_IP):
		return read_v4(p, ethernet + 1, end);
	case bpf_htons(ETH_P_IPV6):
		return read_v6(p, ethernet + 1, end);
	default:
		return FOREIGN;
	}
}

#endif
