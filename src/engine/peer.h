/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * peer - one connection of a client, and its calls in flight
 *
 * What it sends is hostile: a bad frame ends this connection and nothing else. The
 * engine reads no more from a peer that does not take its answers, and streams ask
 * for room before they copy anything. Replies leave at the end of the turn.
 */

#include <stdbool.h>
#include <stdint.h>

#include "../base/buf.h"
#include "../base/list.h"
#include "../op/call.h"
#include "../wire/frame.h"
#include "loop.h"

#define PEER_HIGH ((size_t)1 << 20) /* bytes queued: no room above it */
#define PEER_HELLO_NS (10 * NS_PER_SEC)
#define PEER_FAREWELL_NS (5 * NS_PER_SEC)

struct engine;

struct peer {
	struct list all;
	struct engine *e;
	int fd;
	struct watch watch;
	struct timer timer; /* for the hello, and for the last word */
	struct frame_reader in;
	struct buf out;
	size_t out_at;	       /* bytes of out that are sent */
	uint64_t queued, sent; /* bytes, ever */
	bool greeted, closing, dead;
	struct session session;
	struct list calls, dead_calls; /* struct flight */
	unsigned int n_calls;
};

/* A call in flight. */
struct flight {
	struct call call;
	struct list node;
	struct peer *peer;
	struct timer timer;
	bool done, wants_room;
	uint64_t mark; /* room() is called once this is sent; 0 = none */
};

/* Takes fd. */
void peer_accept(struct engine *e, int fd);
/* Sends what is queued; true if somebody who waited for room was called. */
bool peers_flush(struct engine *e);
void peers_reap(struct engine *e);
/* Answers every call, sends what can be sent, closes. */
void peers_shutdown(struct engine *e);

/* calls.c */
/* An error is one of the frame, after which the connection must end. */
int calls_begin(struct peer *p, struct frame *f, struct err *err);
void calls_cancel(struct peer *p, uint32_t number);
void calls_stop(struct peer *p, enum call_end why);
void calls_reap(struct peer *p);
/* Those that waited for room or for bytes to leave. */
bool calls_room(struct peer *p);
/* Queues a frame; a failure ends the connection. */
void peer_send(struct peer *p, uint8_t type, uint32_t call, const json_t *json,
	       const void *raw, size_t len);
json_t *error_json(const struct err *err);
