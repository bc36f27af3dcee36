/* SPDX-License-Identifier: Apache-2.0 */

#include "examine.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../base/buf.h"
#include "../base/cleanup.h"
#include "../base/clock.h"
#include "../base/fd.h"
#include "../core/boot.h"
#include "../wire/json.h"
#include "engine.h"
#include "say.h"

#define ANSWER_MAX ((size_t)65536)
#define PATIENCE_NS (10 * NS_PER_SEC)

struct examiner {
	struct engine *e;
	struct watch watch;
	struct timer timer;
	int fd, pidfd;
	struct buf answer;
	struct list calls; /* struct asking */
};

struct asking {
	struct list node;
	struct call *call;
	void (*done)(struct call *c, const json_t *facts);
};

int examine_main(void)
{
	CLEANUP(json_decref) json_t *list = json_array();
	CLEANUP(free) char *text = NULL;
	struct boot_facts facts;

	boot_probe(&facts);
	for (size_t i = 0; i < facts.n; i++) {
		const struct boot_fact *f = &facts.fact[i];

		(void)json_array_append_new(
			list, json_pack("{s:s, s:s, s:b, s:b, s:s, s:s, s:s}", "name",
					f->name, "title", f->title, "found", f->found,
					"needed", f->needed, "value", f->value, "why",
					f->why, "cure", f->cure ? f->cure : ""));
	}
	text = json_dumps(list, JSON_COMPACT);
	return text && fd_write_all(STDOUT_FILENO, text, strlen(text)) == 0 ? 0 : 1;
}

static void examiner_free(struct examiner *p)
{
	watch_fini(&p->watch);
	timer_stop(&p->timer);
	if (p->fd >= 0)
		(void)close(p->fd);
	if (p->pidfd >= 0) {
		/* It has closed its output, or has had its time. */
		(void)pidfd_send_signal(p->pidfd, SIGKILL, NULL, 0);
		(void)waitid(P_PIDFD, (id_t)p->pidfd, &(siginfo_t){ 0 }, WEXITED);
		(void)close(p->pidfd);
	}
	buf_fini(&p->answer);
	p->e->examiner = NULL;
	free(p);
}

static void on_stop(struct call *c, enum call_end why)
{
	struct asking *a = c->state;

	(void)why;
	list_remove(&a->node);
	c->state = NULL;
	free(a);
}

static void finish(struct examiner *p)
{
	struct engine *e = p->e;
	json_t *facts =
		json_loadb(p->answer.data ? p->answer.data : "", p->answer.len, 0, NULL);
	struct list calls;

	if (facts) {
		json_decref(e->facts);
		e->facts = facts;
	} else {
		say(LOG_LEVEL_WARNING, "the machine could not be examined");
	}
	list_init(&calls);
	LIST_EACH_SAFE (&p->calls, it) {
		list_remove(it);
		list_append(&calls, it);
	}
	examiner_free(p);
	LIST_EACH_SAFE (&calls, it) {
		struct asking *a = container_of(it, struct asking, node);
		struct call *c = a->call;

		list_remove(it);
		c->state = NULL;
		c->stop = NULL;
		a->done(c, e->facts);
		free(a);
	}
}

static void on_readable(struct watch *w, short what)
{
	struct examiner *p = container_of(w, struct examiner, watch);
	void *to = buf_reserve(&p->answer, 4096);
	ssize_t n;

	(void)what;
	n = to ? read(p->fd, to, 4096) : -1;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n > 0) {
		p->answer.len += (size_t)n;
		if (p->answer.len < ANSWER_MAX)
			return;
	}
	finish(p);
}

static void on_late(struct timer *t)
{
	finish(container_of(t, struct examiner, timer));
}

static int spawn(struct engine *e, int out, pid_t *ret)
{
	char name[] = "proctord", what[] = "probe";
	char *argv[] = { name, what, NULL }, *env[] = { NULL };
	posix_spawn_file_actions_t files;
	int r = posix_spawn_file_actions_init(&files);

	if (r != 0)
		return -r;
	r = posix_spawn_file_actions_adddup2(&files, out, STDOUT_FILENO);
	if (r == 0)
		r = posix_spawn(ret, e->self_path, &files, NULL, argv, env);
	(void)posix_spawn_file_actions_destroy(&files);
	return -r;
}

static int examiner_start(struct engine *e, struct err *err)
{
	struct examiner *p = calloc(1, sizeof(*p));
	int pipes[2], r;
	pid_t pid = -1;

	if (!p || pipe2(pipes, O_CLOEXEC | O_NONBLOCK) < 0) {
		free(p);
		return err_set(err, ERR_UNAVAILABLE, NULL, errno,
			       "cannot examine the machine");
	}
	p->e = e;
	p->fd = pipes[0];
	p->pidfd = -1;
	list_init(&p->calls);
	(void)fd_set_nonblock(pipes[1], false);
	r = spawn(e, pipes[1], &pid);
	(void)close(pipes[1]);
	if (r == 0) {
		p->pidfd = pidfd_open(pid, 0);
		r = watch_init(&p->watch, &e->loop, p->fd, WATCH_READ, on_readable);
	}
	e->examiner = p;
	timer_init(&p->timer, &e->loop, on_late);
	timer_set(&p->timer, PATIENCE_NS);
	if (r < 0) {
		examiner_free(p);
		return err_set(err, ERR_UNAVAILABLE, NULL, -r,
			       "cannot examine the machine");
	}
	return 0;
}

int world_probe(struct call *c, bool fresh,
		void (*done)(struct call *c, const json_t *facts), struct err *err)
{
	struct engine *e = engine_of(c->world);
	struct asking *a;
	int r;

	if (e->facts && !fresh) {
		done(c, e->facts);
		return 0;
	}
	if (!e->examiner) {
		r = examiner_start(e, err);
		if (r < 0)
			return r;
	}
	a = calloc(1, sizeof(*a));
	if (!a)
		return err_set(err, ERR_UNAVAILABLE, NULL, ENOMEM, "no memory");
	a->call = c;
	a->done = done;
	c->state = a;
	c->stop = on_stop;
	list_append(&e->examiner->calls, &a->node);
	return 0;
}

void examine_fini(struct engine *e)
{
	if (e->examiner)
		examiner_free(e->examiner);
	json_decref(e->facts);
	e->facts = NULL;
}
