/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * The maps.  All are pinned by user space, so that they outlive it.
 */
#ifndef WILLIS_MAPS_H
#define WILLIS_MAPS_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "willis_l4.h"

#define MAP(map_name, map_type, entries, key_type, value_type)	\
	struct {						\
		__uint(type, map_type);				\
		__uint(max_entries, entries);			\
		__type(key, key_type);				\
		__type(value, value_type);			\
	} map_name SEC(".maps")

MAP(services, BPF_MAP_TYPE_HASH, PORTS, struct service_key, struct service);
MAP(timeouts, BPF_MAP_TYPE_ARRAY, SERVICES, __u32, struct timeouts);
MAP(members, BPF_MAP_TYPE_ARRAY, MEMBERS, __u32, struct member);
MAP(loads, BPF_MAP_TYPE_ARRAY, MEMBERS, __u32, struct load);
MAP(cursors, BPF_MAP_TYPE_ARRAY, SERVICES, __u32, __u64);
MAP(flows, BPF_MAP_TYPE_LRU_HASH, FLOWS, struct flow_key, struct flow);
MAP(clients, BPF_MAP_TYPE_LRU_HASH, CLIENTS, struct client_key, __u64);
MAP(fragments, BPF_MAP_TYPE_LRU_HASH, FRAGMENTS, struct fragment_key, __u32);
MAP(server_counts, BPF_MAP_TYPE_PERCPU_ARRAY, MEMBERS, __u32, struct counts);
MAP(service_counts, BPF_MAP_TYPE_PERCPU_ARRAY, SERVICES, __u32, struct counts);
MAP(links, BPF_MAP_TYPE_ARRAY, LINKS, __u32, struct link);
MAP(census, BPF_MAP_TYPE_ARRAY, MEMBERS, __u32, struct census);
MAP(heartbeat, BPF_MAP_TYPE_ARRAY, 1, __u32, __u64);
MAP(service_labels, BPF_MAP_TYPE_HASH, SERVICES, __u32, struct service_label);
MAP(member_labels, BPF_MAP_TYPE_HASH, MEMBERS, __u32, struct member_label);

/* Inner tables differ in size and are filled by mmap before they are swapped in. */
struct table {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_INNER_MAP | BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, __u64);
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, SERVICES);
	__type(key, __u32);
	__array(values, struct table);
} tables SEC(".maps");

#endif
