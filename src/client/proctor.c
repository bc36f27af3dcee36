/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A handle is a socket, a reader, a queue of messages to send and a list of calls
 * that wait for their reply. Callbacks may start calls but not close the handle:
 * `busy` guards what would pull the frame from under them.
 */

#include <proctor/proctor.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../base/buf.h"
#include "../base/cleanup.h"
#include "../base/clock.h"
#include "../base/err.h"
#include "../base/fd.h"
#include "../base/list.h"
#include "../wire/field.h"
#include "../wire/frame.h"
#include "../wire/json.h"
#include "connect.h"
#include "reply.h"

#ifndef PROCTOR_VERSION
#define PROCTOR_VERSION "0"
#endif

#define READ_SIZE (128 << 10)
#define TURN_MAX (1 << 20) /* bytes of one proctor_process() */
#define TRIES 3		   /* engines that end just when we come */

struct message {
	struct list node;
	struct buf bytes;
	size_t sent;
	int fds[FRAME_FDS];
	size_t n_fds;
};

struct call {
	struct list node;
	uint32_t number;
	proctor_event_fn *on_event;
	proctor_reply_fn *on_reply;
	void *data;
};

struct proctor {
	int fd;
	char *hello;
	struct frame_reader reader;
	struct list messages;
	struct list calls;
	uint32_t last;
	bool busy;
	bool lost;
	struct proctor_error why; /* of lost */
};

DEFINE_CLEANUP(struct proctor *, proctor_close);

const char *proctor_version(void)
{
	return PROCTOR_VERSION;
}

const char *proctor_code_name(int code)
{
	return err_info(code)->name;
}

int proctor_code_exit_status(int code)
{
	return err_info(code)->exit_status;
}

static int fail(struct proctor_error *error, int code, const char *field, int sys_errno,
		const char *message)
{
	struct err e;

	(void)err_set(&e, code, field, sys_errno, "%s", message);
	return reply_set_error(error, &e);
}

/* --- sending --- */

static void message_free(struct message *m)
{
	list_remove(&m->node);
	for (size_t i = 0; i < m->n_fds; i++)
		(void)close(m->fds[i]);
	buf_fini(&m->bytes);
	free(m);
}
DEFINE_CLEANUP(struct message *, message_free);

static struct message *message_new(void)
{
	struct message *m = calloc(1, sizeof(*m));

	if (m)
		list_init(&m->node);
	return m;
}

static int add_fds(struct message *m, const int *fds, size_t n, struct err *err)
{
	for (size_t i = 0; i < n; i++) {
		int copy = fcntl(fds[i], F_DUPFD_CLOEXEC, 0);

		if (copy < 0)
			return err_set(err, ERR_INVALID_INPUT, "fds", errno,
				       "descriptor %d", fds[i]);
		m->fds[m->n_fds++] = copy;
	}
	if (n > 0)
		frame_set_fds(&m->bytes, 0, n);
	return 0;
}

/* 1 = all is sent, 0 = would block. */
static int send_message(struct proctor *p, struct message *m)
{
	while (m->sent < m->bytes.len) {
		ssize_t n =
			fd_send(p->fd, m->bytes.data + m->sent, m->bytes.len - m->sent,
				m->fds, m->sent == 0 ? m->n_fds : 0, MSG_DONTWAIT);

		if (n == -EAGAIN)
			return 0;
		if (n < 0)
			return (int)n;
		m->sent += (size_t)n;
	}
	return 1;
}

static int send_all(struct proctor *p)
{
	while (!list_empty(&p->messages)) {
		struct message *m = container_of(p->messages.next, struct message, node);
		int r = send_message(p, m);

		if (r <= 0)
			return r;
		message_free(m);
	}
	return 0;
}

/* --- the end of a connection --- */

static void end_call(struct call *c, struct proctor_reply *reply)
{
	list_remove(&c->node);
	if (c->on_reply)
		c->on_reply(c->data, reply);
	else
		proctor_reply_free(reply);
	free(c);
}

/* Every call ends without a reply. Calls that a callback starts meanwhile are refused. */
static int lose(struct proctor *p, const struct err *err)
{
	struct list ended;

	if (p->lost)
		return -p->why.code;
	p->lost = true;
	(void)reply_set_error(&p->why, err);
	list_init(&ended);
	while (!list_empty(&p->calls)) {
		struct list *node = p->calls.next;

		list_remove(node);
		list_append(&ended, node);
	}
	while (!list_empty(&ended))
		end_call(container_of(ended.next, struct call, node), NULL);
	return -p->why.code;
}

