/* SPDX-License-Identifier: Apache-2.0 */

#include "relay.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "../base/cleanup.h"
#include "../base/clock.h"
#include "../base/id.h"
#include "../base/signame.h"
#include "../wire/json.h"
#include "sink.h"
#include "term.h"

#define INPUT_MAX ((size_t)64 << 10)
#define READ_MAX ((size_t)16 << 10)
/* Until a full input is tried again: nobody tells when it has room. */
#define AGAIN_MS 20
#define RESUMES_MAX 5 /* lost connections in a row without a sign of life between */
#define TWICE_NS (2 * NS_PER_SEC)
#define SIGNALS_MAX 8

struct input {
	bool on; /* bytes are taken from standard input */
	bool terminal;
	bool flight;   /* a process.write waits for its answer */
	size_t sent;   /* its bytes, at the front of rest */
	bool sent_end; /* it also closes */
	bool end;      /* no byte will come */
	bool done;     /* nothing is to be written any more */
	bool full;     /* nothing was taken: try again later */
	bool again; /* the next write repeats the last one, to hear what became of it */
	struct buf rest;
	uint64_t number; /* of the next write, for its write_id */
	char name[ID_TEXT];
	struct term_keys keys;
};

struct relay {
	struct cli *cli;
	const struct relay_args *args;
	struct relay_result *ret;
	struct sink out[2];
	uint64_t at[2];
	struct input in;
	int signals;
	sigset_t caught;
	int waiting[SIGNALS_MAX]; /* signals that came before the id was known */
	size_t n_waiting;
	uint64_t last_int;
	unsigned int resumes;
	bool done;
};

static void finish(struct relay *r, enum relay_end end)
{
	if (r->done)
		return;
	r->done = true;
	r->ret->end = end;
}

/* --- calls beside the main one --- */

static void call(struct relay *r, const char *op, json_t *params, const void *raw,
		 size_t len, proctor_reply_fn *on_reply)
{
	CLEANUP(json_decref) json_t *mine = params;
	CLEANUP(free) char *text = cli_need_memory(json_dumps(mine, JSON_COMPACT));
	struct proctor_request q = {
		.size = sizeof(q),
		.op = op,
		.params = text,
		.raw = raw,
		.raw_len = len,
		.on_reply = on_reply,
		.data = r,
	};

	/* A lost connection shows in proctor_process(), which deals with it. */
	(void)proctor_call_start(r->cli->p, &q, NULL, NULL);
}

static json_t *with_id(const struct relay *r)
{
	json_t *params = cli_object();

	cli_set_text(params, "id", r->ret->id);
	return params;
}

static void send_signal(struct relay *r, int sig)
{
	json_t *params = with_id(r);
	char name[SIGNAME_MAX];

	cli_set_text(params, "signal", signame(sig, name));
	call(r, "process.signal", params, NULL, 0, NULL);
}

static void send_size(struct relay *r)
{
	struct term_size size;
	json_t *params;

	if (!r->args->tty || !*r->ret->id || !term_size(&size))
		return;
	params = with_id(r);
	cli_set(params, "cols", json_integer((json_int_t)size.cols));
	cli_set(params, "rows", json_integer((json_int_t)size.rows));
	call(r, "process.resize", params, NULL, 0, NULL);
}

/* --- input --- */

static void on_written(void *data, struct proctor_reply *reply)
{
	CLEANUP(json_decref) json_t *j = NULL;
	struct relay *r = data;
	struct input *in = &r->in;
	long long n;

	if (!reply) /* lost: what was in flight is written again, under the same name */
		return;
	in->flight = false;
	if (proctor_reply_code(reply) != PROCTOR_OK) {
		/* The command has ended or closed its input: nobody wants the rest. */
		in->done = true;
		proctor_reply_free(reply);
		return;
	}
	j = json_loads(proctor_reply_meta(reply), 0, NULL);
	proctor_reply_free(reply);
	in->again = json_is_true(json_object_get(j, "timed_out"));
	if (in->again)
		return;
	n = cli_get_int(j, "bytes");
	if (n < 0 || (size_t)n > in->sent)
		n = (long long)in->sent;
	in->full = n == 0 && in->sent > 0;
	buf_eat(&in->rest, (size_t)n);
	in->number++;
	if (in->sent_end && in->rest.len == 0)
		in->done = true;
}

