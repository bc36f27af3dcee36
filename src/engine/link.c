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
#include "../base/log.h"
#include "../box/reader.h"
#include "../box/stock.h"
#include "engine.h"
#include "facts.h"

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77 /* Linux 6.5 */
#endif

#define RECEIVE_MAX 16 /* messages per wakeup */
#define TRIES_MAX 300
#define TRY_NS (10 * NS_PER_MS)
#define HELLO_NS (5 * NS_PER_SEC)
#define DEADLINE_MARGIN_NS (5 * NS_PER_SEC)
#define WAKE_NS (2 * NS_PER_SEC)

struct packet {
	struct list node;
	size_t len;
	int fd; /* -1 = none */
	struct keeper_msg msg;
	unsigned char data[];
};

static void judge(struct keeper *k);
static void on_readable(struct watch *w, short what);
static void on_timer(struct timer *t);

static const char *name_of(const struct keeper *k, char buf[static ID_TEXT])
{
	return id_format(&k->id, k->kind, buf);
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		(void) close(*fd);
	*fd = -1;
}

static struct keeper *link_new(struct engine *e, struct process *p, struct sandbox *s)
{
	struct keeper *k = calloc(1, sizeof(*k));

	if (!k)
		return NULL;
	k->e = e;
	k->process = p;
	k->sandbox = s;
	k->id = p ? p->id : s->id;
	k->kind = p ? ID_PROCESS : ID_SANDBOX;
	k->sock = k->pidfd = -1;
	k->prepare_fd = k->commit_fd = k->box_fd = k->stdin_fd = k->far_fd = -1;
	list_init(&k->launch);
	list_init(&k->asks);
	list_init(&k->outbox);
	list_append(&e->links, &k->all);
	timer_init(&k->timer, &e->loop, on_timer);
	if (p)
		p->keeper = k;
	else
		s->keeper = k;
	return k;
}