static int lose_errno(struct proctor *p, const char *what, int sys_errno)
{
	struct err e;

	if (sys_errno == ECONNRESET || sys_errno == EPIPE)
		(void)err_set(&e, ERR_UNAVAILABLE, "connection", sys_errno,
			      "the engine has closed the connection");
	else
		(void)err_set(&e, ERR_UNAVAILABLE, "connection", sys_errno, "%s", what);
	return lose(p, &e);
}

/* --- receiving --- */

static struct call *find_call(struct proctor *p, uint32_t number)
{
	LIST_EACH (&p->calls, it) {
		struct call *c = container_of(it, struct call, node);

		if (c->number == number)
			return c;
	}
	return NULL;
}

static int take_event(struct proctor *p, const struct frame *f, struct err *err)
{
	struct proctor_event ev = { .size = sizeof(ev) };
	struct call *c = find_call(p, f->call);
	CLEANUP(json_decref) json_t *j = NULL;
	CLEANUP(free) char *text = NULL;
	const char *stream;
	int r;

	if (!c || !c->on_event)
		return 0;
	r = field_parse(f->json, f->json_len, &j, err);
	if (r < 0)
		return err_set(err, ERR_INTERNAL, "connection", 0,
			       "the engine sent a malformed event");
	text = strndup(f->json, f->json_len);
	if (!text)
		return err_set(err, ERR_INTERNAL, "connection", ENOMEM, "event");
	ev.kind = json_string_value(json_object_get(j, "event"));
	if (!ev.kind)
		ev.kind = "";
	ev.json = text;
	ev.json_len = f->json_len;
	stream = json_string_value(json_object_get(j, "stream"));
	ev.stream =
		stream && strcmp(stream, "stderr") == 0 ? PROCTOR_STDERR : PROCTOR_STDOUT;
	ev.offset = (uint64_t)json_integer_value(json_object_get(j, "offset"));
	ev.lost = (uint64_t)json_integer_value(json_object_get(j, "lost_bytes"));
	ev.data = f->raw;
	ev.len = f->raw_len;
	c->on_event(c->data, &ev);
	return 0;
}

static int take_reply(struct proctor *p, const struct frame *f, struct err *err)
{
	struct proctor_reply *reply = NULL;
	struct call *c = find_call(p, f->call);
	int r;

	if (!c)
		return err_set(err, ERR_INTERNAL, "connection", 0,
			       "the engine answered a call that was not made");
	r = reply_new(f, &reply, err);
	if (r < 0)
		return r;
	end_call(c, reply);
	return 0;
}

/* After the first one, a hello can only say why the connection ends. */
static int take_farewell(const struct frame *f, struct err *err)
{
	CLEANUP(json_decref) json_t *j = NULL;
	struct proctor_error e;
	const json_t *error;

	if (field_parse(f->json, f->json_len, &j, err) < 0)
		return err_set(err, ERR_INTERNAL, "connection", 0,
			       "the engine sent a malformed hello");
	error = json_object_get(j, "error");
	if (!error)
		return err_set(err, ERR_INTERNAL, "connection", 0,
			       "the engine sent two hellos");
	(void)reply_read_error(&e, error);
	return err_set(err, e.code, e.field, 0, "%s", e.message);
}

static int take_frame(struct proctor *p, struct frame *f, struct err *err)
{
	if (f->n_fds > 0) {
		frame_close_fds(f);
		return err_set(err, ERR_INTERNAL, "connection", 0,
			       "the engine sent a descriptor");
	}
	switch (f->type) {
	case FRAME_EVENT:
		return take_event(p, f, err);
	case FRAME_REPLY:
		return take_reply(p, f, err);
	case FRAME_HELLO:
		return take_farewell(f, err);
	default:
		return err_set(err, ERR_INTERNAL, "connection", 0,
			       "the engine sent a frame of type %u",
			       (unsigned int)f->type);
	}
}

static int take_frames(struct proctor *p)
{
	struct frame f;
	struct err e = { 0 };
	int r;

	for (;;) {
		r = frame_reader_next(&p->reader, &f, &e);
		if (r == 0)
			return 0;
		if (r > 0)
			r = take_frame(p, &f, &e);
		if (r < 0)
			return lose(p, &e);
	}
}

