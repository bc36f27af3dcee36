/* SPDX-License-Identifier: Apache-2.0 */

#include "launcher.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../base/cleanup.h"
#include "../base/clock.h"
#include "../base/fault.h"
#include "../base/fd.h"
#include "../base/signame.h"
#include "../plan/proto.h"
#include "engine.h"
#include "link.h"
#include "say.h"
#include "spares.h"

#define CHILD_FD 3
#define RECEIVE_MAX 32
#define YOUNG_NS (2 * NS_PER_SEC)
#define FAILURES_MAX 5
#define AGAIN_NS (500 * NS_PER_MS)

/* Nothing of our environment goes on but what the log's form depends on. */
static void environment(char *env[static 3], char space[static 2][256])
{
	static const char *const names[] = { "JOURNAL_STREAM",
					     "PROCTOR_KEEPER_PROTOCOL" };
	size_t n = 0;

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		const char *v = getenv(names[i]);

		if (v && snprintf(space[n], 256, "%s=%s", names[i], v) < 256) {
			env[n] = space[n];
			n++;
		}
	}
	env[n] = NULL;
}

static int spawn(struct engine *e, int sock, pid_t *ret_pid)
{
	char name[] = "proctor-keeper", mode[] = "launcher";
	char *argv[] = { name, mode, e->opt.state, NULL };
	char space[2][256], *env[3];
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attr;
	sigset_t none, all;
	int r;

	environment(env, space);
	(void)sigemptyset(&none);
	(void)sigfillset(&all);
	r = posix_spawn_file_actions_init(&files);
	if (r != 0)
		return -r;
	r = posix_spawnattr_init(&attr);
	if (r == 0) {
		(void)posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSID |
							      POSIX_SPAWN_SETSIGMASK |
							      POSIX_SPAWN_SETSIGDEF);
		(void)posix_spawnattr_setsigmask(&attr, &none);
		(void)posix_spawnattr_setsigdefault(&attr, &all);
		r = posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
		if (r == 0)
			r = posix_spawn_file_actions_addopen(&files, 1, "/dev/null",
							     O_WRONLY, 0);
		if (r == 0)
			r = posix_spawn_file_actions_adddup2(&files, sock, CHILD_FD);
		if (r == 0)
			r = posix_spawn(ret_pid, e->keeper_path, &files, &attr, argv,
					env);
		(void)posix_spawnattr_destroy(&attr);
	}
	(void)posix_spawn_file_actions_destroy(&files);
	return -r;
}

int launcher_start(struct engine *e, struct err *err)
{
	struct launcher *l = &e->launcher;
	struct rlimit now;
	int pair[2], r;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return err_set(err, ERR_UNAVAILABLE, "launcher", errno, "socketpair");
	(void)fd_set_nonblock(pair[0], true);

	/* Commands begin with the limit that we were started with, not with ours. */
	(void)getrlimit(RLIMIT_NOFILE, &now);
	if (l->files.rlim_max != 0)
		(void)setrlimit(RLIMIT_NOFILE, &l->files);
	else
		l->files = now;
	r = spawn(e, pair[1], &l->pid);
	(void)setrlimit(RLIMIT_NOFILE, &now);
	(void)close(pair[1]);
	if (r < 0) {
		(void)close(pair[0]);
		l->pid = 0;
		return err_set(err, ERR_UNAVAILABLE, "launcher", -r, "start %s",
			       e->keeper_path);
	}
	l->sock = pair[0];
	l->pidfd = pidfd_open(l->pid, 0);
	l->born_ns = clock_mono();
	return 0;
}

static void fail_all(struct launcher *l, const struct err *why)
{
	while (!list_empty(&l->queue)) {
		struct keeper *k = container_of(l->queue.next, struct keeper, launch);

		list_remove(&k->launch);
		link_fail(k, why);
	}
}

