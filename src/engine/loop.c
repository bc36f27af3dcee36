/* SPDX-License-Identifier: Apache-2.0 */

#include "loop.h"

#include <errno.h>
#include <string.h>

#include "../base/clock.h"
#include "../base/macro.h"

static struct timeval tv_of(uint64_t ns)
{
	/* Rounded up: a timer must not fire before its time. */
	uint64_t us = (ns + 999) / 1000;

	return (struct timeval){ .tv_sec = (time_t)(us / 1000000),
				 .tv_usec = (suseconds_t)(us % 1000000) };
}

static void enter(struct loop *l)
{
	if (l->began == 0)
		l->began = clock_mono();
}

int loop_init(struct loop *l, struct err *err)
{
	struct event_config *config = event_config_new();

	memset(l, 0, sizeof(*l));
	if (config) {
		(void)event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK);
		(void)event_config_set_flag(config, EVENT_BASE_FLAG_PRECISE_TIMER);
		l->base = event_base_new_with_config(config);
		event_config_free(config);
	}
	if (!l->base)
		return err_set(err, ERR_UNAVAILABLE, "loop", 0,
			       "cannot make an event loop");
	return 0;
}

void loop_fini(struct loop *l)
{
	if (l->base)
		event_base_free(l->base);
	l->base = NULL;
}

static void turn(struct loop *l, void (*end)(void *data), void *data)
{
	uint64_t took;

	/* A turn that must not wait has begun already. */
	l->began = l->again ? clock_mono() : 0;
	(void)event_base_loop(l->base, EVLOOP_ONCE | (l->again ? EVLOOP_NONBLOCK : 0));
	l->again = false;
	enter(l);
	end(data);
	took = clock_mono() - l->began;
	l->stall_max = MAX(l->stall_max, took);
	l->turns++;
}

void loop_run(struct loop *l, void (*end)(void *data), void *data)
{
	while (!l->stop)
		turn(l, end, data);
}

void loop_run_until(struct loop *l, bool (*done)(void *data), void (*end)(void *data),
		    void *data)
{
	while (!l->stop && !done(data))
		turn(l, end, data);
}

static void on_watch(evutil_socket_t fd, short what, void *arg)
{
	struct watch *w = arg;

	(void)fd;
	enter(w->loop);
	w->fn(w, what);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct timer *t = arg;

	(void)fd;
	(void)what;
	enter(t->loop);
	t->fn(t);
}

static int arm(struct watch *w, int fd, short what)
{
	if (event_assign(&w->ev, w->loop->base, fd, (short)(what | EV_PERSIST), on_watch,
			 w) < 0)
		return -EINVAL;
	w->what = what;
	if (what == 0)
		return 0;
	return event_add(&w->ev, NULL) < 0 ? -ENOMEM : 0;
}

int watch_init(struct watch *w, struct loop *l, int fd, short what,
	       void (*fn)(struct watch *w, short what))
{
	w->loop = l;
	w->fn = fn;
	return arm(w, fd, what);
}

void watch_set(struct watch *w, short what)
{
	if (!w->loop || w->what == what)
		return;
	(void)event_del(&w->ev);
	(void)arm(w, event_get_fd(&w->ev), what);
}

void watch_fini(struct watch *w)
{
	if (!w->loop)
		return;
	(void)event_del(&w->ev);
	w->loop = NULL;
}

void timer_init(struct timer *t, struct loop *l, void (*fn)(struct timer *t))
{
	t->loop = l;
	t->fn = fn;
	(void)event_assign(&t->ev, l->base, -1, 0, on_timer, t);
}

void timer_set(struct timer *t, uint64_t ns)
{
	struct timeval tv = tv_of(ns);

	(void)event_add(&t->ev, &tv);
}

void timer_stop(struct timer *t)
{
	if (t->loop)
		(void)event_del(&t->ev);
}