/* The number of bytes, 0 = nothing is there, negative = the connection is lost. */
static ssize_t receive(struct proctor *p, int flags)
{
	void *space = frame_reader_space(&p->reader, READ_SIZE);
	int fds[FRAME_FDS];
	size_t n_fds = 0;
	ssize_t n;

	if (!space)
		return lose_errno(p, "memory for a reply", ENOMEM);
	n = fd_recv(p->fd, space, READ_SIZE, fds, FRAME_FDS, &n_fds, flags);
	if (n == -EAGAIN)
		return 0;
	if (n < 0)
		return lose_errno(p, "recvmsg", (int)-n);
	if (n == 0)
		return lose_errno(p, "", EPIPE);
	frame_reader_filled(&p->reader, (size_t)n);
	if (frame_reader_add_fds(&p->reader, fds, n_fds) < 0)
		return lose_errno(p, "too many descriptors", EMSGSIZE);
	return n;
}

/* wait: block for the first bytes, if nothing is left to be sent. */
static int process(struct proctor *p, bool wait)
{
	size_t done = 0;
	int r;

	if (p->lost)
		return -p->why.code;
	r = send_all(p);
	if (r < 0 && r != -EPIPE && r != -ECONNRESET)
		return lose_errno(p, "sendmsg", -r);
	/* A peer that is gone may have said why: that is still to be read. */
	p->busy = true;
	do {
		bool block = wait && done == 0 && list_empty(&p->messages);
		ssize_t n = receive(p, block ? 0 : MSG_DONTWAIT);

		r = n < 0 ? (int)n : 0;
		if (n <= 0)
			break;
		done += (size_t)n;
		r = take_frames(p);
		if (n < READ_SIZE)
			break;
	} while (r == 0 && done < TURN_MAX);
	p->busy = false;
	return r;
}

int proctor_process(struct proctor *p, struct proctor_error *error)
{
	int r;

	if (p->busy)
		return fail(error, ERR_CONFLICT, NULL, 0,
			    "proctor_process() in a callback");
	r = process(p, false);
	if (r < 0 && error)
		*error = p->why;
	return r;
}

int proctor_fd(const struct proctor *p)
{
	return p->fd;
}

short proctor_events(const struct proctor *p)
{
	return (short)(list_empty(&p->messages) ? POLLIN : POLLIN | POLLOUT);
}

/* --- calls --- */

static char *call_json(const struct proctor_request *q, size_t *ret_len, struct err *err)
{
	CLEANUP(json_decref) json_t *op = json_string(q->op);
	CLEANUP(free) char *name = op ? json_dumps(op, JSON_ENCODE_ANY) : NULL;
	CLEANUP(buf_fini) struct buf b = { 0 };

	if (!name) {
		(void)err_set(err, ERR_INVALID_INPUT, "op", 0, "no operation was named");
		return NULL;
	}
	/* What the params are is for the engine to judge; a text that is no JSON shows
	 * there. */
	buf_addf(&b, "{\"op\":%s,\"params\":%s}", name, q->params ? q->params : "{}");
	*ret_len = b.len;
	if (!buf_ok(&b))
		(void)err_set(err, ERR_INTERNAL, NULL, ENOMEM, "call");
	return buf_take(&b);
}

static int queue_call(struct proctor *p, const struct proctor_request *q, uint32_t number,
		      struct err *err)
{
	CLEANUP(message_free) struct message *m = message_new();
	CLEANUP(free) char *json = NULL;
	size_t len = 0;
	int r;

	if (!m)
		return err_set(err, ERR_INTERNAL, NULL, ENOMEM, "call");
	if (q->n_fds > FRAME_FDS)
		return err_set(err, ERR_INVALID_INPUT, "fds", 0, "at most %d descriptors",
			       FRAME_FDS);
	json = call_json(q, &len, err);
	if (!json)
		return -err->code;
	r = frame_put(&m->bytes, FRAME_CALL, number, json, len, q->raw, q->raw_len, err);
	if (r == 0)
		r = add_fds(m, q->fds, q->n_fds, err);
	if (r < 0)
		return r;
	list_append(&p->messages, &m->node);
	m = NULL;
	return 0;
}

static uint32_t next_number(struct proctor *p)
{
	do
		p->last++;
	while (p->last == 0 || find_call(p, p->last));
	return p->last;
}

