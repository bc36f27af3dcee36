/* SPDX-License-Identifier: Apache-2.0 */

/* What a keeper is told and asked. */

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "../base/fd.h"
#include "engine.h"
#include "link-parts.h"

int link_flush(struct keeper *k)
{
	/* Nothing is for a spare before it is a command's. */
	if (k->held)
		return 0;
	while (!list_empty(&k->outbox)) {
		struct packet *m = container_of(k->outbox.next, struct packet, node);
		ssize_t n = fd_send(k->sock, &m->msg, sizeof(m->msg) + m->len, NULL, 0,
				    MSG_DONTWAIT);

		if (n == -EAGAIN)
			break;
		if (n < 0)
			return (int)n;
		list_remove(&m->node);
		k->n_outbox--;
		free(m);
	}
	watch_set(&k->watch,
		  list_empty(&k->outbox) ? WATCH_READ : WATCH_READ | WATCH_WRITE);
	return 0;
}

static int send_msg(struct keeper *k, const struct keeper_msg *msg, const void *data)
{
	struct packet *m;
	int r;

	/* Before the launch it waits in the socket, which goes to the keeper with it. */
	if (k->sock < 0 || (k->state == LINK_ADOPTING && !k->connected))
		return -ENOTCONN;
	if (k->n_outbox >= LINK_OUTBOX_MAX || msg->len > KEEPER_DATA_MAX)
		return -ENOBUFS;
	m = calloc(1, sizeof(*m) + msg->len);
	if (!m)
		return -ENOMEM;
	m->msg = *msg;
	m->len = msg->len;
	if (data)
		memcpy(m->data, data, msg->len);
	list_append(&k->outbox, &m->node);
	k->n_outbox++;
	/* A broken socket is seen when it is read. */
	r = link_flush(k);
	return r < 0 && r != -EPIPE && r != -ECONNRESET ? r : 0;
}

bool keeper_there(const struct process *p)
{
	const struct keeper *k = p->keeper;

	return k && k->sock >= 0 && k->state != LINK_FAILED &&
	       (k->state != LINK_ADOPTING || k->connected);
}

int32_t keeper_pid(const struct process *p)
{
	return p->keeper ? p->keeper->pid : 0;
}

int keeper_tell(struct process *p, const struct keeper_msg *m)
{
	return keeper_there(p) ? send_msg(p->keeper, m, NULL) : -ENOTCONN;
}

void keeper_ask_drop(struct keeper_ask *ask)
{
	if (ask->node.next)
		list_remove(&ask->node);
}

int keeper_ask(struct process *p, const struct keeper_msg *m, const void *data,
	       struct keeper_ask *ask, struct err *err)
{
	struct keeper_msg msg = *m;
	struct keeper *k = p->keeper;
	int r;

	list_init(&ask->node);
	if (!keeper_there(p))
		return err_set(err, ERR_CONFLICT, "id", 0, "the command has ended");
	msg.seq = ask->seq = ++k->seq;
	r = send_msg(k, &msg, data);
	if (r < 0)
		return err_set(err, ERR_UNAVAILABLE, NULL, -r,
			       "its keeper does not answer");
	list_append(&k->asks, &ask->node);
	return 0;
}

void keeper_watch(struct process *p)
{
	struct keeper_msg m = { .type = KEEPER_WATCH };
	struct keeper *k = p->keeper;
	uint64_t past[BOX_STREAMS];

	if (!keeper_there(p) || !process_wants_output(p, past))
		return;
	if (k->watching && memcmp(past, k->watch_at, sizeof(past)) == 0)
		return;
	m.a = past[0];
	m.b = past[1];
	if (send_msg(k, &m, NULL) == 0) {
		k->watching = true;
		memcpy(k->watch_at, past, sizeof(past));
	}
}

int keeper_kill(struct process *p, int sig, uint64_t grace_ns, enum box_reason reason,
		struct err *err)
{
	struct keeper_msg m = { .type = KEEPER_KILL,
				.a = (uint64_t)sig,
				.b = grace_ns,
				.c = (uint64_t)reason };
	int r;

	if (!keeper_there(p))
		return err_set(err, ERR_CONFLICT, "id", 0,
			       "the command cannot be reached");
	r = send_msg(p->keeper, &m, NULL);
	if (r < 0)
		return err_set(err, ERR_UNAVAILABLE, NULL, -r,
			       "its keeper does not answer");
	link_arm_deadline(p->keeper, grace_ns);
	return 0;
}

void link_end_holder(struct sandbox *s)
{
	struct keeper_msg m = { .type = KEEPER_KILL,
				.a = SIGKILL,
				.c = BOX_REASON_KILLED };
	struct keeper *k = s->keeper;

	if (!k)
		return;
	if (k->state == LINK_ORDERED)
		link_fail(k, &s->why);
	else if (send_msg(k, &m, NULL) < 0)
		link_wake(k, SIGKILL);
}
