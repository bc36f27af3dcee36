/* SPDX-License-Identifier: Apache-2.0 */

#include "feed.h"

#include <errno.h>
#include <stdlib.h>

static void step(struct feed *f);

static void end(struct feed *f, int error)
{
	const struct feed_result r = {
		.taken = f->taken,
		.error = error,
		.closed = f->close && !error,
	};
	struct process *p = f->process;

	list_remove(&f->node);
	waiter_remove(&f->waiter);
	keeper_ask_drop(&f->ask);
	if (r.closed && !p->pty)
		p->stdin_open = false;
	if (f->done)
		f->done(f->data, &r);
	free(f->bytes);
	free(f);
	if (!p->released && !list_empty(&p->feeds))
		step(container_of(p->feeds.next, struct feed, node));
}

static void on_answer(struct keeper_ask *a, int error, const struct keeper_msg *m,
		      const struct keeper_stat *stat)
{
	struct feed *f = container_of(a, struct feed, ask);

	(void)stat;
	f->asked = false;
	/* It says how much it took: no more than it was given. */
	if (error == 0 && m && m->b <= f->len - f->taken)
		f->taken += (size_t)m->b;
	else if (error == 0)
		error = EPROTO;
	if (error == EPIPE)
		f->process->stdin_open = false;
	if (error != 0 || f->taken == f->len)
		end(f, error);
	else
		step(f);
}

static void on_news(struct waiter *w, struct process *p, unsigned int news)
{
	struct feed *f = container_of(w, struct feed, waiter);

	(void)p;
	if (news & (NEWS_EXITED | NEWS_EMPTY | NEWS_LOST | NEWS_RELEASED | NEWS_FAILED))
		end(f, EPIPE);
	else if (news & NEWS_STARTED && f->node.prev == &f->process->feeds)
		step(f);
}

/* Gives the next piece of the first feed, once the command runs. */
static void step(struct feed *f)
{
	size_t n = f->len - f->taken;
	struct keeper_msg m = { .type = KEEPER_WRITE };
	struct err err;

	if (f->asked || f->process->state == PROCESS_STARTING)
		return;
	m.len = (uint32_t)(n > KEEPER_DATA_MAX ? KEEPER_DATA_MAX : n);
	m.a = f->close && m.len == n;
	if (keeper_ask(f->process, &m, f->bytes + f->taken, &f->ask, &err) < 0) {
		end(f, EPIPE);
		return;
	}
	f->ask.fn = on_answer;
	f->asked = true;
}

static bool is_too_much(const struct process *p, size_t len)
{
	size_t n = 0, sum = len;

	LIST_EACH (&p->feeds, it) {
		sum += container_of(it, struct feed, node)->len;
		n++;
	}
	return n >= FEED_QUEUE_MAX || sum > FEED_BYTES_MAX;
}

int feed_start(struct process *p, unsigned char *bytes, size_t len, bool close,
	       void (*done)(void *data, const struct feed_result *r), void *data,
	       struct feed **ret, struct err *err)
{
	struct feed *f = NULL;
	int r;

	if (p->exited || p->ended_mono_ns != 0)
		r = err_set(err, ERR_CONFLICT, "id", 0, "the command has ended");
	else if (!p->stdin_open)
		r = err_set(
			err, ERR_CONFLICT, "id", 0,
			"the command takes no input: its stdin is closed, or it was not "
			"started with {\"open\": true}");
	else if (is_too_much(p, len))
		r = err_set(err, ERR_QUOTA, "data", 0,
			    "too much input waits already for the command to read it");
	else if (!(f = calloc(1, sizeof(*f))))
		r = err_set(err, ERR_UNAVAILABLE, "data", ENOMEM,
			    "cannot keep the input");
	else
		r = 0;
	if (r < 0) {
		free(bytes);
		return r;
	}
	f->process = p;
	f->bytes = bytes;
	f->len = len;
	f->close = close;
	f->done = done;
	f->data = data;
	list_append(&p->feeds, &f->node);
	process_wait(p, &f->waiter, on_news);
	*ret = f;
	if (p->feeds.next == &f->node)
		step(f);
	return 0;
}

void feed_forget(struct feed *f)
{
	f->done = NULL;
}
