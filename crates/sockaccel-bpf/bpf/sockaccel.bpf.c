// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
/*
 * Two TCP sockets of one kernel that are each other's peer hand their bytes over without the TCP stack.
 *
 * PAIRING. When a connection is established, each end enters SOCKETS and PEERS under {snd_nxt, rcv_nxt, ports};
 * its peer is where the two numbers are swapped. The numbers are the same whatever namespace, address family or
 * NAT lies between, and nobody else has them; an end whose numbers somebody rewrites finds no peer.
 *
 * A DIRECTION is what one socket sends. Its first message decides, once: the peer is there and is redirected to,
 * or it is TCP for good. A receiver takes redirected bytes before TCP's, so a direction may go from redirection to
 * TCP at any time and stays in order, but must never go back.
 *
 *	undecided --peer found--> redirected --receiver does not read, failure, bulk, switched off, peer is leaving--> TCP
 *	undecided --no peer------------------------------------------------------------------------------------> TCP
 *	either --bytes sent past the program-------------------------------------------------------------------> TCP
 *
 * LEAVING. TCP is slower for a socket in the map, so an end whose own direction is TCP leaves it, and one that sends
 * bulk wants to, since TCP is better at that. But redirected bytes that it has not read would be lost. So it first
 * asks its sender to go back to TCP, too, and waits until that has redirected the last of them, and all are read.
 * One word of a receiver's entry, changed by atomic operations only, says how far it is:
 *
 *	OPEN --its sender decides for it--> TARGET --it is leaving--> LEAVING --its sender has redirected the last--> SETTLED
 *	OPEN --it is leaving, or has no peer--> SETTLED
 *	TARGET --its sender is TCP, and has redirected the last--> SETTLED
 *
 * Who is SETTLED, is TCP itself and has read everything, leaves as soon as data of its own is acknowledged.
 */
#include <linux/bpf.h>
#include <linux/types.h>
#include <stdbool.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "sockaccel.h"

/* From the kernel's headers that cannot be included here. */
#define SOL_SOCKET 1
#define SO_ZEROCOPY 60
#define SOL_TCP 6
#define TCP_ULP 31
#define ENOENT 2
#define E2BIG 7

#define MAX_SOCKETS 131072
#define MAX_PORTS 1024

#define SK_USER_DATA_FLAGS 7UL

/*
 * What goes better by TCP. To put a message into a queue takes the receiver's lock, for which its sender sleeps while
 * the receiver copies the one before; to TCP that does not happen. Small messages are so much cheaper that they are
 * faster all the same, LARGE ones are not if one in SELDOM meets the lock. Nor are HUGE ones that do not wait for each
 * other: the receiver gets no byte of a message before the last has been copied, and TCP's meanwhile. BULK of the
 * bytes of such messages are enough.
 */
#define LARGE (16 << 10)
#define HUGE (128 << 10)
#define SELDOM 16
#define BULK (256 << 10)

#define HOOKS (BPF_SOCK_OPS_RTT_CB_FLAG | BPF_SOCK_OPS_STATE_CB_FLAG)

/* Of the kernel's own types just what is read here; where it lies is settled when the programs are loaded. */
struct sock {
	struct {
		struct {
			int counter;
		} rmem_alloc;
	} sk_backlog;
	struct {
		int owned;
	} sk_lock;
	int sk_rcvbuf;
	int sk_sndbuf;
	void *sk_user_data; /* struct sk_psock *, with flags in its lowest bits */
} __attribute__((preserve_access_index));

struct tcp_sock {
	__u32 write_seq; /* where the next byte from a system call goes */
} __attribute__((preserve_access_index));

struct list_head {
	struct list_head *next;
} __attribute__((preserve_access_index));

struct sk_psock {
	struct list_head ingress_msg;
	struct {
		struct {
			int counter;
		} refs;
	} refcnt;
} __attribute__((preserve_access_index));

struct key {
	__u32 snd_nxt;
	__u32 rcv_nxt;
	__u32 ports; /* the client's above the server's; in mesh mode the latter is 0 */
};