static void write_input(struct relay *r)
{
	struct input *in = &r->in;
	char name[ID_TEXT + 24];
	json_t *params;

	if (!in->on || in->done || in->flight || !*r->ret->id)
		return;
	if (in->rest.len == 0 && !in->end)
		return;
	if (!in->again) {
		in->sent = in->rest.len;
		in->sent_end = in->end;
	}
	in->again = false;
	in->flight = true;
	in->full = false;
	(void)snprintf(name, sizeof(name), "%s-%llu", in->name,
		       (unsigned long long)in->number);
	params = with_id(r);
	cli_set_text(params, "write_id", name);
	if (in->sent_end)
		cli_set(params, "close", json_true());
	call(r, "process.write", params, in->rest.data, in->sent, on_written);
}

static void read_input(struct relay *r)
{
	unsigned char bytes[READ_MAX], kept[READ_MAX + TERM_KEYS_MAX];
	ssize_t n = read(STDIN_FILENO, bytes, sizeof(bytes));
	struct input *in = &r->in;
	size_t len = 0;

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	if (n <= 0) {
		in->end = true;
		return;
	}
	if (term_keys_feed(&in->keys, bytes, (size_t)n, kept, &len)) {
		finish(r, RELAY_LEFT);
		return;
	}
	buf_add(&in->rest, kept, len);
	if (!buf_ok(&in->rest))
		(void)cli_need_memory(NULL);
}

static bool wants_input(const struct relay *r)
{
	const struct input *in = &r->in;

	return in->on && !in->done && !in->end && in->rest.len < INPUT_MAX;
}

static int init_input(struct relay *r)
{
	struct input *in = &r->in;
	struct err err;
	struct id id;

	in->on = r->args->input;
	if (!in->on)
		return 0;
	in->terminal = isatty(STDIN_FILENO) == 1;
	if (id_new(&id) < 0)
		return -EIO;
	(void)id_format(&id, 'w', in->name);
	if (!in->terminal || !r->args->tty)
		return 0;
	if (term_keys_parse(r->args->keys ? r->args->keys : TERM_KEYS_DEFAULT, &in->keys,
			    &err) < 0)
		return -EINVAL;
	return term_raw(STDIN_FILENO);
}

/* --- what the engine says --- */

static void take_id(struct relay *r, const char *id)
{
	if (*r->ret->id || !*id)
		return;
	(void)snprintf(r->ret->id, sizeof(r->ret->id), "%s", id);
	for (size_t i = 0; i < r->n_waiting; i++)
		send_signal(r, r->waiting[i]);
	r->n_waiting = 0;
	write_input(r);
}

static void take_output(struct relay *r, const struct proctor_event *ev)
{
	size_t s = ev->stream == PROCTOR_STDERR ? 1 : 0, skip = 0;

	/* After a new connection the engine may begin before where we were. */
	if (ev->offset < r->at[s])
		skip = (size_t)MIN(r->at[s] - ev->offset, (uint64_t)ev->len);
	else
		r->ret->lost += ev->offset - r->at[s];
	if (skip == ev->len)
		return;
	r->at[s] = ev->offset + ev->len;
	if (!r->args->hide[s])
		sink_put(&r->out[s], ev->data + skip, ev->len - skip);
}

static void on_event(void *data, const struct proctor_event *ev)
{
	struct relay *r = data;

	r->resumes = 0;
	if (!*r->ret->id) {
		CLEANUP(json_decref) json_t *j = json_loads(ev->json, 0, NULL);

		take_id(r, cli_get(j, "id"));
	}
	if (strcmp(ev->kind, "output") == 0)
		take_output(r, ev);
}

static void on_reply(void *data, struct proctor_reply *reply)
{
	struct relay *r = data;

	if (!reply)
		return;
	if (proctor_reply_code(reply) != PROCTOR_OK) {
		r->ret->error = *proctor_reply_error(reply);
		finish(r, RELAY_FAILED);
	} else {
		const char *text = r->args->whole ? proctor_reply_json(reply) :
						    proctor_reply_meta(reply);

		r->ret->record = json_loads(cli_need_memory((void *)(uintptr_t)text),
					    JSON_ALLOW_NUL, NULL);
		take_id(r, cli_get(r->ret->record, "id"));
		finish(r, RELAY_ENDED);
	}
	proctor_reply_free(reply);
}

