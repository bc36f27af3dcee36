/* SPDX-License-Identifier: Apache-2.0 */

#include "peer.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../base/cleanup.h"
#include "../base/clock.h"
#include "../base/fd.h"
#include "../base/log.h"
#include "../op/policy.h"
#include "../op/record.h"
#include "../op/request.h"
#include "../op/start.h"
#include "../wire/json.h"
#include "engine.h"

#define READ_MAX ((size_t)262144) /* bytes per wakeup */
#define COMPACT ((size_t)262144)
#define FAREWELL_MS 200

json_t *error_json(const struct err *err)
{
	return json_pack("{s:{s:s, s:o, s:o, s:i}}", "error", "code",
			 err_info(err->code)->name, "field",
			 json_text_or_null(err->stage), "message", json_text(err->msg),
			 "errno", err->sys_errno);
}

static void die(struct peer *p)
{
	if (p->dead)
		return;
	p->dead = true;
	list_remove(&p->all);
	list_append(&p->e->dead_peers, &p->all);
	p->e->n_peers--;
	p->e->loop.again = true;
	watch_fini(&p->watch);
	timer_stop(&p->timer);
}

/* --- out --- */

static size_t unsent(const struct peer *p)
{
	return p->out.len - p->out_at;
}

static void update_watch(struct peer *p)
{
	bool reads = !p->closing && unsent(p) < PEER_HIGH;

	if (!p->dead)
		watch_set(&p->watch, (short)((reads ? WATCH_READ : 0) |
					     (unsent(p) > 0 ? WATCH_WRITE : 0)));
}