int proctor_call_start(struct proctor *p, const struct proctor_request *q,
		       uint32_t *ret_call, struct proctor_error *error)
{
	CLEANUP(free) struct call *c = NULL;
	struct err e = { 0 };
	int r;

	if (q->size != sizeof(*q))
		return fail(error, ERR_INVALID_INPUT, "size", 0,
			    "proctor_request.size is not set");
	if (p->lost) {
		if (error)
			*error = p->why;
		return -p->why.code;
	}
	c = calloc(1, sizeof(*c));
	if (!c)
		return fail(error, ERR_INTERNAL, NULL, ENOMEM, "call");
	*c = (struct call){
		.number = next_number(p),
		.on_event = q->on_event,
		.on_reply = q->on_reply,
		.data = q->data,
	};
	r = queue_call(p, q, c->number, &e);
	if (r < 0)
		return reply_set_error(error, &e);
	list_append(&p->calls, &c->node);
	if (ret_call)
		*ret_call = c->number;
	c = NULL;
	return 0;
}

int proctor_cancel(struct proctor *p, uint32_t call, struct proctor_error *error)
{
	CLEANUP(message_free) struct message *m = NULL;
	struct err e = { 0 };

	if (!find_call(p, call))
		return fail(error, ERR_NOT_FOUND, "call", 0, "no such call waits");
	m = message_new();
	if (!m)
		return fail(error, ERR_INTERNAL, NULL, ENOMEM, "cancel");
	if (frame_put(&m->bytes, FRAME_CANCEL, call, "{}", 2, NULL, 0, &e) < 0)
		return reply_set_error(error, &e);
	list_append(&p->messages, &m->node);
	m = NULL;
	return 0;
}

struct waiting {
	struct proctor_reply *reply;
	bool done;
	const struct proctor_request *request;
};

static void on_waited_event(void *data, const struct proctor_event *ev)
{
	const struct waiting *w = data;

	if (w->request->on_event)
		w->request->on_event(w->request->data, ev);
}

static void on_waited_reply(void *data, struct proctor_reply *reply)
{
	struct waiting *w = data;

	w->reply = reply;
	w->done = true;
}

static void wait_writable(const struct proctor *p)
{
	struct pollfd pfd = { .fd = p->fd, .events = proctor_events(p) };

	(void)poll(&pfd, 1, -1);
}

int proctor_call(struct proctor *p, const struct proctor_request *request,
		 struct proctor_reply **ret, struct proctor_error *error)
{
	struct waiting w = { .request = request };
	struct proctor_request q = *request;
	int r;

	if (p->busy)
		return fail(error, ERR_CONFLICT, NULL, 0, "proctor_call() in a callback");
	q.on_event = on_waited_event;
	q.on_reply = on_waited_reply;
	q.data = &w;
	r = proctor_call_start(p, &q, NULL, error);
	if (r < 0)
		return r;
	while (!w.done) {
		r = process(p, true);
		if (r == 0 && !w.done && !list_empty(&p->messages))
			wait_writable(p);
	}
	if (!w.reply) {
		if (error)
			*error = p->why;
		return -p->why.code;
	}
	*ret = w.reply;
	return 0;
}

/* --- hello --- */

static bool set_strings(json_t *object, const char *key, const char *const *v)
{
	json_t *array;

	if (!v)
		return true;
	array = json_array();
	for (; array && *v; v++)
		if (json_array_append_new(array, json_string(*v)) < 0)
			break;
	return json_object_set_new(object, key, array) == 0 && !*v;
}

static bool set_string(json_t *object, const char *key, const char *v)
{
	return !v || json_object_set_new(object, key, json_string(v)) == 0;
}

static bool set_limits(json_t *object, const char *text)
{
	return !text ||
	       json_object_set_new(object, "limits", json_loads(text, 0, NULL)) == 0;
}

static int hello_text(const struct proctor_options *o, char **ret, struct err *err)
{
	CLEANUP(json_decref) json_t *j = json_object();

	if (!j || json_object_set_new(j, "version", json_integer(WIRE_VERSION)) < 0 ||
	    !set_string(j, "client",
			o->client ? o->client : "libproctor/" PROCTOR_VERSION) ||
	    !set_string(j, "workspace", o->workspace) ||
	    (o->allow_wide && json_object_set_new(j, "allow_wide", json_true()) < 0) ||
	    !set_strings(j, "profiles", o->profiles) ||
	    !set_strings(j, "operations", o->operations) || !set_limits(j, o->limits) ||
	    (o->own_sandbox && !set_string(j, "sandbox", "own")) ||
	    !set_string(j, "path", o->path))
		return err_set(err, ERR_INVALID_INPUT, "options", 0,
			       "an option is no UTF-8 text, or limits are no JSON");
	*ret = json_dumps(j, JSON_COMPACT);
	return *ret ? 0 : err_set(err, ERR_INTERNAL, NULL, ENOMEM, "hello");
}

