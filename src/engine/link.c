/* SPDX-License-Identifier: Apache-2.0 */

#include "link.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "../base/cleanup.h"
#include "../base/clock.h"
#include "../base/fault.h"
#include "../base/fd.h"
#include "../box/reader.h"
#include "../box/stock.h"
#include "engine.h"
#include "facts.h"
#include "link-parts.h"
#include "say.h"
#include "spares.h"

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77 /* Linux 6.5 */
#endif

#define TRIES_MAX 300
#define TRY_NS (10 * NS_PER_MS)
#define HELLO_NS (5 * NS_PER_SEC)
#define DEADLINE_MARGIN_NS (5 * NS_PER_SEC)
#define WAKE_NS (2 * NS_PER_SEC)

static void on_timer(struct timer *t);

const char *link_name(const struct keeper *k, char buf[static ID_TEXT])
{
	return id_format(&k->id, k->kind, buf);
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		(void)close(*fd);
	*fd = -1;
}

struct keeper *link_new(struct engine *e, const struct id *id, char kind)
{
	struct keeper *k = calloc(1, sizeof(*k));

	if (!k)
		return NULL;
	k->e = e;
	k->id = *id;
	k->kind = kind;
	k->sock = k->pidfd = -1;
	k->prepare_fd = k->commit_fd = k->box_fd = k->stdin_fd = k->far_fd = -1;
	for (size_t i = 0; i < SLOT_CGROUPS; i++)
		k->cgroup_fd[i] = -1;
	list_init(&k->launch);
	list_init(&k->shelved);
	list_init(&k->asks);
	list_init(&k->outbox);
	list_append(&e->links, &k->all);
	timer_init(&k->timer, &e->loop, on_timer);
	return k;
}

void link_bind(struct keeper *k, struct process *p, struct sandbox *s)
{
	k->process = p;
	k->sandbox = s;
	if (p)
		p->keeper = k;
	if (s)
		s->keeper = k;
}

static void fail_asks(struct keeper *k, int error)
{
	while (!list_empty(&k->asks)) {
		struct keeper_ask *a =
			container_of(k->asks.next, struct keeper_ask, node);

		keeper_ask_drop(a);
		a->fn(a, error, NULL, NULL);
	}
}

static void empty_outbox(struct keeper *k)
{
	LIST_EACH_SAFE (&k->outbox, it) {
		struct packet *m = container_of(it, struct packet, node);

		list_remove(it);
		free(m);
	}
	k->n_outbox = 0;
}

void link_hang_up(struct keeper *k)
{
	watch_fini(&k->watch);
	close_fd(&k->sock);
	k->connected = false;
	k->watching = false;
	empty_outbox(k);
	fail_asks(k, ESRCH);
}

void link_close_order(struct keeper *k)
{
	close_fd(&k->prepare_fd);
	close_fd(&k->commit_fd);
	close_fd(&k->box_fd);
	close_fd(&k->stdin_fd);
	close_fd(&k->far_fd);
	for (size_t i = 0; i < SLOT_CGROUPS; i++)
		close_fd(&k->cgroup_fd[i]);
}

void link_end(struct keeper *k)
{
	if (k->state == LINK_GONE)
		return;
	link_hang_up(k);
	link_close_order(k);
	timer_stop(&k->timer);
	close_fd(&k->pidfd);
	list_remove(&k->launch);
	list_remove(&k->shelved);
	list_remove(&k->all);
	list_append(&k->e->dead_links, &k->all);
	k->state = LINK_GONE;
	if (k->process)
		k->process->keeper = NULL;
	if (k->sandbox)
		k->sandbox->keeper = NULL;
	k->process = NULL;
	k->sandbox = NULL;
	if (k->counted) {
		k->counted = false;
		k->e->adopting--;
	}
}

void links_reap(struct engine *e)
{
	LIST_EACH_SAFE (&e->dead_links, it) {
		list_remove(it);
		free(container_of(it, struct keeper, all));
	}
}

/* --- what its end means --- */

void link_holder_gone(struct keeper *k, const struct err *why)
{
	struct engine *e = k->e;
	struct sandbox *s = k->sandbox;

	if (why && s->state == SANDBOX_STARTING)
		s->why = *why;
	s->state = s->state == SANDBOX_ENDING || s->state == SANDBOX_STARTING ?
			   SANDBOX_GONE :
			   SANDBOX_LOST;
	s->unsaved = true;
	link_end(k);
	sandbox_step(&e->world, s);
}

void link_fail(struct keeper *k, const struct err *why)
{
	struct process *p = k->process;

	if (k->spare) {
		spares_lost(k);
	} else if (k->sandbox) {
		link_holder_gone(k, why);
	} else {
		link_end(k);
		if (p)
			facts_failed(k->e, p, why);
	}
}

void link_lost(struct keeper *k, const char *why)
{
	struct process *p = k->process;
	struct err err;

	if (k->spare) {
		spares_lost(k);
		return;
	}
	if (k->sandbox) {
		(void)err_set(&err, ERR_UNAVAILABLE, "sandbox", 0, "%s", why);
		link_holder_gone(k, &err);
		return;
	}
	link_end(k);
	facts_lost(k->e, p, why);
}

