/* SPDX-License-Identifier: Apache-2.0 */

/* How a keeper comes to be: by the launcher, at once or ahead of need. */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../base/fault.h"
#include "../base/fd.h"
#include "engine.h"
#include "facts.h"
#include "link-parts.h"
#include "spares.h"

/* --- what the launcher says --- */

static bool wants_pidfd(const struct keeper *k)
{
	return k->sandbox || k->spare || k->process->backend == BACKEND_HOST;
}

void link_launched(struct keeper *k, int32_t pid, int pidfd)
{
	k->pid = pid;
	if (k->sock < 0) {
		(void)close(pidfd);
		link_judge(k);
		return;
	}
	if (k->pidfd < 0 && wants_pidfd(k)) {
		k->pidfd = pidfd;
		/* It may have started before we were told who it is. */
		if (k->process && k->state == LINK_STARTED && k->process->timeout_ns > 0)
			link_arm_deadline(k,
					  k->process->timeout_ns + k->process->grace_ns);
	} else {
		(void)close(pidfd);
	}
	if (k->sandbox && k->state == LINK_PREPARED)
		link_holder_ready(k);
}

void link_orphaned(struct keeper *k)
{
	/* Who a holder is, its own socket in the state directory tells as well. */
	if (k->sock < 0 || (k->sandbox && k->pidfd < 0))
		link_judge(k);
}

void link_check_err(struct err *e)
{
	size_t n;

	e->stage[sizeof(e->stage) - 1] = '\0';
	e->msg[sizeof(e->msg) - 1] = '\0';
	if (e->code <= ERR_OK || e->code >= ERR_MAX_)
		e->code = ERR_INTERNAL;
	n = strlen(e->msg);
	if (e->code == ERR_UNSUPPORTED)
		(void)snprintf(
			e->msg + n, sizeof(e->msg) - n,
			"; the doctor (daemon.doctor, `proctor doctor`) tells what "
			"this machine lacks and what to do");
}

void link_launch_failed(struct keeper *k, const struct err *why)
{
	struct err e = *why;

	link_check_err(&e);
	link_fail(k, &e);
}

void link_sent(struct keeper *k)
{
	link_close_order(k);
	k->state = LINK_SENT;
}

/* --- orders --- */

static int open_control(struct keeper *k)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) <
	    0)
		return -errno;
	k->sock = pair[0];
	k->far_fd = pair[1];
	return watch_init(&k->watch, &k->e->loop, k->sock, WATCH_READ, link_on_readable);
}

static void close_all(const struct launch_order *o)
{
	const int fds[] = { o->prepare_fd, o->commit_fd, o->box_fd, o->stdin_fd };

	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		if (fds[i] >= 0)
			(void)close(fds[i]);
	for (size_t i = 0; o->cgroup_fds && i < SLOT_CGROUPS; i++)
		if (o->cgroup_fds[i] >= 0)
			(void)close(o->cgroup_fds[i]);
}

static void take_cgroup(struct keeper *k, const struct launch_order *o)
{
	for (size_t i = 0; o->cgroup_fds && i < SLOT_CGROUPS; i++)
		k->cgroup_fd[i] = o->cgroup_fds[i];
}

/* The descriptors are the keeper's, or closed. */
static struct keeper *new_keeper(struct engine *e, const struct id *id, char kind,
				 const struct launch_order *o, struct err *err)
{
	struct keeper *k = link_new(e, id, kind);
	int r;

	if (!k) {
		close_all(o);
		(void)err_set(err, ERR_UNAVAILABLE, "launch", ENOMEM, "no memory");
		return NULL;
	}
	k->prepare_fd = o->prepare_fd;
	k->commit_fd = o->commit_fd;
	k->box_fd = o->box_fd;
	k->stdin_fd = o->stdin_fd;
	take_cgroup(k, o);
	k->join = o->sandbox;
	r = open_control(k);
	if (r < 0) {
		link_end(k);
		(void)err_set(err, ERR_UNAVAILABLE, "launch", -r,
			      "cannot reach a new keeper");
		return NULL;
	}
	return k;
}

static void take_spare(const struct launch_order *o)
{
	struct keeper *k = o->spare;

	spares_taken(k);
	link_bind(k, o->process, NULL);
	k->commit_fd = o->commit_fd;
	k->stdin_fd = o->stdin_fd;
	take_cgroup(k, o);
	k->held = true;
	if (o->process->backend != BACKEND_HOST && k->pidfd >= 0) {
		(void)close(k->pidfd);
		k->pidfd = -1;
	}
	list_append(&k->e->orders, &k->launch);
	chores_wake(k->e);
}

void world_launch(struct world *w, const struct launch_order *o)
{
	struct engine *e = engine_of(w);
	struct process *p = o->process;
	struct keeper *k;
	struct err err;

	if (o->spare) {
		take_spare(o);
		return;
	}
	k = new_keeper(e, p ? &p->id : &o->holder->id, p ? ID_PROCESS : ID_SANDBOX, o,
		       &err);
	if (k) {
		link_bind(k, p, o->holder);
		list_append(k->join && k->join->state == SANDBOX_STARTING ?
				    &k->join->orders :
				    &e->orders,
			    &k->launch);
	} else if (p) {
		facts_failed(e, p, &err);
	} else {
		o->holder->why = err;
		o->holder->state = SANDBOX_GONE;
		o->holder->unsaved = true;
		sandbox_step(w, o->holder);
	}
}

/* --- ahead of need --- */

struct keeper *link_spare(struct engine *e, const struct id *id,
			  const struct launch_order *o)
{
	struct err ignored;
	struct keeper *k = new_keeper(e, id, ID_PROCESS, o, &ignored);

	if (!k)
		return NULL;
	k->spare = true;
	list_append(&e->launcher.queue, &k->launch);
	return k;
}

bool link_stands(const struct keeper *k)
{
	return k->state == LINK_PREPARED && k->sock >= 0 && list_empty(&k->launch);
}

bool link_is_gone(const struct keeper *k)
{
	char c;

	return recv(k->sock, &c, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
}

bool link_dismiss(struct keeper *k)
{
	if (k->state == LINK_ORDERED || k->sock < 0)
		return false;
	return shutdown(k->sock, SHUT_WR) == 0;
}

void link_commit(struct keeper *k)
{
	struct keeper_msg m = { .type = KEEPER_COMMIT, .a = 1u << SLOT_COMMIT };
	int fds[2 + SLOT_CGROUPS] = { k->commit_fd };
	struct err err;
	size_t n = 1;
	ssize_t r;

	if (k->stdin_fd >= 0) {
		m.a |= 1u << SLOT_STDIN;
		fds[n++] = k->stdin_fd;
	}
	for (size_t i = 0; i < SLOT_CGROUPS; i++)
		if (k->cgroup_fd[i] >= 0) {
			m.a |= 1u << (SLOT_CGROUP + i);
			fds[n++] = k->cgroup_fd[i];
		}
	r = fd_send(k->sock, &m, sizeof(m), fds, n, MSG_DONTWAIT);
	fault_point("launch");
	link_close_order(k);
	k->held = false;
	/* One that has died shows by the end of its socket. */
	if (r < 0 && r != -EPIPE && r != -ECONNRESET) {
		(void)err_set(&err, ERR_UNAVAILABLE, "launch", (int)-r,
			      "tell the keeper");
		link_fail(k, &err);
		return;
	}
	(void)link_flush(k);
}
