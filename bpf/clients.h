/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * Source-IP persistence: a client keeps its member until the time-out has
 * passed without a new connection and without traffic of a live one.
 *
 * An entry is one word, so every CPU sees member and end together and a change
 * is one compare-and-swap.  An entry whose end has come counts for nothing.
 */
#ifndef WILLIS_CLIENTS_H
#define WILLIS_CLIENTS_H

#include "choose.h"

#define TICK_SHIFT 10           /* ticks of 1,024 ns: 48 bits last nine years */

static __always_inline __u64 tie(__u64 now, __u64 persistence, __u32 slot)
{
	return ((now >> TICK_SHIFT) + persistence) << 16 | slot;
}

static __always_inline bool tie_holds(__u64 word, __u64 now)
{
	return word >> 16 > now >> TICK_SHIFT;
}

static __always_inline void client_of(struct client_key *key, const struct packet *p,
				      const struct service *service)
{
	int i;

	key->service = service->id;
#pragma unroll
	for (i = 0; i < 4; i++)
		key->source.words[i] = p->flow.source.words[i] & service->mask.words[i];
}

/* The member that the client is tied to and that can take a new connection; else 0. */
static __always_inline __u32 tied_member(const struct packet *p, const struct service *service, __u64 now)
{
	struct client_key key;
	__u64 *word, seen;

	client_of(&key, p, service);
	word = bpf_map_lookup_elem(&clients, &key);
	if (!word)
		return 0;
	seen = *word;
	return tie_holds(seen, now) && takes_new(seen & 0xffff, service->id) ? seen & 0xffff : 0;
}

/* Ties the client to `slot`, or finds that another CPU was quicker.  Returns the member it is tied to. */
static __noinline __u32 tie_client(const struct packet *p, const struct service *service,
				   __u32 slot, __u64 now)
{
	struct client_key key;
	__u64 fresh = tie(now, service->persistence, slot);
	__u64 *word, seen, found;

	client_of(&key, p, service);
	if (!bpf_map_update_elem(&clients, &key, &fresh, BPF_NOEXIST))
		return slot;
	word = bpf_map_lookup_elem(&clients, &key);
	if (!word)
		return slot;
	seen = *word;
	if (tie_holds(seen, now) && (seen & 0xffff) != slot && takes_new(seen & 0xffff, service->id))
		return seen & 0xffff;
	found = __sync_val_compare_and_swap(word, seen, fresh);
	if (found != seen && takes_new(found & 0xffff, service->id))
		return found & 0xffff;
	return slot;
}

/* Traffic of a live flow renews a tie that holds; it revives none that has ended. */
static __noinline int renew_tie(const struct packet *p, const struct service *service,
				__u32 slot, __u64 now)
{
	struct client_key key;
	__u64 *word, seen;

	client_of(&key, p, service);
	word = bpf_map_lookup_elem(&clients, &key);
	if (!word)
		return 0;
	seen = *word;
	if (tie_holds(seen, now) && (seen & 0xffff) == slot)
		__sync_val_compare_and_swap(word, seen, tie(now, service->persistence, slot));
	return 0;
}

#endif