static void start_again(struct engine *e)
{
	struct launcher *l = &e->launcher;
	struct err err;

	if (launcher_start(e, &err) == 0) {
		launcher_watch(e);
		launcher_flush(e);
		return;
	}
	say(LOG_LEVEL_ERROR, "cannot start the launcher: %s", err.msg);
	fail_all(l, &err);
	timer_set(&l->again, AGAIN_NS);
}

static void on_again(struct timer *t)
{
	start_again(container_of(t, struct engine, launcher.again));
}

static void died(struct engine *e)
{
	struct launcher *l = &e->launcher;
	struct err err;

	say(LOG_LEVEL_WARNING, "the launcher (pid %d) is gone; commands run on",
	    (int)l->pid);
	watch_fini(&l->watch);
	(void)close(l->sock);
	l->sock = -1;
	/* What it had taken along shows by the end of each control socket. */
	while (!list_empty(&l->out)) {
		struct keeper *k = container_of(l->out.next, struct keeper, launch);

		list_remove(&k->launch);
		link_orphaned(k);
	}
	l->n_out = 0;
	l->failures = clock_mono() - l->born_ns < YOUNG_NS ? l->failures + 1 : 0;
	if (l->failures < FAILURES_MAX) {
		start_again(e);
		return;
	}
	(void)err_set(&err, ERR_UNAVAILABLE, "launcher", 0,
		      "the launcher dies as soon as it is started: see the engine's log");
	fail_all(l, &err);
	timer_set(&l->again, AGAIN_NS);
}

static struct keeper *find_out(struct launcher *l, const struct id *id)
{
	LIST_EACH (&l->out, it) {
		struct keeper *k = container_of(it, struct keeper, launch);

		if (id_eq(&k->id, id))
			return k;
	}
	return NULL;
}

/* What it did itself ends with status 0, whatever became of its command. */
static void note_death(const struct launch_answer *a)
{
	char sig[SIGNAME_MAX];

	if (WIFSIGNALED(a->status))
		say(LOG_LEVEL_WARNING, "the keeper with pid %d was ended by %s", a->pid,
		    signame(WTERMSIG(a->status), sig));
	else if (a->status != 0)
		say(LOG_LEVEL_WARNING, "the keeper with pid %d ended with status %d",
		    a->pid, WEXITSTATUS(a->status));
}

/* True if it took the descriptor. */
static bool handle(struct engine *e, const struct launch_answer *a, int fd)
{
	struct launcher *l = &e->launcher;
	struct keeper *k;

	if (a->type == REAPED)
		note_death(a);
	if (a->type != LAUNCHED && a->type != LAUNCH_FAILED)
		return false;
	l->n_out -= l->n_out > 0;
	/* It may have ended before its birth was told. */
	k = find_out(l, &a->id);
	if (!k)
		return false;
	list_remove(&k->launch);
	if (a->type == LAUNCH_FAILED) {
		link_launch_failed(k, &a->err);
		return false;
	}
	if (fd < 0)
		return false;
	link_launched(k, a->pid, fd);
	return true;
}

static void on_answer(struct watch *w, short what)
{
	struct engine *e = container_of(w, struct engine, launcher.watch);
	struct launcher *l = &e->launcher;

	for (int i = 0; what & WATCH_READ && i < RECEIVE_MAX; i++) {
		struct launch_answer a;
		int fds[FD_PASS_MAX];
		size_t n_fds = 0;
		ssize_t n = fd_recv(l->sock, &a, sizeof(a), fds, FD_PASS_MAX, &n_fds,
				    MSG_DONTWAIT);
		bool taken = false;

		if (n == -EAGAIN)
			break;
		if (n == (ssize_t)sizeof(a))
			taken = handle(e, &a, n_fds > 0 ? fds[0] : -1);
		for (size_t j = taken ? 1 : 0; j < n_fds; j++)
			(void)close(fds[j]);
		if (n != (ssize_t)sizeof(a)) {
			died(e);
			return;
		}
	}
	launcher_flush(e);
	spares_fill(e, 1);
	/* They may have found us busy. */
	if (l->n_out == 0)
		chores_wake(e);
}