enum receiver { OPEN, TARGET, LEAVING, SETTLED };

struct peer {
	__u64 sock; /* struct sock *, only ever read through a helper that tolerates its being freed */
	__u32 receiver;
	__u32 reserved;
};

/* PARTING: TCP from now on, but another thread's call may be redirecting yet. */
enum direction { UNDECIDED, REDIRECTED, PARTING, TCP };

struct connection {
	struct key own;
	struct key peer;
	__u32 direction;
	__u32 others_hooks; /* callbacks that somebody else had asked for before */
	__u64 sock; /* the socket itself, as of struct peer */
	__u64 peer_sock;
	__u64 bulk; /* bytes that would have gone better by TCP, less the SELDOMth part of other LARGE messages */
};

struct {
	__uint(type, BPF_MAP_TYPE_SOCKHASH);
	__uint(max_entries, MAX_SOCKETS);
	__type(key, struct key);
	__type(value, __u32);
} SOCKETS SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, MAX_SOCKETS);
	__type(key, struct key);
	__type(value, struct peer);
} PEERS SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32);
	__type(value, struct connection);
} CONNECTIONS SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_PORTS);
	__type(key, __u16);
	__type(value, __u8);
} PORTS SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct config);
} CONFIG SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, COUNTERS);
	__type(key, __u32);
	__type(value, __u64);
} STATS SEC(".maps");

static __always_inline void count(__u32 counter, __u64 more)
{
	__u64 *value = bpf_map_lookup_elem(&STATS, &counter);

	/* A program that is called in an interrupt may come in between. */
	if (value)
		__sync_fetch_and_add(value, more);
}

static __always_inline struct config *configuration(void)
{
	__u32 only = 0;

	return bpf_map_lookup_elem(&CONFIG, &only);
}

/* Nobody is to begin redirecting to this end, and who does is to stop. Whether nobody does. */
static __noinline bool leave(const struct connection *connection)
{
	struct peer *own = bpf_map_lookup_elem(&PEERS, &connection->own);

	if (!own)
		return false;
	__sync_val_compare_and_swap(&own->receiver, OPEN, SETTLED);
	__sync_val_compare_and_swap(&own->receiver, TARGET, LEAVING);
	return own->receiver == SETTLED;
}

/* A direction that is TCP from now on, and why. */
static __noinline void demote(struct connection *connection, __u32 why)
{
	if (connection->direction == REDIRECTED) {
		count(why, 1);
		connection->direction = PARTING;
		leave(connection);
	} else {
		count(DIRECTIONS_MISSED, 1);
		connection->direction = TCP;
	}
}

/* Whether a socket has not closed its own half. */
static __always_inline bool may_send(__u32 state)
{
	return state == BPF_TCP_ESTABLISHED || state == BPF_TCP_CLOSE_WAIT;
}

/* What the kernel keeps of a socket in the map. */
static __always_inline struct sk_psock *psock_of(const struct connection *connection)
{
	const struct sock *sock = (struct sock *)connection->sock;
	void *user_data = 0;

	bpf_core_read(&user_data, sizeof(user_data), &sock->sk_user_data);
	return (struct sk_psock *)((__u64)user_data & ~SK_USER_DATA_FLAGS);
}

/* ---- messages ---- */

/*
 * Whether what this socket has redirected before is in its receiver's queue. The kernel does that without the
 * socket's lock, so another thread may be at it; but each call holds a reference, beside the map's own.
 */
static __always_inline bool is_alone(const struct connection *connection)
{
	int references = 0;

	bpf_core_read(&references, sizeof(references), &psock_of(connection)->refcnt.refs.counter);
	return references == 2;
}

/*
 * Whether something was sent past this program: a send() that waited for the connection is TCP's. What is redirected
 * has no sequence numbers; the end of a stream has one, so this is asked of a socket that may send.
 */
