/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* What the kernel's side and user space agree on; src/layout.rs says the same in Rust. */
#ifndef SOCKACCEL_H
#define SOCKACCEL_H

/* Words of the one entry of CONFIG. */
struct config {
	__u64 enabled;	/* 0: no new pairs, and every direction goes back to TCP with its next message */
	__u64 mesh;	/* 1: the server's port is not compared, since a proxy may have rewritten it */
	__u64 max_unread;	/* bytes a receiver may leave unread before its sender goes back to TCP */
	__u64 netns;	/* only sockets of the network namespace with this cookie; 0 for all */
};

/* Rows of STATS. */
enum counter {
	SOCKETS_TRACKED,	/* sockets that have entered the map */
	SOCKETS_CLOSED,		/* of those, closed */
	SOCKETS_EVICTED,	/* of those, taken out: their peer is elsewhere, or both directions are TCP again */
	SOCKETS_REFUSED,	/* not entered: another sockmap has them, or the kernel does not take them */
	SOCKETS_OVER,		/* not entered: the map is full */
	DIRECTIONS_REDIRECTED,	/* directions whose first message found its peer */
	DIRECTIONS_MISSED,	/* directions whose first message did not, and which are TCP for good */
	DEMOTED_UNREAD,		/* back to TCP: the receiver does not read */
	DEMOTED_FAILED,		/* back to TCP: the kernel does not redirect */
	DEMOTED_BYPASSED,	/* back to TCP: something was sent past the program */
	DEMOTED_DISABLED,	/* back to TCP: switched off */
	DEMOTED_ZEROCOPY,	/* back to TCP: the sender waits for the kernel to give pages back */
	DEMOTED_BULK,		/* back to TCP: large messages, one behind the other, which TCP is better at */
	DEMOTED_PEER,		/* back to TCP: the other direction is */
	DIRECTIONS_ENDED,	/* redirected directions whose sender has closed */
	MESSAGES_REDIRECTED,
	BYTES_REDIRECTED,
	MESSAGES_PASSED,
	BYTES_PASSED,
	KTLS_REFUSED,		/* attempts to have the kernel encrypt what may be redirected */
	COUNTERS,
};

#endif