/* False once the connection is gone. */
static bool flush(struct peer *p)
{
	while (unsent(p) > 0) {
		ssize_t n = send(p->fd, p->out.data + p->out_at, unsent(p),
				 MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			break;
		if (n < 0) {
			die(p);
			return false;
		}
		p->out_at += (size_t)n;
		p->sent += (uint64_t)n;
	}
	if (unsent(p) == 0 && p->out.cap > COMPACT) {
		buf_fini(&p->out);
		p->out_at = 0;
	} else if (unsent(p) == 0 || p->out_at >= COMPACT) {
		buf_eat(&p->out, p->out_at);
		p->out_at = 0;
	}
	if (p->closing && unsent(p) == 0) {
		die(p);
		return false;
	}
	update_watch(p);
	return true;
}

void peer_send(struct peer *p, uint8_t type, uint32_t call, const json_t *json,
	       const void *raw, size_t len)
{
	CLEANUP(free) char *text = json ? json_dumps(json, JSON_TEXT) : NULL;
	size_t before = p->out.len;
	struct err err;

	if (p->dead)
		return;
	if (!text ||
	    frame_put(&p->out, type, call, text, strlen(text), raw, len, &err) < 0) {
		log_warning("a connection is ended: its answer cannot be made");
		die(p);
		return;
	}
	p->queued += p->out.len - before;
	p->e->loop.again = true;
}

/* The last word: why the connection ends. */
static void farewell(struct peer *p, const struct err *why)
{
	CLEANUP(json_decref) json_t *o = error_json(why);

	peer_send(p, FRAME_HELLO, 0, o, NULL, 0);
	p->closing = true;
	/* Who does not take it is not waited for. */
	timer_set(&p->timer, PEER_FAREWELL_NS);
	calls_stop(p, CALL_LOST);
}

/* --- hello --- */

static int operation_bits(const struct field_strings *names, uint64_t *ret,
			  struct err *err)
{
	*ret = 0;
	for (size_t i = 0; i < names->n; i++) {
		const struct op *op = op_find(names->v[i]);

		if (!op)
			return err_set(err, ERR_INVALID_INPUT, "hello.operations", 0,
				       "there is no operation %.64s", names->v[i]);
		*ret |= UINT64_C(1) << op_id(op);
	}
	return 0;
}

static char *dup_or_null(const char *text)
{
	return text ? strdup(text) : NULL;
}

static int open_session(struct peer *p, const struct hello_params *q, struct err *err)
{
	struct session *s = &p->session;
	struct ceiling_request req = {
		.workspace = q->workspace,
		.by_hand = q->allow_wide,
		.profiles = q->profiles.v,
		.n_profiles = q->profiles.n,
	};
	struct limits limits;
	int r;

	if (q->version < 1)
		return err_set(err, ERR_UNSUPPORTED, "hello.version", 0,
			       "the engine speaks version %d of the protocol",
			       WIRE_VERSION);
	start_limits(&q->limits, &limits);
	req.limits = &limits;
	r = operation_bits(&q->operations, &req.operations, err);
	if (r == 0)
		r = ceiling_open(&s->ceiling, s->who, &req, err);
	if (r < 0)
		return r;
	s->client = dup_or_null(q->client);
	s->path = dup_or_null(q->path);
	s->own = q->sandbox == REQ_HELLO_OWN;
	return 0;
}

static int greet(struct peer *p, const struct frame *f, struct err *err)
{
	CLEANUP(json_decref) json_t *json = NULL, *answer = NULL;
	struct hello_params q = { 0 };
	int r;

	if (f->type != FRAME_HELLO || f->n_fds > 0)
		return err_set(err, ERR_INVALID_INPUT, "hello", 0,
			       "a connection begins with a hello");
	r = field_parse(f->json, f->json_len, &json, err);
	if (r == 0)
		r = field_decode(hello_fields, json, &q, err);
	if (r < 0)
		return r;
	r = open_session(p, &q, err);
	field_fini(hello_fields, &q);
	if (r < 0)
		return r;
	p->greeted = true;
	timer_stop(&p->timer);
	answer = json_pack("{s:i, s:s, s:i, s:o}", "version", WIRE_VERSION, "engine",
			   ENGINE_NAME, "pid", (int)getpid(), "ceiling",
			   policy_ceiling(&p->session));
	peer_send(p, FRAME_HELLO, 0, answer, NULL, 0);
	return 0;
}

static void on_late(struct timer *t)
{
	struct peer *p = container_of(t, struct peer, timer);
	struct err err;

	if (p->closing) {
		die(p);
		return;
	}
	(void)err_set(&err, ERR_TIMEOUT, "hello", 0, "no hello came within 10 seconds");
	farewell(p, &err);
}

/* --- in --- */

static int handle(struct peer *p, struct frame *f, struct err *err)
{
	if (!p->greeted)
		return greet(p, f, err);
	switch (f->type) {
	case FRAME_CALL:
		return calls_begin(p, f, err);
	case FRAME_CANCEL:
		calls_cancel(p, f->call);
		return 0;
	case FRAME_HELLO:
		return err_set(err, ERR_INVALID_INPUT, "hello", 0,
			       "a connection has one hello");
	default:
		return err_set(err, ERR_INVALID_INPUT, "frame", 0,
			       "a frame of type %u is not for the engine", f->type);
	}
}

static bool take_frames(struct peer *p)
{
	struct frame f;
	struct err err;
	int r = 0;

	while (!p->dead && !p->closing && (r = frame_reader_next(&p->in, &f, &err)) > 0) {
		r = handle(p, &f, &err);
		frame_close_fds(&f);
		if (r < 0)
			break;
	}
	if (r < 0)
		farewell(p, &err);
	return !p->dead && !p->closing;
}

/* Bytes, 0 nothing more now, -1 the end. */
static ssize_t receive(struct peer *p)
{
	void *to = frame_reader_space(&p->in, 65536);
	int fds[FD_PASS_MAX];
	size_t n_fds = 0;
	ssize_t n;

	if (!to)
		return -1;
	n = fd_recv(p->fd, to, 65536, fds, FD_PASS_MAX, &n_fds, MSG_DONTWAIT);
	if (n == -EAGAIN)
		return 0;
	if (n_fds > 0 && frame_reader_add_fds(&p->in, fds, n_fds) < 0)
		return -1;
	if (n <= 0)
		return -1;
	frame_reader_filled(&p->in, (size_t)n);
	return n;
}

static void on_ready(struct watch *w, short what)
{
	struct peer *p = container_of(w, struct peer, watch);
	size_t sum = 0;

	if (what & WATCH_WRITE && !flush(p))
		return;
	if (!(what & WATCH_READ) || p->closing)
		return;
	while (sum < READ_MAX && unsent(p) < PEER_HIGH) {
		ssize_t n = receive(p);

		if (n < 0) {
			die(p);
			return;
		}
		if (n == 0 || !take_frames(p))
			break;
		sum += (size_t)n;
	}
	update_watch(p);
}

/* --- life --- */

static bool is_welcome(struct peer *p, struct err *err)
{
	struct world *w = &p->e->world;
	struct ucred peer;
	socklen_t len = sizeof(peer);

	if (getsockopt(p->fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0) {
		(void)err_set(err, ERR_UNAUTHENTICATED, NULL, errno, "SO_PEERCRED");
		return false;
	}
	if (peer.uid != w->uid && peer.uid != 0) {
		(void)err_set(err, ERR_UNAUTHENTICATED, NULL, 0,
			      "this engine serves uid %u, and you are uid %u",
			      (unsigned int)w->uid, (unsigned int)peer.uid);
		return false;
	}
	if (p->e->n_peers > ENGINE_PEERS_MAX) {
		(void)err_set(err, ERR_QUOTA, NULL, 0, "%u connections are open already",
			      ENGINE_PEERS_MAX);
		return false;
	}
	/* Root at somebody's own engine acts as him: it can give no other rights. */
	return principal_new(&p->session.who, w->uid, getegid(), err) == 0;
}

void peer_accept(struct engine *e, int fd)
{
	static uint64_t numbers;
	struct peer *p = calloc(1, sizeof(*p));
	struct err err;

	if (!p || fd_set_nonblock(fd, true) < 0) {
		free(p);
		(void)close(fd);
		return;
	}
	p->e = e;
	p->fd = fd;
	p->session.number = ++numbers;
	p->session.ceiling.workspace.fd = -1;
	list_init(&p->calls);
	list_init(&p->dead_calls);
	list_append(&e->peers, &p->all);
	e->n_peers++;
	timer_init(&p->timer, &e->loop, on_late);
	timer_set(&p->timer, PEER_HELLO_NS);
	if (watch_init(&p->watch, &e->loop, fd, WATCH_READ, on_ready) < 0)
		die(p);
	else if (!is_welcome(p, &err))
		farewell(p, &err);
	chores_wake(e);
}

bool peers_flush(struct engine *e)
{
	bool called = false;

	LIST_EACH_SAFE (&e->peers, it) {
		struct peer *p = container_of(it, struct peer, all);

		if (flush(p) && calls_room(p))
			called = true;
	}
	return called;
}

static void end_session(struct peer *p)
{
	struct world *w = &p->e->world;
	struct session *s = &p->session;

	/* Commands whose life was this connection. */
	LIST_EACH (&w->processes.all, it) {
		struct process *q = container_of(it, struct process, all);

		if (q->connection == s->number && q->ended_mono_ns == 0)
			(void)keeper_kill(q, SIGTERM, q->grace_ns,
					  BOX_REASON_DISCONNECTED, NULL);
	}
	if (s->sandbox) {
		s->sandbox->orphan = true;
		sandbox_step(w, s->sandbox);
	}
	principal_unref(s->who);
	ceiling_fini(&s->ceiling);
	free(s->path);
	free(s->client);
}

void peers_reap(struct engine *e)
{
	LIST_EACH (&e->peers, it)
		calls_reap(container_of(it, struct peer, all));
	LIST_EACH_SAFE (&e->dead_peers, it) {
		struct peer *p = container_of(it, struct peer, all);

		list_remove(it);
		calls_stop(p, CALL_LOST);
		calls_reap(p);
		end_session(p);
		frame_reader_fini(&p->in);
		buf_fini(&p->out);
		(void)close(p->fd);
		free(p);
		chores_wake(e);
	}
}

void peers_shutdown(struct engine *e)
{
	LIST_EACH_SAFE (&e->peers, it) {
		struct peer *p = container_of(it, struct peer, all);
		struct pollfd pfd = { .fd = p->fd, .events = POLLOUT };

		calls_stop(p, CALL_SHUTDOWN);
		/* The loop has ended: who does not take it now does not get it. */
		if (flush(p) && unsent(p) > 0 && poll(&pfd, 1, FAREWELL_MS) > 0)
			(void)flush(p);
		die(p);
	}
}
