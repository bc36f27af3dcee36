/* SPDX-License-Identifier: Apache-2.0 */

/* What a keeper says: all of it is checked before it is used. */

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../base/fault.h"
#include "../base/fd.h"
#include "engine.h"
#include "facts.h"
#include "link-parts.h"
#include "say.h"
#include "spares.h"

#define RECEIVE_MAX 16 /* messages per wakeup */

static bool bad(struct keeper *k, const char *what)
{
	char name[ID_TEXT];

	say(LOG_LEVEL_WARNING, "%s: its keeper sent a bad message: %s",
	    link_name(k, name), what);
	link_lost(k, "its keeper sent a bad message");
	return false;
}

void link_holder_ready(struct keeper *k)
{
	struct sandbox *s = k->sandbox;

	if (s->holder_pidfd < 0 && k->pidfd >= 0)
		s->holder_pidfd = fcntl(k->pidfd, F_DUPFD_CLOEXEC, 0);
	/* Without it nobody can join: the launcher is about to give it. */
	if (s->holder_pidfd < 0)
		return;
	if (s->state == SANDBOX_STARTING)
		s->state = SANDBOX_RUNNING;
	sandbox_step(&k->e->world, s);
}

static bool on_hello(struct keeper *k, const struct keeper_msg *m)
{
	if (k->state != LINK_ADOPTING)
		return bad(k, "hello");
	if (m->a < KEEPER_VERSION_LEAST)
		return bad(k, "an unknown version");
	/* What state it is in comes as messages of their own. */
	k->state = LINK_PREPARED;
	k->tries = 0;
	timer_stop(&k->timer);
	if (k->sandbox) {
		link_holder_ready(k);
	} else {
		struct process *p = k->process;

		/* It is about to say so too, but somebody may ask before. */
		if (process_read(p) && p->record.state == BOX_RUNNING &&
		    p->state == PROCESS_STARTING)
			p->state = PROCESS_RUNNING;
		if (p->timeout_ns > 0)
			link_arm_deadline(k, p->timeout_ns + p->grace_ns);
		/* Those who wait for it go on waiting, by this link. */
		keeper_watch(p);
	}
	if (k->counted) {
		k->counted = false;
		k->e->adopting--;
		k->e->world.adopted++;
	}
	if (k->process && k->process->disconnect_kill && k->e->recovering) {
		/* The connection that was its life ended with the engine before. */
		(void)keeper_kill(k->process, SIGTERM, k->process->grace_ns,
				  BOX_REASON_DISCONNECTED, NULL);
	}
	return true;
}

static bool on_started(struct keeper *k, int pidfd)
{
	struct process *p = k->process;

	if (!p || (k->state != LINK_SENT && k->state != LINK_PREPARED))
		return bad(k, "started");
	fault_point("exec");
	k->state = LINK_STARTED;
	facts_started(p, pidfd);
	if (p->timeout_ns > 0)
		link_arm_deadline(k, p->timeout_ns + p->grace_ns);
	return true;
}

static bool on_failed(struct keeper *k, const struct keeper_msg *m, const void *data)
{
	struct process *p = k->process;
	struct err why;

	if ((k->state != LINK_SENT && k->state != LINK_PREPARED) || m->len != sizeof(why))
		return bad(k, "failed");
	memcpy(&why, data, sizeof(why));
	link_check_err(&why);
	k->state = LINK_FAILED;
	if (k->spare) {
		spares_lost(k);
		return false;
	}
	if (k->sandbox) {
		link_holder_gone(k, &why);
		return false;
	}
	(void)process_read(p);
	link_end(k);
	facts_failed(k->e, p, &why);
	return false;
}

static bool on_exited(struct keeper *k)
{
	if (!k->process) /* a holder: EMPTY follows */
		return true;
	if (k->state != LINK_STARTED && k->state != LINK_PREPARED)
		return bad(k, "exited");
	fault_point("exit");
	k->state = LINK_EXITED;
	facts_exited(k->process);
	return true;
}

static bool on_empty(struct keeper *k)
{
	/* Where the tree ends with its main process there is no EXITED before. */
	if (k->process && !k->process->exited)
		fault_point("exit");
	/* The record is final, or it is not: that decides, not the message. */
	if (!link_take_final(k))
		return bad(k, "empty, but its record is not final");
	return false;
}