static int read_hello(struct proctor *p, const struct frame *f, struct err *err)
{
	CLEANUP(json_decref) json_t *j = NULL;

	if (f->type != FRAME_HELLO || f->n_fds > 0 ||
	    field_parse(f->json, f->json_len, &j, err) < 0)
		return err_set(err, ERR_INTERNAL, "hello", 0,
			       "what listens there is no engine of proctor");
	if (json_object_get(j, "error"))
		return take_farewell(f, err);
	p->hello = strndup(f->json, f->json_len);
	return p->hello ? 0 : err_set(err, ERR_INTERNAL, "hello", ENOMEM, "hello");
}

/* ERR_UNAVAILABLE with ECONNREFUSED if the engine ends without having said a word. */
static int await_hello(struct proctor *p, struct err *err)
{
	uint64_t end = clock_mono() + CONNECT_WAIT_MS * NS_PER_MS;
	struct frame f;
	int r;

	while ((r = frame_reader_next(&p->reader, &f, err)) == 0) {
		struct pollfd pfd = { .fd = p->fd, .events = POLLIN };
		uint64_t now = clock_mono();

		if (now >= end)
			return err_set(err, ERR_UNAVAILABLE, "hello", 0,
				       "the engine does not answer");
		if (poll(&pfd, 1, (int)((end - now) / NS_PER_MS + 1)) <= 0)
			continue;
		if (receive(p, MSG_DONTWAIT) < 0)
			return err_set(err, ERR_UNAVAILABLE, "hello", ECONNREFUSED,
				       "the engine ended the connection");
	}
	if (r < 0)
		return r;
	r = read_hello(p, &f, err);
	frame_close_fds(&f);
	return r;
}

static int greet(struct proctor *p, const char *hello, struct err *err)
{
	CLEANUP(message_free) struct message *m = message_new();
	int r;

	if (!m)
		return err_set(err, ERR_INTERNAL, NULL, ENOMEM, "hello");
	r = frame_put(&m->bytes, FRAME_HELLO, 0, hello, strlen(hello), NULL, 0, err);
	if (r < 0)
		return r;
	/* Smaller than any socket buffer: all or an error, which the answer explains. */
	(void)send_message(p, m);
	return await_hello(p, err);
}

static int open_once(const struct proctor_options *o, const char *hello,
		     struct proctor **ret, struct err *err)
{
	CLEANUP(proctor_close) struct proctor *p = calloc(1, sizeof(*p));
	int r;

	if (!p)
		return err_set(err, ERR_INTERNAL, NULL, ENOMEM, "connection");
	p->fd = -1;
	list_init(&p->messages);
	list_init(&p->calls);
	r = connect_engine(o->socket, o->autostart, &p->fd, err);
	if (r == 0)
		r = greet(p, hello, err);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(p);
	return 0;
}

int proctor_connect(const struct proctor_options *options, struct proctor **ret,
		    struct proctor_error *error)
{
	CLEANUP(free) char *hello = NULL;
	struct err e = { 0 };
	int r;

	if (options->size != sizeof(*options))
		return fail(error, ERR_INVALID_INPUT, "size", 0,
			    "proctor_options.size is not set");
	r = hello_text(options, &hello, &e);
	for (int i = 0; r == 0 && hello && i < TRIES; i++) {
		r = open_once(options, hello, ret, &e);
		if (r == 0)
			return 0;
		/* One that just ends, for want of work, is followed by a new one. */
		if (options->autostart && e.code == ERR_UNAVAILABLE &&
		    e.sys_errno == ECONNREFUSED && i + 1 < TRIES)
			r = 0;
	}
	return reply_set_error(error, &e);
}

const char *proctor_hello(const struct proctor *p)
{
	return p->hello;
}

void proctor_close(struct proctor *p)
{
	if (!p)
		return;
	LIST_EACH_SAFE (&p->messages, it)
		message_free(container_of(it, struct message, node));
	LIST_EACH_SAFE (&p->calls, it) {
		list_remove(it);
		free(container_of(it, struct call, node));
	}
	frame_reader_fini(&p->reader);
	if (p->fd >= 0)
		(void)close(p->fd);
	free(p->hello);
	free(p);
}