static void fail_asks(struct keeper *k, int error)
{
	while (!list_empty(&k->asks)) {
		struct keeper_ask *a = container_of(k->asks.next, struct keeper_ask, node);

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

static void hang_up(struct keeper *k)
{
	watch_fini(&k->watch);
	close_fd(&k->sock);
	k->connected = false;
	k->watching = false;
	empty_outbox(k);
	fail_asks(k, ESRCH);
}

void link_sent(struct keeper *k)
{
	close_fd(&k->prepare_fd);
	close_fd(&k->commit_fd);
	close_fd(&k->box_fd);
	close_fd(&k->stdin_fd);
	close_fd(&k->far_fd);
	k->state = LINK_SENT;
}

void link_end(struct keeper *k)
{
	if (k->state == LINK_GONE)
		return;
	hang_up(k);
	link_sent(k);
	timer_stop(&k->timer);
	close_fd(&k->pidfd);
	list_remove(&k->launch);
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

static void holder_gone(struct keeper *k, const struct err *why)
{
	struct engine *e = k->e;
	struct sandbox *s = k->sandbox;

	if (why && s->state == SANDBOX_STARTING)
		s->why = *why;
	s->state = s->state == SANDBOX_ENDING || s->state == SANDBOX_STARTING ? SANDBOX_GONE :
										SANDBOX_LOST;
	s->unsaved = true;
	link_end(k);
	sandbox_step(&e->world, s);
}

void link_fail(struct keeper *k, const struct err *why)
{
	struct process *p = k->process;

	if (k->sandbox) {
		holder_gone(k, why);
		return;
	}
	link_end(k);
	if (p)
		facts_failed(k->e, p, why);
}

static void lost(struct keeper *k, const char *why)
{
	struct process *p = k->process;
	struct err err;

	if (k->sandbox) {
		(void) err_set(&err, ERR_UNAVAILABLE, "sandbox", 0, "%s", why);
		holder_gone(k, &err);
		return;
	}
	link_end(k);
	facts_lost(k->e, p, why);
}

/* Whether the record says that all is over; then it counts. */
static bool take_final(struct keeper *k)
{
	struct process *p = k->process;
	struct box_record r;
	int fd = -1;
	bool final;

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
	(void) close(fd);
	if (final) {
		struct err err;

		r.start_msg[BOX_MSG_MAX - 1] = '\0';
		(void) err_set(&err, ERR_UNAVAILABLE, "sandbox", 0, "%s",
			       r.start_msg[0] ? r.start_msg : "the sandbox has ended");
		holder_gone(k, &err);
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
	(void) close(fd);
	return r == 1;
}

static int connect_keeper(struct keeper *k)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	CLEANUP(close) int fd = -1;
	char name[ID_TEXT];

	(void) snprintf(addr.sun_path, sizeof(addr.sun_path), "/proc/self/fd/%d/%s.sock",
			k->e->keepers_fd, name_of(k, name));
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

	if (getsockopt(k->sock, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 && peer.pid > 0)
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
		r = watch_init(&k->watch, &k->e->loop, k->sock, WATCH_READ, on_readable);
	if (r == 0)
		r = say_hello(k);
	if (r == 0) {
		k->connected = true;
		find_peer(k);
		timer_set(&k->timer, HELLO_NS);
		return;
	}
	hang_up(k);
	/* Not bound yet, not listening yet, or just gone: the lock tells. */
	if (++k->tries < TRIES_MAX)
		timer_set(&k->timer, TRY_NS);
	else
		lost(k, "its keeper does not answer");
}

static void judge(struct keeper *k)
{
	hang_up(k);
	if (take_final(k))
		return;
	if (!box_held(k)) {
		/* It may have stored its last word between the two looks. */
		if (!take_final(k))
			lost(k, "its keeper died");
		return;
	}
	k->state = LINK_ADOPTING;
	adopt_try(k);
}

int link_adopt(struct engine *e, struct process *p, struct sandbox *s, struct err *err)
{
	struct keeper *k = link_new(e, p, s);

	if (!k)
		return err_set(err, ERR_UNAVAILABLE, NULL, ENOMEM, "cannot adopt");
	k->state = LINK_ADOPTING;
	k->counted = true;
	e->adopting++;
	judge(k);
	return 0;
}

/* --- timers --- */

static void wake_keeper(struct keeper *k, int sig)
{
	if (k->pidfd >= 0)
		(void) pidfd_send_signal(k->pidfd, sig, NULL, 0);
}

/* The host backend only: its keeper can be stopped by whoever has the same uid. */
static void arm_deadline(struct keeper *k, uint64_t after_ns)
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
		judge(k);
	} else if (k->state == LINK_ADOPTING) {
		log_warning("%s: its keeper does not say hello", name_of(k, name));
		if (k->process && k->process->backend == BACKEND_HOST && !k->warned) {
			k->warned = true;
			wake_keeper(k, SIGCONT);
			timer_set(&k->timer, WAKE_NS);
			return;
		}
		lost(k, "its keeper does not answer");
	} else if (!k->warned) {
		log_warning("%s: its keeper lets a deadline pass", name_of(k, name));
		k->warned = true;
		wake_keeper(k, SIGCONT);
		timer_set(&k->timer, WAKE_NS);
	} else {
		log_warning("%s: its keeper is ended", name_of(k, name));
		wake_keeper(k, SIGKILL);
	}
}

/* --- sending --- */

static int flush(struct keeper *k)
{
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
	watch_set(&k->watch, list_empty(&k->outbox) ? WATCH_READ : WATCH_READ | WATCH_WRITE);
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
	if (msg->len > 0)
		memcpy(m->data, data, msg->len);
	list_append(&k->outbox, &m->node);
	k->n_outbox++;
	/* A broken socket is seen when it is read. */
	r = flush(k);
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
		return err_set(err, ERR_UNAVAILABLE, NULL, -r, "its keeper does not answer");
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
	struct keeper_msg m = { .type = KEEPER_KILL, .a = (uint64_t)sig, .b = grace_ns,
				.c = (uint64_t)reason };
	int r;

	if (!keeper_there(p))
		return err_set(err, ERR_CONFLICT, "id", 0, "the command cannot be reached");
	r = send_msg(p->keeper, &m, NULL);
	if (r < 0)
		return err_set(err, ERR_UNAVAILABLE, NULL, -r, "its keeper does not answer");
	arm_deadline(p->keeper, grace_ns);
	return 0;
}

void link_end_holder(struct sandbox *s)
{
	struct keeper_msg m = { .type = KEEPER_KILL, .a = SIGKILL, .c = BOX_REASON_KILLED };
	struct keeper *k = s->keeper;

	if (!k)
		return;
	if (k->state == LINK_ORDERED)
		link_fail(k, &s->why);
	else if (send_msg(k, &m, NULL) < 0)
		wake_keeper(k, SIGKILL);
}

/* --- receiving --- */

static bool bad(struct keeper *k, const char *what)
{
	char name[ID_TEXT];

	log_warning("%s: its keeper sent a bad message: %s", name_of(k, name), what);
	lost(k, "its keeper sent a bad message");
	return false;
}

static void sandbox_ready(struct keeper *k)
{
	struct sandbox *s = k->sandbox;

	if (s->holder_pidfd < 0 && k->pidfd >= 0)
		s->holder_pidfd = fcntl(k->pidfd, F_DUPFD_CLOEXEC, 0);
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
		sandbox_ready(k);
	} else {
		struct process *p = k->process;

		(void) process_read(p);
		if (p->timeout_ns > 0)
			arm_deadline(k, p->timeout_ns + p->grace_ns);
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
		(void) keeper_kill(k->process, SIGTERM, k->process->grace_ns,
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
		arm_deadline(k, p->timeout_ns + p->grace_ns);
	return true;
}

static bool on_failed(struct keeper *k, const struct keeper_msg *m, const void *data)
{
	struct process *p = k->process;
	struct err why;

	if ((k->state != LINK_SENT && k->state != LINK_PREPARED) || m->len != sizeof(why))
		return bad(k, "failed");
	memcpy(&why, data, sizeof(why));
	why.stage[sizeof(why.stage) - 1] = '\0';
	why.msg[sizeof(why.msg) - 1] = '\0';
	if (why.code <= ERR_OK || why.code >= ERR_MAX_)
		why.code = ERR_INTERNAL;
	k->state = LINK_FAILED;
	if (k->sandbox) {
		holder_gone(k, &why);
		return false;
	}
	(void) process_read(p);
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
	/* The record is final, or it is not: that decides, not the message. */
	if (!take_final(k))
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
		if (k->sandbox)
			sandbox_ready(k);
		if (k->state == LINK_SENT)
			k->state = LINK_PREPARED;
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
			hang_up(k);
		else
			judge(k);
		return false;
	}
	if ((size_t)n < sizeof(in.msg) || in.msg.len != (size_t)n - sizeof(in.msg) || n_fds > 1)
		alive = bad(k, "size");
	else if (k->state == LINK_ADOPTING && in.msg.type != KEEPER_HELLO)
		alive = bad(k, "no hello");
	else
		alive = handle(k, &in.msg, in.data, n_fds > 0 ? fds[0] : -1);
	for (size_t i = 0; i < n_fds; i++)
		(void) close(fds[i]);
	return alive;
}

static void on_readable(struct watch *w, short what)
{
	struct keeper *k = container_of(w, struct keeper, watch);
	bool more = true;

	if (what & WATCH_WRITE && flush(k) < 0) {
		judge(k);
		return;
	}
	for (int i = 0; what & WATCH_READ && more && i < RECEIVE_MAX; i++)
		if (!receive(k, &more))
			return;
}

/* --- launching --- */

void link_launched(struct keeper *k, int32_t pid, int pidfd)
{
	k->pid = pid;
	if (k->sock < 0) {
		(void) close(pidfd);
		judge(k);
		return;
	}
	if (k->sandbox && k->sandbox->holder_pidfd < 0)
		k->sandbox->holder_pidfd = fcntl(pidfd, F_DUPFD_CLOEXEC, 0);
	if (k->pidfd < 0 && (k->sandbox || k->process->backend == BACKEND_HOST)) {
		k->pidfd = pidfd;
		/* It may have started before we were told who it is. */
		if (k->process && k->state == LINK_STARTED && k->process->timeout_ns > 0)
			arm_deadline(k, k->process->timeout_ns + k->process->grace_ns);
	} else {
		(void) close(pidfd);
	}
}

void link_orphaned(struct keeper *k)
{
	if (k->sock < 0)
		judge(k);
}

void link_launch_failed(struct keeper *k, const struct err *why)
{
	struct err e = *why;

	e.stage[sizeof(e.stage) - 1] = '\0';
	e.msg[sizeof(e.msg) - 1] = '\0';
	if (e.code <= ERR_OK || e.code >= ERR_MAX_)
		e.code = ERR_INTERNAL;
	link_fail(k, &e);
}

static int order(struct engine *e, struct keeper *k)
{
	int pair[2];
	int r;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	k->sock = pair[0];
	k->far_fd = pair[1];
	r = watch_init(&k->watch, &e->loop, k->sock, WATCH_READ, on_readable);
	if (r < 0)
		return r;
	if (k->join && k->join->state == SANDBOX_STARTING)
		list_append(&k->join->orders, &k->launch);
	else
		list_append(&e->orders, &k->launch);
	return 0;
}

void world_launch(struct world *w, const struct launch_order *o)
{
	struct engine *e = engine_of(w);
	struct keeper *k = link_new(e, o->process, o->holder);
	struct err err;
	int r = -ENOMEM;

	if (k) {
		k->prepare_fd = o->prepare_fd;
		k->commit_fd = o->commit_fd;
		k->box_fd = o->box_fd;
		k->stdin_fd = o->stdin_fd;
		k->join = o->sandbox;
		r = order(e, k);
		if (r == 0)
			return;
	}
	(void) err_set(&err, ERR_UNAVAILABLE, "launch", -r, "cannot reach a new keeper");
	if (k) {
		link_fail(k, &err);
		return;
	}
	for (size_t i = 0; i < 4; i++) {
		int fd = (const int[]){ o->prepare_fd, o->commit_fd, o->box_fd, o->stdin_fd }[i];

		if (fd >= 0)
			(void) close(fd);
	}
	if (o->process)
		facts_failed(e, o->process, &err);
}