static __always_inline bool is_bypassed(const struct connection *connection)
{
	const struct tcp_sock *sock = (struct tcp_sock *)connection->sock;
	__u32 write_seq = 0;

	bpf_core_read(&write_seq, sizeof(write_seq), &sock->write_seq);
	return write_seq != connection->own.snd_nxt;
}

/* Tells the receiver of a direction that is TCP that it has got all that it will get. */
static __always_inline void settle(struct connection *connection, struct peer *peer)
{
	if (peer)
		__sync_lock_test_and_set(&peer->receiver, SETTLED);
	connection->direction = TCP;
}

/* Finds out whether the first message of a direction may be redirected, and with it all that follow. */
static __always_inline void decide(struct connection *connection, struct peer *peer)
{
	if (!peer || __sync_val_compare_and_swap(&peer->receiver, OPEN, TARGET) != OPEN) {
		demote(connection, DIRECTIONS_MISSED);
		if (peer)
			leave(connection);
		return;
	}
	connection->peer_sock = peer->sock;
	connection->direction = REDIRECTED;
	count(DIRECTIONS_REDIRECTED, 1);
}

/* Bytes that the receiver's program has not read. */
static __always_inline __u32 unread(const struct connection *connection)
{
	const struct sock *sock = (struct sock *)connection->peer_sock;
	int unread = 0;

	bpf_core_read(&unread, sizeof(unread), &sock->sk_backlog.rmem_alloc.counter);
	return unread > 0 ? unread : 0;
}

/*
 * Whether so much is unread that the receiver would not hold another message. Redirection itself asks nobody. The
 * bound is half of what makes the kernel drop segments for a socket that is just being read (tcp_add_backlog); the
 * other half is for the segments with which TCP takes over.
 */
static __always_inline bool is_full(const struct connection *connection, const struct config *config, __u32 unread,
				    __u32 size)
{
	const struct sock *sock = (struct sock *)connection->peer_sock;
	int receive_buffer = 0, send_buffer = 0;
	__u64 bound;

	if (bpf_core_read(&receive_buffer, sizeof(receive_buffer), &sock->sk_rcvbuf) ||
	    bpf_core_read(&send_buffer, sizeof(send_buffer), &sock->sk_sndbuf))
		return true;
	bound = (__u64)(__u32)receive_buffer + (__u32)send_buffer / 4;
	if (bound > config->max_unread)
		bound = config->max_unread;
	return (__u64)unread + size > bound;
}

/* Whether a system call at the receiver has its lock. */
static __always_inline bool is_locked(const struct connection *connection)
{
	const struct sock *sock = (struct sock *)connection->peer_sock;
	int owned = 0;

	bpf_core_read(&owned, sizeof(owned), &sock->sk_lock.owned);
	return owned;
}

/* Counts a message as bulk or against it, while so much before it is unread. */
static __always_inline void weigh(struct connection *connection, __u32 before, __u32 size)
{
	__u32 relief = size / SELDOM;

	if (size < LARGE)
		return;
	if (before && (size >= HUGE || is_locked(connection)))
		connection->bulk += size;
	else
		connection->bulk -= connection->bulk < relief ? connection->bulk : relief;
}

/* What a redirected direction has to consider before its next message. */
static __always_inline void reconsider(struct connection *connection, const struct config *config,
				       const struct peer *peer, __u32 size)
{
	__u32 before = unread(connection);

	if (peer && peer->receiver == LEAVING && is_alone(connection)) {
		demote(connection, connection->bulk > BULK ? DEMOTED_BULK : DEMOTED_PEER);
		return;
	}
	if (before && is_full(connection, config, before, size)) {
		demote(connection, DEMOTED_UNREAD);
		return;
	}
	/* Asked once. Who cannot settle by itself does not ask the peer to, and stays redirected. */
	if (connection->bulk > BULK)
		return;
	weigh(connection, before, size);
	if (connection->bulk <= BULK)
		return;
	if (!is_alone(connection))
		connection->bulk = 0;
	else if (leave(connection))
		demote(connection, DEMOTED_BULK);
}