static int begin(struct relay *r, const char *op, const json_t *params, int fd,
		 struct proctor_error *e)
{
	CLEANUP(free) char *text = cli_need_memory(json_dumps(params, JSON_COMPACT));
	struct proctor_request q = {
		.size = sizeof(q),
		.op = op,
		.params = text,
		.fds = &fd,
		.n_fds = fd >= 0 ? 1 : 0,
		.on_event = on_event,
		.on_reply = on_reply,
		.data = r,
	};

	return proctor_call_start(r->cli->p, &q, NULL, e);
}

/* --- a lost connection --- */

static json_t *attach_params(const struct relay *r)
{
	json_t *params = with_id(r);

	cli_set(params, "stdout_offset", json_integer((json_int_t)r->at[0]));
	cli_set(params, "stderr_offset", json_integer((json_int_t)r->at[1]));
	if (r->args->consumer)
		cli_set_text(params, "consumer", r->args->consumer);
	return params;
}

/* e says why the connection was lost. */
static void resume(struct relay *r, const struct proctor_error *e)
{
	CLEANUP(json_decref) json_t *params = NULL;

	if (r->done)
		return;
	r->ret->error = *e;
	if (!*r->ret->id || ++r->resumes > RESUMES_MAX) {
		finish(r, RELAY_FAILED);
		return;
	}
	proctor_close(r->cli->p);
	r->cli->p = NULL;
	if (cli_reconnect(r->cli, &r->ret->error) < 0) {
		finish(r, RELAY_FAILED);
		return;
	}
	params = attach_params(r);
	if (begin(r, "process.attach", params, -1, &r->ret->error) < 0) {
		finish(r, RELAY_FAILED);
		return;
	}
	if (r->in.flight) {
		r->in.flight = false;
		r->in.again = true;
		write_input(r);
	}
}

/* --- signals --- */

static void end_command(struct relay *r)
{
	json_t *grace = json_object_get(r->args->params, "grace_ms");
	json_t *params = with_id(r);

	if (grace)
		cli_set(params, "grace_ms", json_incref(grace));
	call(r, "process.kill", params, NULL, 0, NULL);
}

static void forward(struct relay *r, int sig)
{
	uint64_t now = clock_mono();
	bool twice = sig == SIGINT && r->last_int > 0 && now - r->last_int < TWICE_NS;

	if (sig == SIGINT)
		r->last_int = now;
	if (*r->ret->id && twice) {
		end_command(r);
		return;
	}
	if (*r->ret->id) {
		send_signal(r, sig);
		return;
	}
	if (twice || r->n_waiting == SIGNALS_MAX) {
		r->ret->signal = sig;
		finish(r, RELAY_SIGNALED);
		return;
	}
	r->waiting[r->n_waiting++] = sig;
}

static void take_signal(struct relay *r)
{
	struct signalfd_siginfo si;
	int sig;

	if (read(r->signals, &si, sizeof(si)) != sizeof(si))
		return;
	sig = (int)si.ssi_signo;
	if (sig == SIGWINCH) {
		send_size(r);
	} else if (sig == SIGCONT) {
		term_raw_again();
		send_size(r);
	} else if (r->args->forward && !r->done) {
		forward(r, sig);
	} else {
		r->ret->signal = sig;
		r->done = true;
		r->ret->end = RELAY_SIGNALED;
		for (size_t i = 0; i < 2; i++)
			buf_eat(&r->out[i].rest, r->out[i].rest.len);
	}
}

/* Signals that were ignored when we were started (nohup(1)) stay so. */
static int catch_signals(struct relay *r)
{
	static const int all[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGWINCH, SIGCONT };

	sigemptyset(&r->caught);
	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		struct sigaction old;

		if (sigaction(all[i], NULL, &old) == 0 && old.sa_handler != SIG_IGN)
			(void)sigaddset(&r->caught, all[i]);
	}
	if (sigprocmask(SIG_BLOCK, &r->caught, NULL) < 0)
		return -errno;
	r->signals = signalfd(-1, &r->caught, SFD_CLOEXEC | SFD_NONBLOCK);
	return r->signals < 0 ? -errno : 0;
}

/* --- the loop --- */

enum { AT_ENGINE, AT_SIGNALS, AT_INPUT, AT_STDOUT, AT_STDERR, AT_MAX_ };

