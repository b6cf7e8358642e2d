/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * The sweep, which the daemon runs about once a second, and the reader of tables.
 *
 * It deletes flows that were silent for their state's time-out and ties that
 * have ended, and recounts every member's load from the flows themselves:
 * flows that the LRU evicts leave without being counted down.  A member whose
 * load changed during the count is left for the next sweep; what a sweep finds
 * of a member at rest is exact.
 */
#ifndef WILLIS_SWEEP_H
#define WILLIS_SWEEP_H

#include "flows.h"

struct bpf_map;

#define HANDSHAKE_NS 3000000000LL       /* a SYN without its ACK for so long is doubted */

struct tally {
	struct sweep_args args;
	__u64 now;
};

static long open_census(__u32 slot, struct tally *tally)
{
	struct census *count = bpf_map_lookup_elem(&census, &slot);
	struct load *load = bpf_map_lookup_elem(&loads, &slot);
	struct member *member = bpf_map_lookup_elem(&members, &slot);
	__u32 service = member ? member->service : 0;
	struct timeouts *own = bpf_map_lookup_elem(&timeouts, &service);

	if (!count || !load)
		return 1;
	count->timeouts = own && own->established ? *own : tally->args.others;
	count->active = load->active;
	count->changes = load->changes;
	count->half_open = load->half_open;
	count->live = 0;
	count->half_live = 0;
	count->flows = 0;
	count->oldest = 0;
	return 0;
}

static __always_inline __u64 timeout_of(__u32 state, __u64 syn, const struct timeouts *others)
{
	switch (state) {
	case SYN:
	case MIDWAY:
		return syn;
	case ESTABLISHED:
		return others->established;
	case DATAGRAM:
		return others->datagram;
	default:
		return others->closing;
	}
}

/* Takes a live flow out of its member's load, and out of the census of that load. */
static __always_inline bool withdraw(struct flow *flow, __u32 seen, __u32 state, struct census *count)
{
	if (__sync_val_compare_and_swap(&flow->state, seen, state) != seen)
		return false;
	add_load(flow->member, -1);
	count->active--;
	if (seen == SYN) {
		add_half_open(flow->member, -1);
		count->half_open--;
	}
	return true;
}

/*
 * An idle connection of a member that is down may be dead or may outlast a
 * short outage, and a SYN that nobody followed up may be a slow client's or
 * forged.  Both are kept as MIDWAY: they count again when the client goes on
 * sending.
 */
static __always_inline bool doubt(struct flow *flow, __u32 state, struct census *count, __s64 silent,
				  __u64 now)
{
	__u32 slot = flow->member;
	struct member *member = bpf_map_lookup_elem(&members, &slot);
	bool down = member && member->standing == DOWN;

	if (!member || !(state == SYN ? down || silent > HANDSHAKE_NS : down && state == ESTABLISHED) ||
	    !withdraw(flow, state, MIDWAY, count))
		return false;
	flow->last = now;
	count_end(slot, member->service);
	return true;
}

static __always_inline void note_birth(struct census *count, __u64 born)
{
	if (born && (!count->oldest || born < count->oldest))
		count->oldest = born;
}

static long visit_flow(struct bpf_map *map, const struct flow_key *key, struct flow *flow,
		       struct tally *tally)
{
	__u32 slot = flow->member, state = flow->state;
	struct census *count = bpf_map_lookup_elem(&census, &slot);
	/* Signed: a packet may touch the flow after `now` was read. */
	__s64 silent = tally->now - flow->last;

	tally->args.flows++;
	if (!count)
		return 0;
	if (silent < (__s64)timeout_of(state, tally->args.syn, &count->timeouts)) {
		count->flows++;
		if (is_live(state) && !doubt(flow, state, count, silent, tally->now)) {
			count->live++;
			if (state == SYN)
				count->half_live++;
			else
				note_birth(count, flow->born);
		}
		return 0;
	}
	tally->args.expired++;
	if (is_live(state))
		withdraw(flow, state, CLOSED, count);
	bpf_map_delete_elem(&flows, key);
	return 0;
}

static long visit_client(struct bpf_map *map, const struct client_key *key, __u64 *word,
			 struct tally *tally)
{
	__u32 slot = *word & 0xffff;
	struct member *member = bpf_map_lookup_elem(&members, &slot);

	/* Ties to a member that left go too: its slot will be another's. */
	if (!tie_holds(*word, tally->now) || !member || member->standing == LEAVING ||
	    member->standing == FREE)
		bpf_map_delete_elem(&clients, key);
	else
		tally->args.clients++;
	return 0;
}

static long close_census(__u32 slot, void *unused)
{
	struct census *count = bpf_map_lookup_elem(&census, &slot);
	struct load *load = bpf_map_lookup_elem(&loads, &slot);

	if (!count || !load)
		return 1;
	if (load->changes != count->changes)
		return 0;
	if (count->live != count->active)
		__sync_val_compare_and_swap(&load->active, count->active, count->live);
	/* A handshake that was completed meanwhile has changed this one, and then it stays. */
	if (count->half_live != count->half_open)
		__sync_val_compare_and_swap(&load->half_open, count->half_open, count->half_live);
	return 0;
}

SEC("syscall")
int willis_sweep(struct sweep_args *args)
{
	struct tally tally = { .args = *args, .now = bpf_ktime_get_ns() };

	bpf_loop(args->members, open_census, &tally, 0);
	bpf_for_each_map_elem(&flows, visit_flow, &tally, 0);
	bpf_for_each_map_elem(&clients, visit_client, &tally, 0);
	bpf_loop(args->members, close_census, 0, 0);
	args->flows = tally.args.flows;
	args->clients = tally.args.clients;
	args->expired = tally.args.expired;
	return 0;
}

/* Inner maps cannot be opened by id without CAP_SYS_ADMIN; this reads them for user space. */
SEC("syscall")
int willis_read_table(struct table_args *args)
{
	__u32 service = args->service, first = args->first, index;
	void *table = bpf_map_lookup_elem(&tables, &service);
	__u64 *word;
	int i;

	if (!table)
		return 1;
#pragma unroll
	for (i = 0; i < TABLE_READ; i++) {
		index = first + i;
		word = bpf_map_lookup_elem(table, &index);
		args->words[i] = word ? *word : 0;
	}
	return 0;
}

#endif