SEC("sk_msg")
int sockaccel_message(struct sk_msg_md *message)
{
	struct config *config = configuration();
	struct connection *connection;
	struct bpf_sock *sock = message->sk;
	struct peer *peer = 0;
	__u32 size = message->size;

	if (!config || !sock)
		return SK_PASS;
	connection = bpf_sk_storage_get(&CONNECTIONS, sock, 0, 0);
	if (!connection)
		return SK_PASS;
	if (connection->direction <= REDIRECTED && !config->enabled)
		demote(connection, DEMOTED_DISABLED);
	if (connection->direction <= REDIRECTED && !may_send(sock->state)) {
		/* After shutdown() TCP says what is to be said; the peer may go on as it does. */
		count(connection->direction == REDIRECTED ? DIRECTIONS_ENDED : DIRECTIONS_MISSED, 1);
		connection->direction = TCP;
	}
	if (connection->direction <= REDIRECTED && is_bypassed(connection))
		demote(connection, DEMOTED_BYPASSED);
	if (connection->direction != TCP)
		peer = bpf_map_lookup_elem(&PEERS, &connection->peer);
	if (connection->direction == UNDECIDED)
		decide(connection, peer);
	if (connection->direction == REDIRECTED)
		reconsider(connection, config, peer, size);
	if (connection->direction == REDIRECTED) {
		if (bpf_msg_redirect_hash(message, &SOCKETS, &connection->peer, BPF_F_INGRESS) == SK_PASS) {
			count(MESSAGES_REDIRECTED, 1);
			count(BYTES_REDIRECTED, size);
			return SK_PASS;
		}
		demote(connection, DEMOTED_FAILED);
	}
	if (connection->direction == PARTING && is_alone(connection))
		settle(connection, peer);
	count(MESSAGES_PASSED, 1);
	count(BYTES_PASSED, size);
	return SK_PASS;
}

/* ---- the life of a connection ---- */

static __always_inline bool is_wanted(const struct bpf_sock_ops *ops)
{
	__u16 local = ops->local_port, remote = bpf_ntohl(ops->remote_port);

	return bpf_map_lookup_elem(&PORTS, &local) || bpf_map_lookup_elem(&PORTS, &remote);
}

static __always_inline void established(struct bpf_sock_ops *ops, struct bpf_sock *sock, __u32 client_port,
					__u32 server_port)
{
	struct config *config = configuration();
	struct connection *connection;
	struct peer entry = {};
	long error;

	if (!config || !config->enabled || !is_wanted(ops))
		return;
	if (config->netns && config->netns != bpf_get_netns_cookie(ops))
		return;
	connection = bpf_sk_storage_get(&CONNECTIONS, sock, 0, BPF_SK_STORAGE_GET_F_CREATE);
	if (!connection)
		return;
	connection->own.snd_nxt = connection->peer.rcv_nxt = ops->snd_nxt;
	connection->own.rcv_nxt = connection->peer.snd_nxt = ops->rcv_nxt;
	connection->own.ports = connection->peer.ports = client_port << 16 | (config->mesh ? 0 : server_port);
	connection->direction = UNDECIDED;
	connection->others_hooks = ops->bpf_sock_ops_cb_flags;
	connection->sock = (__u64)sock;
	connection->peer_sock = 0;
	connection->bulk = 0;

	error = bpf_sock_hash_update(ops, &SOCKETS, &connection->own, BPF_NOEXIST);
	if (!error) {
		/* Last, so that whoever is found there can be redirected to. */
		entry.sock = (__u64)sock;
		error = bpf_map_update_elem(&PEERS, &connection->own, &entry, BPF_NOEXIST);
		if (error)
			bpf_map_delete_elem(&SOCKETS, &connection->own);
	}
	if (error) {
		count(error == -E2BIG ? SOCKETS_OVER : SOCKETS_REFUSED, 1);
		bpf_sk_storage_delete(&CONNECTIONS, sock);
		return;
	}
	bpf_sock_ops_cb_flags_set(ops, connection->others_hooks | HOOKS);
	count(SOCKETS_TRACKED, 1);
}

