// SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only)
/*
 * The bench's own programs: a packet generator that runs inside the kernel, sinks
 * that count what arrived, bare redirects to compare with, and wrappers that make
 * one packet after the other for a program under BPF_PROG_RUN.
 *
 * Everything runs pinned to one CPU, so plain increments count exactly.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/pkt_cls.h>
#include <linux/udp.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define FRAME 60	/* the smallest Ethernet frame without its check sum */
#define FLOWS 1024	/* a power of two */
#define PORTS 4		/* source ports of one client; the rest of the flows are clients */

struct plan {
	__u8 dmac[ETH_ALEN];	/* what the frame is sent to, and the wrappers restore */
	__u8 smac[ETH_ALEN];
	__be32 client;		/* first source address, network order */
	__be32 vip;
	__be16 vport;
	__u16 pad;
	__u32 ifindex;		/* where the generator and the bare redirects send to */
	__u32 sources;		/* wrappers: number of sources less one, a mask */
	__u32 next;		/* frames made so far */
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct plan);
} plans SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} arrived SEC(".maps");

/* The program under test. One array a kind: the kernel lets no array mix them. */
struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} target_xdp SEC(".maps"), target_tc SEC(".maps");

static __always_inline struct plan *the_plan(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&plans, &zero);
}

static __always_inline __sum16 ip_sum(const struct iphdr *ip)
{
	const __u16 *word = (const __u16 *)ip;
	__u32 sum = 0;
	int i;

#pragma unroll
	for (i = 0; i < (int)sizeof(*ip) / 2; i++)
		sum += word[i];
	sum = (sum & 0xffff) + (sum >> 16);
	return ~(sum + (sum >> 16));
}

/* Live frames come back as the last hop left them, so every field is written anew. */
SEC("xdp")
int generate(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct ethhdr *eth = data;
	struct iphdr *ip = data + sizeof(*eth);
	struct udphdr *udp = (void *)(ip + 1);
	struct plan *plan = the_plan();
	__u32 flow;

	if (!plan || data + FRAME > end)
		return XDP_ABORTED;
	flow = plan->next++ % FLOWS;
	__builtin_memcpy(eth->h_dest, plan->dmac, ETH_ALEN);
	__builtin_memcpy(eth->h_source, plan->smac, ETH_ALEN);
	eth->h_proto = bpf_htons(ETH_P_IP);
	*(__be16 *)ip = bpf_htons(0x4500);
	ip->tot_len = bpf_htons(FRAME - ETH_HLEN);
	ip->id = bpf_htons(plan->next);
	ip->frag_off = bpf_htons(0x4000);
	ip->ttl = 64;
	ip->protocol = IPPROTO_UDP;
	ip->check = 0;
	ip->saddr = bpf_htonl(bpf_ntohl(plan->client) + flow / PORTS);
	ip->daddr = plan->vip;
	ip->check = ip_sum(ip);
	udp->source = bpf_htons(40000 + flow % PORTS);
	udp->dest = plan->vport;
	udp->len = bpf_htons(FRAME - ETH_HLEN - sizeof(*ip));
	udp->check = 0;
	return bpf_redirect(plan->ifindex, 0);
}

static __always_inline void count(__be16 protocol)
{
	__u32 zero = 0;
	__u64 *seen = bpf_map_lookup_elem(&arrived, &zero);

	if (seen && protocol == bpf_htons(ETH_P_IP))
		*seen += 1;
}

SEC("xdp")
int sink_xdp(struct xdp_md *ctx)
{
	struct ethhdr *eth = (void *)(long)ctx->data;

	if ((void *)(eth + 1) <= (void *)(long)ctx->data_end)
		count(eth->h_proto);
	return XDP_DROP;
}

SEC("tc")
int sink_tc(struct __sk_buff *skb)
{
	count(skb->protocol);
	return TC_ACT_SHOT;
}

/* A server's reply, back to where the frame came from: what makes conntrack see a connection. */
SEC("tc")
int answer_tc(struct __sk_buff *skb)
{
	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	struct ethhdr *eth = data;
	struct iphdr *ip = data + sizeof(*eth);
	struct udphdr *udp = (void *)(ip + 1);
	__u8 mac[ETH_ALEN];
	__be32 address;
	__be16 port;

	if ((void *)(udp + 1) > end || ip->protocol != IPPROTO_UDP)
		return TC_ACT_SHOT;
	__builtin_memcpy(mac, eth->h_dest, ETH_ALEN);
	__builtin_memcpy(eth->h_dest, eth->h_source, ETH_ALEN);
	__builtin_memcpy(eth->h_source, mac, ETH_ALEN);
	address = ip->daddr;
	ip->daddr = ip->saddr;
	ip->saddr = address;
	port = udp->dest;
	udp->dest = udp->source;
	udp->source = port;
	return bpf_redirect(skb->ifindex, 0);
}

SEC("xdp")
int redirect_xdp(struct xdp_md *ctx)
{
	struct plan *plan = the_plan();

	return plan ? bpf_redirect(plan->ifindex, 0) : XDP_ABORTED;
}

SEC("tc")
int redirect_tc(struct __sk_buff *skb)
{
	struct plan *plan = the_plan();

	return plan ? bpf_redirect(plan->ifindex, 0) : TC_ACT_SHOT;
}

/*
 * The program under test rewrites the frame in place and PROG_RUN repeats it as it
 * was left: the wrapper restores the destination and gives it the next source.
 * A tail call goes only from like to like, so these take fragments as the engine's do.
 */
static __always_inline int restore(void *data, void *end)
{
	struct ethhdr *eth = data;
	struct iphdr *ip = data + sizeof(*eth);
	struct plan *plan = the_plan();

	if (!plan || (void *)(ip + 1) > end)
		return -1;
	__builtin_memcpy(eth->h_dest, plan->dmac, ETH_ALEN);
	ip->saddr = bpf_htonl(bpf_ntohl(plan->client) + (plan->next++ & plan->sources));
	return 0;
}

SEC("xdp.frags")
int wrap_xdp(struct xdp_md *ctx)
{
	if (!restore((void *)(long)ctx->data, (void *)(long)ctx->data_end))
		bpf_tail_call(ctx, &target_xdp, 0);
	return XDP_ABORTED;
}

SEC("tc")
int wrap_tc(struct __sk_buff *skb)
{
	if (!restore((void *)(long)skb->data, (void *)(long)skb->data_end))
		bpf_tail_call(skb, &target_tc, 0);
	return TC_ACT_SHOT;
}

SEC("xdp.frags")
int empty_xdp(struct xdp_md *ctx)
{
	return XDP_PASS;
}

SEC("tc")
int empty_tc(struct __sk_buff *skb)
{
	return TC_ACT_OK;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