static bool outputs_full(const struct relay *r)
{
	return sink_full(&r->out[0]) || sink_full(&r->out[1]);
}

static void check_outputs(struct relay *r)
{
	/* Without stderr a command goes on; without stdout its reader has gone. */
	if (r->done || !r->out[0].error)
		return;
	if (r->out[0].error == EPIPE) {
		finish(r, RELAY_BROKEN);
		return;
	}
	r->ret->error = (struct proctor_error){ .code = PROCTOR_INTERNAL,
						.sys_errno = r->out[0].error };
	(void)snprintf(r->ret->error.message, sizeof(r->ret->error.message),
		       "standard output: %s", strerrordesc_np(r->out[0].error));
	finish(r, RELAY_FAILED);
}

static void turn(struct relay *r)
{
	bool full = outputs_full(r), out_full = sink_full(&r->out[0]);
	bool watched = out_full || r->args->watch_reader;
	struct pollfd p[AT_MAX_] = {
		[AT_ENGINE] = { .fd = r->done || full ? -1 : proctor_fd(r->cli->p),
				.events = r->done ? 0 : proctor_events(r->cli->p) },
		[AT_SIGNALS] = { .fd = r->signals, .events = POLLIN },
		[AT_INPUT] = { .fd = !r->done && wants_input(r) ? STDIN_FILENO : -1,
			       .events = POLLIN },
		[AT_STDOUT] = { .fd = watched ? r->out[0].fd : -1,
				.events = out_full ? POLLOUT : 0 },
		[AT_STDERR] = { .fd = sink_full(&r->out[1]) ? r->out[1].fd : -1,
				.events = POLLOUT },
	};
	struct proctor_error e;

	if (poll(p, AT_MAX_, r->in.full && !r->in.flight ? AGAIN_MS : -1) < 0)
		return;
	if (p[AT_SIGNALS].revents)
		take_signal(r);
	if (!out_full && p[AT_STDOUT].revents & POLLERR && !r->out[0].error)
		r->out[0].error = EPIPE;
	for (size_t i = 0; i < 2; i++)
		if (p[AT_STDOUT + i].revents)
			sink_flush(&r->out[i]);
	if (p[AT_INPUT].revents)
		read_input(r);
	if (p[AT_ENGINE].revents && !r->done && proctor_process(r->cli->p, &e) < 0)
		resume(r, &e);
	if (!r->done)
		write_input(r);
	check_outputs(r);
}

static void fail_errno(struct relay *r, const char *what, int sys_errno)
{
	r->ret->error = (struct proctor_error){ .code = PROCTOR_INTERNAL,
						.sys_errno = sys_errno };
	(void)snprintf(r->ret->error.message, sizeof(r->ret->error.message), "%s: %s",
		       what, strerrordesc_np(sys_errno));
	finish(r, RELAY_FAILED);
}

static void start(struct relay *r)
{
	int e = catch_signals(r);

	if (e < 0) {
		fail_errno(r, "signals", -e);
		return;
	}
	e = init_input(r);
	if (e < 0) {
		fail_errno(r, "the terminal", -e);
		return;
	}
	if (begin(r, r->args->op, r->args->params, r->args->pass_fd, &r->ret->error) <
	    0) {
		finish(r, RELAY_FAILED);
		return;
	}
	send_size(r);
}

void relay_run(struct cli *cli, const struct relay_args *args, struct relay_result *ret)
{
	struct relay r = { .cli = cli, .args = args, .ret = ret, .signals = -1 };

	memset(ret, 0, sizeof(*ret));
	for (size_t i = 0; i < 2; i++) {
		sink_init(&r.out[i], i == 0 ? STDOUT_FILENO : STDERR_FILENO);
		r.at[i] = args->at[i];
	}
	if (args->id)
		(void)snprintf(ret->id, sizeof(ret->id), "%s", args->id);
	start(&r);
	while (!r.done || (ret->end == RELAY_ENDED && outputs_full(&r)))
		turn(&r);
	/* Nobody may be left to read: nothing of this is run any more. */
	proctor_close(cli->p);
	cli->p = NULL;
	term_restore();
	for (size_t i = 0; i < 2; i++)
		sink_fini(&r.out[i]);
	buf_fini(&r.in.rest);
	if (r.signals >= 0)
		(void)close(r.signals);
	(void)sigprocmask(SIG_UNBLOCK, &r.caught, NULL);
}
