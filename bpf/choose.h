/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * Choosing the member of a new connection: wlc, wrr, sh and mh.
 *
 * All four read one table, which user space swaps whole, so a choice never
 * mixes an old pool with a new one.  A member that cannot take the connection
 * (drained, down, MAC not known) is passed over at once; the table follows.
 * A member with a mark needs no MAC: its route is the stack's.
 */
#ifndef WILLIS_CHOOSE_H
#define WILLIS_CHOOSE_H

#include "maps.h"
#include "packet.h"

#define PROBES 256              /* cells looked at before a table counts as exhausted */
#define HALF_OPEN_MAX 64        /* more of them on one member are a flood */
#define RACES 4                 /* times that wlc searches again because another CPU was quicker */

static __always_inline bool takes_new(__u32 slot, __u32 service)
{
	struct member *member = bpf_map_lookup_elem(&members, &slot);

	return member && member->standing == OPEN && (member->ifindex || member->mark) &&
	       member->service == service;
}

static __always_inline __u32 rotate(__u32 word, int bits)
{
	return word << bits | word >> (32 - bits);
}

static __always_inline __u32 fold(const struct address *address)
{
	return address->words[0] ^ rotate(address->words[1], 7) ^
	       rotate(address->words[2], 13) ^ rotate(address->words[3], 19);
}

/* Bob Jenkins' lookup3 over three words (public domain), as jhash_3words. */
static __always_inline __u32 hash(__u32 a, __u32 b, __u32 c)
{
	const __u32 start = 0xdeadbeef + (3 << 2);

	a += start;
	b += start;
	c += start;
	c ^= b; c -= rotate(b, 14);
	a ^= c; a -= rotate(c, 11);
	b ^= a; b -= rotate(a, 25);
	c ^= b; c -= rotate(b, 16);
	a ^= c; a -= rotate(c, 4);
	b ^= a; b -= rotate(a, 14);
	c ^= b; c -= rotate(b, 24);
	return c;
}

/*
 * wlc: the member with the least (connections + 1) / weight.
 *
 * Half-open connections count, so that many clients who connect at once are
 * spread exactly; but only while they are so few that handshakes under way
 * explain them.  In a flood of SYNs the established ones alone are compared, of
 * every member: else a flood that is tied to one would drive clients off it.
 */
struct candidate {
	__u32 slot;             /* 0: none yet */
	__u64 weight;
	__s64 connections;      /* that were compared */
	__s64 active;           /* the load's word at that moment */
};

struct search {
	void *table;
	__u32 service;
	__u32 pool;
	__u32 start;
	bool flood;
	struct candidate of_all, of_established;
};

static __always_inline void compare(struct candidate *best, const struct candidate *other)
{
	if (!best->slot || (other->connections + 1) * (__s64)best->weight <
			   (best->connections + 1) * (__s64)other->weight)
		*best = *other;
}

static long weigh(__u32 i, struct search *s)
{
	__u32 place = (s->start + i) % s->pool;
	__u32 index = TABLE_HEADER + place / 2;
	__u64 *word = bpf_map_lookup_elem(s->table, &index);
	struct candidate found = {};
	struct load *load;
	__s64 half_open;

	if (!word)
		return 1;
	found.slot = *word >> (place & 1 ? 32 : 0) & 0xffff;
	found.weight = *word >> (place & 1 ? 48 : 16) & 0xffff;
	load = bpf_map_lookup_elem(&loads, &found.slot);
	if (!load || !takes_new(found.slot, s->service))
		return 0;
	found.active = found.connections = load->active;
	half_open = load->half_open;
	if (half_open > HALF_OPEN_MAX)
		s->flood = true;
	compare(&s->of_all, &found);
	found.connections -= half_open;
	compare(&s->of_established, &found);
	return 0;
}

/*
 * Takes the least loaded member and counts the flow in the same step: the load
 * must still be what the search saw, or another CPU chose it too and the search
 * begins again.  The random start makes ties fair.
 */
static __noinline __u32 choose_least(struct packet *p, void *table, __u32 pool, __u32 service)
{
	struct search search = { .table = table, .service = service, .pool = pool };
	struct candidate *best = &search.of_all;
	struct load *load;
	int i;

	if (!table || !pool)
		return 0;
	for (i = 0; i < RACES; i++) {
		search.flood = false;
		search.of_all.slot = 0;
		search.of_established.slot = 0;
		search.start = bpf_get_prandom_u32() % pool;
		bpf_loop(pool, weigh, &search, 0);
		best = search.flood ? &search.of_established : &search.of_all;
		load = bpf_map_lookup_elem(&loads, &best->slot);
		if (!best->slot || !load)
			return 0;
		if (__sync_val_compare_and_swap(&load->active, best->active, best->active + 1) ==
		    best->active) {
			p->reserved = best->slot;
			break;
		}
	}
	return best->slot;
}

/* wrr, sh, mh: the first able member in a list of cells, from `start` on. */
struct walk {
	void *table;
	__u32 first;            /* the list's first word */
	__u32 cells;
	__u32 start;
	__u32 service;
	__u32 found;            /* slot; 0: none */
};

static long try_cell(__u32 i, struct walk *w)
{
	__u32 cell = (w->start + i) % w->cells;
	__u32 index = w->first + cell / 4;
	__u64 *word = bpf_map_lookup_elem(w->table, &index);
	__u32 slot;

	if (!word)
		return 1;
	slot = *word >> (cell % 4 * 16) & 0xffff;
	if (!takes_new(slot, w->service))
		return 0;
	w->found = slot;
	return 1;
}

static __noinline __u32 first_able(struct walk *walk)
{
	if (!walk->table || !walk->cells)
		return 0;
	bpf_loop(walk->cells < PROBES ? walk->cells : PROBES, try_cell, walk, 0);
	return walk->found;
}

static __always_inline __u32 next_turn(__u32 service, __u32 turns)
{
	__u64 *cursor = bpf_map_lookup_elem(&cursors, &service);

	return cursor && turns ? __sync_fetch_and_add(cursor, 1) % turns : 0;
}

/*
 * The member for a new connection; 0 if none can take it.
 *
 * Only an opening packet is scheduled by load or turn.  A connection that is
 * already under way but unknown (its flow was evicted, or a partner node owned
 * it) goes by the hash, which gives every node the same answer.
 */
static __noinline __u32 choose(struct packet *p, __u32 service)
{
	void *table = bpf_map_lookup_elem(&tables, &service);
	__u32 index = 0, scheduler, pool, turns, slots;
	struct walk walk = { .table = table, .service = service };
	__u64 *word;

	if (!table)
		return 0;
	word = bpf_map_lookup_elem(table, &index);
	if (!word)
		return 0;
	slots = *word;
	turns = *word >> 32;
	index = 1;
	word = bpf_map_lookup_elem(table, &index);
	if (!word)
		return 0;
	pool = *word;
	scheduler = *word >> 32;

	if (scheduler == WLC && p->opening)
		return choose_least(p, table, pool, service);
	walk.first = TABLE_HEADER + (pool + 1) / 2;
	if (scheduler == WRR && p->opening) {
		walk.cells = turns;
		walk.start = next_turn(service, turns);
		return first_able(&walk);
	}
	if (!slots)
		return 0;
	walk.first += (turns + 3) / 4;
	walk.cells = slots;
	walk.start = hash(fold(&p->flow.source),
			  scheduler == SH ? 0 : p->flow.source_port << 16 | p->flow.port,
			  service) % slots;
	return first_able(&walk);
}

#endif
