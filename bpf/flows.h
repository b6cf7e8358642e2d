/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * Connections: found, followed through their states, begun and ended.
 *
 *   SYN -> ESTABLISHED (the client's first ACK) -> FIN (its FIN) -> CLOSED (RST)
 *   MIDWAY -> ESTABLISHED (a packet after PROOF_NS)
 *   DATAGRAM
 *
 * In DR the client's half is all that passes here.  SYN, ESTABLISHED and
 * DATAGRAM are live: they count in their member's load, and SYN in its half-open
 * ones too.  Every step into or out of them is a compare-and-swap, so that a
 * flow counts once.
 *
 * A connection met midway was evicted, comes from a partner node or was moved
 * off a dead member.  In the last case its new server resets it, which is not
 * seen here; so it counts only when the client goes on sending.
 */
#ifndef WILLIS_FLOWS_H
#define WILLIS_FLOWS_H

#include "clients.h"

#define PROOF_NS 2000000000ULL  /* longer than a reset takes to stop a client */

enum way {
	ANEW = -2,              /* to be scheduled */
	PASS = -1,              /* to the stack */
	REFUSE = 0,             /* drop */
	                        /* above 0: the member's slot */
};

static __always_inline bool is_live(__u32 state)
{
	return state == SYN || state == ESTABLISHED || state == DATAGRAM;
}

static __always_inline void add_load(__u32 slot, __s64 delta)
{
	struct load *load = bpf_map_lookup_elem(&loads, &slot);

	if (load)
		__sync_fetch_and_add(&load->active, delta);
}

static __always_inline void add_half_open(__u32 slot, __s64 delta)
{
	struct load *load = bpf_map_lookup_elem(&loads, &slot);

	if (load)
		__sync_fetch_and_add(&load->half_open, delta);
}

static __always_inline void mark_change(__u32 slot)
{
	struct load *load = bpf_map_lookup_elem(&loads, &slot);

	if (load)
		__sync_fetch_and_add(&load->changes, 1);
}

/* Ends a flow.  True if it was live, that is, if it is this call that ended it. */
static __always_inline bool end_flow(struct flow *flow, __u32 state)
{
	__u32 seen = flow->state, slot = flow->member;

	if (!is_live(seen)) {
		flow->state = state;
		return false;
	}
	if (__sync_val_compare_and_swap(&flow->state, seen, state) != seen)
		return false;
	add_load(slot, -1);
	if (seen == SYN)
		add_half_open(slot, -1);
	mark_change(slot);
	return true;
}

static __noinline int count_end(__u32 slot, __u32 service)
{
	struct counts *counts = bpf_map_lookup_elem(&server_counts, &slot);

	if (counts)
		counts->closed++;
	counts = bpf_map_lookup_elem(&service_counts, &service);
	if (counts)
		counts->closed++;
	return 0;
}

static __always_inline void count_begin(__u32 slot, __u32 service)
{
	struct counts *counts = bpf_map_lookup_elem(&server_counts, &slot);

	if (counts)
		counts->connections++;
	counts = bpf_map_lookup_elem(&service_counts, &service);
	if (counts)
		counts->connections++;
}

static __noinline int prove(struct flow *flow, __u32 service)
{
	__u32 slot = flow->member;

	if (__sync_val_compare_and_swap(&flow->state, MIDWAY, ESTABLISHED) != MIDWAY)
		return 0;
	add_load(slot, 1);
	mark_change(slot);
	count_begin(slot, service);
	return 0;
}

static __noinline int establish(struct flow *flow)
{
	__u32 slot = flow->member;

	if (__sync_val_compare_and_swap(&flow->state, SYN, ESTABLISHED) == SYN)
		add_half_open(slot, -1);
	return 0;
}

static __always_inline void advance(struct packet *p, struct flow *flow, __u32 service, __u64 now)
{
	__u32 slot = flow->member;

	if (p->resetting || p->finishing) {
		if (end_flow(flow, p->resetting ? CLOSED : FIN))
			count_end(slot, service);
	} else if (flow->state == SYN && !p->opening) {
		establish(flow);
	} else if (flow->state == MIDWAY && now - flow->last > PROOF_NS) {
		prove(flow, service);
	}
}

static __always_inline struct service *service_of(const struct packet *p)
{
	struct service_key key = {
		.vip = p->flow.vip, .port = p->flow.port, .protocol = p->flow.protocol,
	};

	return bpf_map_lookup_elem(&services, &key);
}

/* At most once a tick and flow; only here does a known flow need its service. */
static __noinline int renew(const struct packet *p, struct flow *flow, __u32 slot, __u64 now)
{
	struct service *service = service_of(p);

	if (!service)
		return 0;
	if (service->persistence)
		renew_tie(p, service, slot, now);
	/* A flow from before its service was of this kind. */
	if (service->one_packet) {
		if (end_flow(flow, CLOSED))
			count_end(slot, service->id);
		bpf_map_delete_elem(&flows, &p->flow);
	}
	return 0;
}

/*
 * The flow goes no further with its member.  Whoever gets its next packet resets
 * it, so that the client learns at once; the nft engine has conntrack forget the
 * translation of a member that is down, so that this holds for NAT and SNAT too.
 */
static __noinline int give_up(const struct packet *p, struct flow *flow)
{
	__u32 slot = flow->member;
	struct member *member = bpf_map_lookup_elem(&members, &slot);

	if (end_flow(flow, CLOSED))
		count_end(slot, member ? member->service : 0);
	bpf_map_delete_elem(&flows, &p->flow);
	return ANEW;
}

/*
 * The member of a known flow; ANEW if its member is down, or if a SYN re-uses
 * the ports of a connection that has ended.  A program that cannot mark
 * packets leaves a translated flow untouched, to the one at tc.
 */
static __always_inline int follow(struct packet *p, struct flow *flow, __u64 now, bool marks)
{
	__u32 slot, state;
	struct member *member;

	if (!flow)
		return ANEW;
	slot = flow->member;
	state = flow->state;
	member = bpf_map_lookup_elem(&members, &slot);
	if (!marks && member && member->mark)
		return PASS;
	if (!member || member->standing == DOWN || member->standing == FREE ||
	    (p->opening && !is_live(state)))
		return give_up(p, flow);
	advance(p, flow, member->service, now);
	/* The coarse clock stands still within a tick: one write a tick is exact and cheap. */
	if (flow->last != now && flow->state != MIDWAY) {
		flow->last = now;
		if (is_live(state))
			renew(p, flow, slot, now);
	}
	return slot;
}

/* Counts the flow in its member's load, unless wlc did so when it chose. */
static __always_inline void take_load(struct packet *p, __u32 slot)
{
	if (p->reserved == slot)
		return;
	if (p->reserved)
		add_load(p->reserved, -1);
	add_load(slot, 1);
	p->reserved = slot;
}

static __always_inline void release_load(struct packet *p)
{
	if (p->reserved)
		add_load(p->reserved, -1);
	p->reserved = 0;
}

static __always_inline __u32 first_state(const struct packet *p)
{
	if (p->flow.protocol == IPPROTO_UDP)
		return DATAGRAM;
	return p->opening ? SYN : MIDWAY;
}

/* Remembers a new flow.  Returns its member: another's if another CPU was quicker. */
static __noinline __u32 remember(struct packet *p, const struct service *service, __u32 slot, __u64 now)
{
	struct flow fresh = { .last = now, .member = slot, .state = first_state(p), .born = now };
	struct flow *flow;

	if (is_live(fresh.state))
		take_load(p, slot);
	if (!bpf_map_update_elem(&flows, &p->flow, &fresh, BPF_NOEXIST)) {
		if (is_live(fresh.state)) {
			if (fresh.state == SYN)
				add_half_open(slot, 1);
			mark_change(slot);
			count_begin(slot, service->id);
		}
		return slot;
	}
	release_load(p);
	flow = bpf_map_lookup_elem(&flows, &p->flow);
	return flow ? flow->member : slot;
}

static __always_inline __u32 usable(__u32 slot, __u32 service)
{
	return slot && takes_new(slot, service) ? slot : 0;
}

/* The member of a new flow; 0 if neither the pool nor the fallback server can take it. */
static __noinline __u32 begin(struct packet *p, const struct service *service, __u64 now)
{
	__u32 slot = 0;

	if (service->persistence)
		slot = tied_member(p, service, now);
	if (!slot)
		slot = choose(p, service->id);
	if (slot && service->persistence)
		slot = tie_client(p, service, slot, now);
	if (!slot)
		slot = usable(service->fallback, service->id);
	if (!slot)
		return 0;
	if (service->one_packet) {              /* begun and ended with this packet */
		release_load(p);
		count_begin(slot, service->id);
		count_end(slot, service->id);
		return slot;
	}
	if (p->finishing || p->resetting) {     /* nothing begins with its end */
		release_load(p);
		return slot;
	}
	return remember(p, service, slot, now);
}

#endif