/* Whether everything that has been redirected to a socket has been read. */
static __always_inline bool has_read_all(const struct connection *connection)
{
	struct sk_psock *psock = psock_of(connection);
	const struct list_head *queue = __builtin_preserve_access_index(&psock->ingress_msg), *first = 0;

	return !bpf_core_read(&first, sizeof(first), &queue->next) && first == queue;
}

/*
 * Data has been acknowledged, so the peer has long been established: if it is not known by now, it is elsewhere. And
 * the socket is not in the middle of reading: its lock is held here.
 */
static __always_inline void acknowledged(struct bpf_sock_ops *ops, struct bpf_sock *sock,
					 struct connection *connection)
{
	struct peer *own;

	if (connection->direction == REDIRECTED || connection->direction == PARTING)
		return;
	if (!connection->peer_sock && !bpf_map_lookup_elem(&PEERS, &connection->peer))
		leave(connection);
	own = bpf_map_lookup_elem(&PEERS, &connection->own);
	if (!own || own->receiver != SETTLED || !has_read_all(connection))
		return;
	bpf_map_delete_elem(&SOCKETS, &connection->own);
	bpf_map_delete_elem(&PEERS, &connection->own);
	bpf_sock_ops_cb_flags_set(ops, ops->bpf_sock_ops_cb_flags & ~(HOOKS & ~connection->others_hooks));
	bpf_sk_storage_delete(&CONNECTIONS, sock);
	count(SOCKETS_EVICTED, 1);
}

static __always_inline void closed(const struct connection *connection)
{
	/* What this socket has been given it may still read: it stays in SOCKETS until it is freed. */
	bpf_map_delete_elem(&PEERS, &connection->own);
	if (connection->direction == REDIRECTED)
		count(DIRECTIONS_ENDED, 1);
	count(SOCKETS_CLOSED, 1);
}

SEC("sockops")
int sockaccel_connection(struct bpf_sock_ops *ops)
{
	struct connection *connection;
	/* Asked for once: the verifier trusts the pointer that has been compared with null, not another like it. */
	struct bpf_sock *sock = ops->sk;
	__u32 local = ops->local_port, remote = bpf_ntohl(ops->remote_port);

	if (!sock)
		return 1;
	if (ops->op == BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB) {
		established(ops, sock, local, remote);
		return 1;
	}
	if (ops->op == BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB) {
		established(ops, sock, remote, local);
		return 1;
	}
	connection = bpf_sk_storage_get(&CONNECTIONS, sock, 0, 0);
	if (!connection)
		return 1;
	if (ops->op == BPF_SOCK_OPS_RTT_CB)
		acknowledged(ops, sock, connection);
	else if (ops->op == BPF_SOCK_OPS_STATE_CB && ops->args[1] == BPF_TCP_CLOSE)
		closed(connection);
	return 1;
}

/* ---- options that do not go together with redirection ---- */

SEC("cgroup/setsockopt")
int sockaccel_option(struct bpf_sockopt *option)
{
	bool ktls = option->level == SOL_TCP && option->optname == TCP_ULP;
	bool zerocopy = option->level == SOL_SOCKET && option->optname == SO_ZEROCOPY;
	struct bpf_sock *sock = option->sk;
	struct connection *connection;

	/* The option stays what the program has set; so does one longer than what is seen of it here. */
	option->optlen = 0;
	if (!(ktls || zerocopy) || !sock)
		return 1;
	connection = bpf_sk_storage_get(&CONNECTIONS, sock, 0, 0);
	if (!connection)
		return 1;
	if (zerocopy) {
		if (connection->direction <= REDIRECTED)
			demote(connection, DEMOTED_ZEROCOPY);
		return 1;
	}
	/* As of a kernel without TLS, which every library knows how to do without. */
	count(KTLS_REFUSED, 1);
	bpf_set_retval(-ENOENT);
	return 0;
}

/* Most of the helpers are for programs under the GPL only. */
char LICENSE[] SEC("license") = "GPL";