/* Whether the record says that all is over; then it counts. */
bool link_take_final(struct keeper *k)
{
	struct process *p = k->process;
	struct box_record r;
	int fd = -1;
	bool final;

	if (k->spare)
		return false;
	if (p) {
		if (!process_read(p) || !(p->record.flags & BOX_IS_FINAL))
			return false;
		link_end(k);
		facts_empty(k->e, p);
		return true;
	}
	if (box_open(k->e->world.boxes_fd, &k->id, k->kind, &fd, NULL) < 0)
		return false;
	final = box_read_record(fd, &r, NULL) == 0 && (r.flags & BOX_IS_FINAL);
	(void)close(fd);
	if (final) {
		struct err err;

		r.start_msg[BOX_MSG_MAX - 1] = '\0';
		(void)err_set(&err, ERR_UNAVAILABLE, "sandbox", 0, "%s",
			      r.start_msg[0] ? r.start_msg : "the sandbox has ended");
		link_holder_gone(k, &err);
	}
	return final;
}

/* 1 somebody holds it, 0 free or no box. */
static int box_held(struct keeper *k)
{
	int fd = -1, r;

	if (box_open(k->e->world.boxes_fd, &k->id, k->kind, &fd, NULL) < 0)
		return 0;
	r = box_is_locked(fd);
	(void)close(fd);
	return r == 1;
}

static int connect_keeper(struct keeper *k)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	CLEANUP(close) int fd = -1;
	char name[ID_TEXT];

	(void)snprintf(addr.sun_path, sizeof(addr.sun_path), "/proc/self/fd/%d/%s.sock",
		       k->e->keepers_fd, link_name(k, name));
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || connect(fd, (const struct sockaddr *)&addr, sizeof(addr)) < 0)
		return -errno;
	k->sock = TAKE_FD(fd);
	return 0;
}

/* Who listens at the other end. */
static void find_peer(struct keeper *k)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);

	if (getsockopt(k->sock, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 &&
	    peer.pid > 0)
		k->pid = peer.pid;
	len = sizeof(int);
	if (k->pidfd < 0 &&
	    getsockopt(k->sock, SOL_SOCKET, SO_PEERPIDFD, &k->pidfd, &len) < 0)
		k->pidfd = k->pid > 0 ? pidfd_open(k->pid, 0) : -1;
}

static int say_hello(struct keeper *k)
{
	struct keeper_msg m = { .type = KEEPER_HELLO, .a = KEEPER_VERSION };
	ssize_t n = fd_send(k->sock, &m, sizeof(m), NULL, 0, MSG_DONTWAIT);

	return n < 0 ? (int)n : 0;
}

/* One try to reach a keeper that is believed to live. */
static void adopt_try(struct keeper *k)
{
	int r = connect_keeper(k);

	if (r == 0)
		r = watch_init(&k->watch, &k->e->loop, k->sock, WATCH_READ,
			       link_on_readable);
	if (r == 0)
		r = say_hello(k);
	if (r == 0) {
		k->connected = true;
		find_peer(k);
		timer_set(&k->timer, HELLO_NS);
		return;
	}
	link_hang_up(k);
	/* Not bound yet, not listening yet, or just gone: the lock tells. */
	if (++k->tries < TRIES_MAX)
		timer_set(&k->timer, TRY_NS);
	else
		link_lost(k, "its keeper does not answer");
}

void link_judge(struct keeper *k)
{
	link_hang_up(k);
	if (k->spare) {
		spares_lost(k);
		return;
	}
	if (link_take_final(k))
		return;
	if (!box_held(k)) {
		/* It may have stored its last word between the two looks. */
		if (!link_take_final(k))
			link_lost(k, "its keeper died");
		return;
	}
	k->state = LINK_ADOPTING;
	adopt_try(k);
}

int link_adopt(struct engine *e, struct process *p, struct sandbox *s, struct err *err)
{
	struct keeper *k = link_new(e, p ? &p->id : &s->id, p ? ID_PROCESS : ID_SANDBOX);

	if (!k)
		return err_set(err, ERR_UNAVAILABLE, NULL, ENOMEM, "cannot adopt");
	link_bind(k, p, s);
	k->state = LINK_ADOPTING;
	k->counted = true;
	e->adopting++;
	link_judge(k);
	return 0;
}

/* --- timers --- */

void link_wake(struct keeper *k, int sig)
{
	if (k->pidfd >= 0)
		(void)pidfd_send_signal(k->pidfd, sig, NULL, 0);
}

/* The host backend only: its keeper can be stopped by whoever has the same uid. */
void link_arm_deadline(struct keeper *k, uint64_t after_ns)
{
	if (k->process && k->process->backend == BACKEND_HOST && k->pidfd >= 0) {
		k->warned = false;
		timer_set(&k->timer, after_ns + DEADLINE_MARGIN_NS);
	}
}

static void on_timer(struct timer *t)
{
	struct keeper *k = container_of(t, struct keeper, timer);
	char name[ID_TEXT];

	if (k->state == LINK_ADOPTING && !k->connected) {
		link_judge(k);
	} else if (k->state == LINK_ADOPTING) {
		say(LOG_LEVEL_WARNING, "%s: its keeper does not say hello",
		    link_name(k, name));
		if (k->process && k->process->backend == BACKEND_HOST && !k->warned) {
			k->warned = true;
			link_wake(k, SIGCONT);
			timer_set(&k->timer, WAKE_NS);
			return;
		}
		link_lost(k, "its keeper does not answer");
	} else if (!k->warned) {
		say(LOG_LEVEL_WARNING, "%s: its keeper lets a deadline pass",
		    link_name(k, name));
		k->warned = true;
		link_wake(k, SIGCONT);
		timer_set(&k->timer, WAKE_NS);
	} else {
		say(LOG_LEVEL_WARNING, "%s: its keeper is ended", link_name(k, name));
		link_wake(k, SIGKILL);
	}
}
