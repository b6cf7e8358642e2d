/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * What the layer-4 program and user space share: the maps' keys and values.
 *
 * src/willis/engines/ebpf/layout.py is the other half; a change here changes
 * both and raises LAYOUT there, so that pinned maps are never misread.
 * Addresses and ports are in network order, an IPv4 address as ::ffff:a.b.c.d;
 * every other number is in host order.  Times are CLOCK_MONOTONIC.
 */
#ifndef WILLIS_L4_H
#define WILLIS_L4_H

#include <linux/types.h>

#define SERVICES 1024
#define PORTS 16384
#define MEMBERS 16384
#define FLOWS 262144
#define CLIENTS 65536
#define FRAGMENTS 8192
#define LINKS 65536
#define NAME 64
#define INTERFACE 16

struct address {
	__u32 words[4];
};

/* services: what clients connect to, one entry a port. */
struct service_key {
	struct address vip;
	__be16 port;
	__u8 protocol;
	__u8 pad;
};

struct service {
	__u32 id;               /* shared by all ports; salts the hash */
	__u32 fallback;         /* a member's slot; 0: none */
	__u64 persistence;      /* time-out in ticks of 1,024 ns; 0: no persistence */
	struct address mask;    /* what of a client's address persistence looks at */
	__u32 translated;       /* 1: NAT or SNAT, so its members have marks */
	__u32 one_packet;       /* 1: every datagram is scheduled by itself */
};

/* timeouts: by service id, in ns, after which a silent flow is forgotten; 0: the sweep's own. */
struct timeouts {
	__u64 established, closing, datagram;
};

/* members: one real server in one pool.  Slot 0 stays unused and means "none". */
enum standing {
	FREE = 0,
	OPEN = 1,               /* takes new connections */
	DRAIN = 2,              /* keeps the connections it has */
	DOWN = 3,               /* carries nothing */
	LEAVING = 4,            /* taken out of the pool; as DRAIN until its last flow is gone */
};

struct member {
	__u8 mac[6];
	__u8 source_mac[6];
	__u32 ifindex;          /* 0: its MAC is not known yet, or it has a mark */
	__u32 standing;
	__u32 service;
	__u32 mark;             /* NAT, SNAT: tells nftables the member; 0: direct routing */
};

/* loads: what a member carries now. */
struct load {
	__s64 active;           /* live flows: SYN, ESTABLISHED, DATAGRAM */
	__u64 changes;          /* rises with every start and end of a flow */
	__s64 half_open;        /* those of `active` that are in state SYN */
};

/* flows: which member a connection goes to. */
struct flow_key {
	struct address source;
	struct address vip;
	__be16 source_port;
	__be16 port;
	__u8 protocol;
	__u8 pad[3];
};

enum flow_state {
	SYN = 1,
	ESTABLISHED = 2,
	FIN = 3,
	CLOSED = 4,
	DATAGRAM = 5,
	MIDWAY = 6,             /* met without its SYN or left on a dead member: not proven alive */
};

struct flow {
	__u64 last;             /* ns; of a MIDWAY flow its beginning */
	__u32 state;
	__u32 member;
	__u64 born;             /* ns; of a connection met midway when it was met; 0: not known */
};

/* clients: source-IP persistence.  One word, so that it changes at one instant:
 * the upper 48 bits are the end in ticks of 1,024 ns, the lower 16 the member. */
struct client_key {
	__u32 service;
	struct address source;
};

/* fragments: where the first fragment of a datagram went. */
struct fragment_key {
	struct address source;
	struct address vip;
	__u32 id;
	__u32 protocol;
};

/* server_counts, service_counts: per CPU. */
struct counts {
	__u64 packets;
	__u64 bytes;            /* from the IP header on, as they were on the wire */
	__u64 connections;
	__u64 closed;
	__u64 refused;          /* packets that no member could take */
};

/*
 * tables: by service id, an inner array of 64-bit words that is swapped whole:
 *
 *   word 0   slots (low 32 bits), turns (high 32)
 *   word 1   pool (low 32), scheduler (high 32)
 *   pool     2 a word: member (low 16 bits) and weight (high 16): what wlc searches
 *   turns    4 a word: members in the order of wrr, one whole round
 *   slots    4 a word: the Maglev table
 */
#define TABLE_HEADER 2

enum scheduler {
	WRR = 1,
	WLC = 2,
	SH = 3,
	MH = 4,
};

/* links: the MAC addresses of the interfaces that XDP is attached to, by ifindex. */
struct link {
	__u8 mac[6];
	__u8 pad[2];
};

/* heartbeat: one word, the time in ns at which the daemon was last there; user space only. */

/* service_labels, member_labels: names, read by user space only. */
struct service_label {
	char name[NAME];
	__u32 leaving;
};

struct member_label {
	char host[NAME];
	char interface[INTERFACE];
	struct address address;
	__u32 service;
	__u32 fallback;         /* 1: the fallback server, not of the pool */
};

/* census: one sweep's recount of a member, and its service's time-outs. */
struct census {
	__s64 active;           /* the load when the count began */
	__u64 changes;
	__s64 live;             /* live flows that were found */
	__u64 flows;            /* all flows that were found */
	__s64 half_open;        /* the load's when the count began */
	__s64 half_live;        /* half-open flows that were found */
	struct timeouts timeouts;
	__u64 oldest;           /* when the first of the open flows was born, in ns; 0: none, or not known */
};

/* The contexts of the programs that user space runs. */
struct sweep_args {
	__u64 syn;                      /* in: time-out in ns of flows not proven alive */
	struct timeouts others;         /* in: of the other flows, where their service has none */
	__u64 members;                  /* in: slots to count, from 0 */
	__u64 flows, clients, expired;  /* out: found, still tied, found and ended */
};

#define TABLE_READ 8

struct table_args {
	__u32 service;                  /* in */
	__u32 first;                    /* in: the first word to read */
	__u64 words[TABLE_READ];        /* out; 0 beyond the end */
};

#endif