static void on_end(struct watch *w, short what)
{
	struct engine *e = container_of(w, struct engine, launcher.end);
	struct launcher *l = &e->launcher;

	(void)what;
	(void)waitid(P_PIDFD, (id_t)l->pidfd, &(siginfo_t){ 0 }, WEXITED | WNOHANG);
	watch_fini(&l->end);
	(void)close(l->pidfd);
	l->pidfd = -1;
}

void launcher_watch(struct engine *e)
{
	struct launcher *l = &e->launcher;

	/* The one before may not have been reaped yet. */
	if (l->end.loop)
		on_end(&l->end, 0);
	(void)watch_init(&l->watch, &e->loop, l->sock, WATCH_READ, on_answer);
	if (l->pidfd >= 0)
		(void)watch_init(&l->end, &e->loop, l->pidfd, WATCH_READ, on_end);
	if (!l->again.loop)
		timer_init(&l->again, &e->loop, on_again);
}

void launcher_fini(struct engine *e)
{
	struct launcher *l = &e->launcher;

	watch_fini(&l->watch);
	watch_fini(&l->end);
	timer_stop(&l->again);
	if (l->sock >= 0)
		(void)close(l->sock);
	if (l->pidfd >= 0)
		(void)close(l->pidfd);
	l->sock = l->pidfd = -1;
}

static int send_order(struct launcher *l, struct keeper *k)
{
	int slots[SLOT_SENT_] = {
		[SLOT_PREPARE] = k->prepare_fd,
		[SLOT_BOX] = k->box_fd,
		[SLOT_CONTROL] = k->far_fd,
		[SLOT_COMMIT] = k->commit_fd,
		[SLOT_STDIN] = k->stdin_fd,
		[SLOT_STDOUT] = -1,
		[SLOT_STDERR] = -1,
		[SLOT_HOLDER] = k->join ? k->join->holder_pidfd : -1,
	};
	struct launch_msg m = {
		.version = LAUNCH_VERSION,
		.mode = k->sandbox ? LAUNCH_HOLDER : LAUNCH_COMMAND,
		.id = k->id,
	};
	int fds[SLOT_SENT_];
	size_t n = 0;
	ssize_t r;

	for (int i = 0; i < SLOT_CGROUPS; i++)
		slots[SLOT_CGROUP + i] = k->cgroup_fd[i];
	for (int i = 0; i < SLOT_SENT_; i++)
		if (slots[i] >= 0) {
			m.slots |= 1u << i;
			fds[n++] = slots[i];
		}
	r = fd_send(l->sock, &m, sizeof(m), fds, n, MSG_DONTWAIT);
	return r < 0 ? (int)r : 0;
}

/* -EAGAIN: later. */
static int launch(struct launcher *l, struct keeper *k)
{
	struct err err;
	int r;

	if (k->join && k->join->holder_pidfd < 0) {
		(void)err_set(&err, ERR_CONFLICT, "sandbox", 0, "the sandbox has ended");
		list_remove(&k->launch);
		link_fail(k, &err);
		return 0;
	}
	r = send_order(l, k);
	if (r == -EPIPE || r == -ECONNRESET)
		return -EAGAIN;
	if (l->n_out > 0 && (r == -EAGAIN || r == -ETOOMANYREFS))
		return -EAGAIN;
	list_remove(&k->launch);
	if (r < 0) {
		(void)err_set(&err, ERR_UNAVAILABLE, "launch", -r, "tell the launcher");
		link_fail(k, &err);
		return 0;
	}
	if (!k->spare)
		fault_point("launch");
	link_sent(k);
	list_append(&l->out, &k->launch);
	l->n_out++;
	return 0;
}

void launcher_flush(struct engine *e)
{
	struct launcher *l = &e->launcher;

	while (l->sock >= 0 && l->n_out < LAUNCHER_OUT_MAX && !list_empty(&l->queue)) {
		struct keeper *k = container_of(l->queue.next, struct keeper, launch);

		if (launch(l, k) < 0)
			return; /* its next answer brings us back */
	}
}