static bool on_output(struct keeper *k, const struct keeper_msg *m)
{
	struct process *p = k->process;

	if (!p || m->a > BOX_TOTAL_MAX || m->b > BOX_TOTAL_MAX)
		return bad(k, "output");
	k->watching = false;
	p->total[0] = MAX(p->total[0], m->a);
	p->total[1] = MAX(p->total[1], m->b);
	p->at_end[0] = p->at_end[0] || (m->c & 1);
	p->at_end[1] = p->at_end[1] || (m->c & 2);
	process_note(p, NEWS_OUTPUT);
	return true;
}

static bool on_answer(struct keeper *k, const struct keeper_msg *m, const void *data)
{
	struct keeper_stat stat;
	bool is_stat = m->type == KEEPER_STAT_REPLY;

	if (is_stat && m->len != sizeof(stat))
		return bad(k, "stat");
	if (is_stat)
		memcpy(&stat, data, sizeof(stat));
	LIST_EACH (&k->asks, it) {
		struct keeper_ask *a = container_of(it, struct keeper_ask, node);

		if (a->seq != m->seq)
			continue;
		keeper_ask_drop(a);
		a->fn(a, is_stat ? 0 : (int)MIN(m->a, (uint64_t)4095), m,
		      is_stat ? &stat : NULL);
		break;
	}
	return k->state != LINK_GONE;
}

/* False once the link is gone. */
static bool handle(struct keeper *k, const struct keeper_msg *m, const void *data, int fd)
{
	switch (m->type) {
	case KEEPER_HELLO:
		return on_hello(k, m);
	case KEEPER_READY:
		if (k->state == LINK_SENT)
			k->state = LINK_PREPARED;
		if (k->sandbox)
			link_holder_ready(k);
		return true;
	case KEEPER_STARTED:
		return on_started(k, fd);
	case KEEPER_FAILED:
		return on_failed(k, m, data);
	case KEEPER_OUTPUT:
		return on_output(k, m);
	case KEEPER_EXITED:
		return on_exited(k);
	case KEEPER_CLOSED:
		if (k->process)
			facts_closed(k->process);
		return true;
	case KEEPER_EMPTY:
		return on_empty(k);
	case KEEPER_REPLY:
	case KEEPER_STAT_REPLY:
		return on_answer(k, m, data);
	default:
		return bad(k, "unknown type");
	}
}

static bool receive(struct keeper *k, bool *ret_more)
{
	static struct {
		struct keeper_msg msg;
		unsigned char data[KEEPER_DATA_MAX];
	} in;
	int fds[FD_PASS_MAX];
	size_t n_fds = 0;
	ssize_t n;
	bool alive;

	n = fd_recv(k->sock, &in, sizeof(in), fds, FD_PASS_MAX, &n_fds, MSG_DONTWAIT);
	if (n == -EAGAIN) {
		*ret_more = false;
		return true;
	}
	if (n <= 0) {
		/* If it never came to be, the launcher is about to say why. */
		if (k->state == LINK_SENT && !list_empty(&k->launch))
			link_hang_up(k);
		else
			link_judge(k);
		return false;
	}
	if ((size_t)n < sizeof(in.msg) || in.msg.len != (size_t)n - sizeof(in.msg) ||
	    n_fds > 1)
		alive = bad(k, "size");
	else if (k->state == LINK_ADOPTING && in.msg.type != KEEPER_HELLO)
		alive = bad(k, "no hello");
	else
		alive = handle(k, &in.msg, in.data, n_fds > 0 ? fds[0] : -1);
	for (size_t i = 0; i < n_fds; i++)
		(void)close(fds[i]);
	return alive;
}

void link_on_readable(struct watch *w, short what)
{
	struct keeper *k = container_of(w, struct keeper, watch);
	bool more = true;

	if (what & WATCH_WRITE && link_flush(k) < 0) {
		link_judge(k);
		return;
	}
	for (int i = 0; what & WATCH_READ && more && i < RECEIVE_MAX; i++)
		if (!receive(k, &more))
			return;
}
