/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The commit: settings, the black box, pipes or a terminal, and the fork.
 */

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <termios.h>
#include <unistd.h>

#include "../base/cleanup.h"
#include "keeper.h"

static void read_settings(struct keeper *k)
{
	struct plan_step s;

	for (size_t at = 0; plan_next(&k->commit, &at, &s) > 0;) {
		if (s.type == STEP_RECORD)
			k->record = *(const struct step_record *)s.payload;
		else if (s.type == STEP_TIMERS)
			k->timers = *(const struct step_timers *)s.payload;
		else if (s.type == STEP_STDIO)
			k->stdio = *(const struct step_stdio *)s.payload;
		else if (s.type == STEP_CGROUP)
			k->cgroup = *(const struct step_cgroup *)s.payload;
	}
}

static uint32_t streams(const struct keeper *k)
{
	if (k->given->msg.mode == LAUNCH_HOLDER)
		return 0;
	return k->record.capture == BOX_CAPTURE_COMBINED ||
			       k->record.capture == BOX_CAPTURE_PTY ?
		       1 :
		       2;
}

int start_take(struct keeper *k, struct err *err)
{
	struct box_writer_args args;
	int fd = k->given->fd[SLOT_COMMIT];
	int r;

	if (fd < 0)
		return err_set(err, ERR_INTERNAL, "plan", 0, "no commit plan was given");
	r = plan_map(fd, PLAN_COMMIT, &k->commit, err);
	if (r < 0)
		return r;
	read_settings(k);
	(void)close(fd);
	k->given->fd[SLOT_COMMIT] = -1;

	args = (struct box_writer_args){
		.id = k->record.id,
		.boot_id = k->record.boot_id,
		.streams = streams(k),
		.capture = k->record.capture,
		.overflow = k->record.overflow,
		.ring_size = k->record.ring_size,
	};
	if (!id_eq(&args.id, &k->given->msg.id))
		return err_set(err, ERR_INTERNAL, "record", 0,
			       "the plan is another command's");
	r = box_writer_init(&k->box, k->given->fd[SLOT_BOX], &args, err);
	if (r < 0)
		return r;
	k->box_ready = true;
	return 0;
}

struct ends {
	int child[3];
};

static void ends_close(struct ends *e)
{
	for (int i = 0; i < 3; i++)
		if (e->child[i] >= 0)
			(void)close(e->child[i]);
}

static void ends_close_p(struct ends *e)
{
	int keep = errno;

	ends_close(e);
	errno = keep;
}

static int set_size(int fd, unsigned int cols, unsigned int rows)
{
	struct winsize ws = { .ws_col = (unsigned short)cols,
			      .ws_row = (unsigned short)rows };

	return ioctl(fd, TIOCSWINSZ, &ws) < 0 ? -errno : 0;
}

int start_resize(struct keeper *k, uint64_t cols, uint64_t rows)
{
	if (!k->out[0].pty || k->out[0].fd < 0)
		return -ENOTTY;
	if (cols < 1 || cols > 1000 || rows < 1 || rows > 1000)
		return -EINVAL;
	return set_size(k->out[0].fd, (unsigned int)cols, (unsigned int)rows);
}

static int open_terminal(struct keeper *k, struct ends *e)
{
	CLEANUP(close)
	int master = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
	int unlock = 0, peer;

	if (master < 0)
		return -errno;
	if (ioctl(master, TIOCSPTLCK, &unlock) < 0)
		return -errno;
	/* By ioctl, so that no path is resolved (Linux 4.13). */
	peer = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (peer < 0)
		return -errno;
	e->child[0] = peer;
	(void)set_size(master, k->stdio.cols, k->stdio.rows);
	k->in.pty = k->out[0].pty = true;
	k->in.fd = fcntl(master, F_DUPFD_CLOEXEC, 0);
	k->out[0].fd = TAKE_FD(master);
	e->child[1] = fcntl(peer, F_DUPFD_CLOEXEC, 0);
	e->child[2] = fcntl(peer, F_DUPFD_CLOEXEC, 0);
	return k->in.fd < 0 || e->child[1] < 0 || e->child[2] < 0 ? -EMFILE : 0;
}

static int open_pipe(struct keeper *k, struct ends *e, int i)
{
	int p[2];

	if (i == 2 && k->record.capture == BOX_CAPTURE_COMBINED &&
	    k->stdio.kind[1] == STDIO_PIPE) {
		e->child[2] = fcntl(e->child[1], F_DUPFD_CLOEXEC, 0);
		return e->child[2] < 0 ? -errno : 0;
	}
	if (pipe2(p, O_CLOEXEC) < 0)
		return -errno;
	e->child[i] = i == 0 ? p[0] : p[1];
	if (i == 0)
		k->in.fd = p[1];
	else
		k->out[i - 1].fd = p[0];
	return fcntl(i == 0 ? p[1] : p[0], F_SETFL, O_NONBLOCK) < 0 ? -errno : 0;
}

static int open_stdio(struct keeper *k, struct ends *e)
{
	int r = 0;

	if (k->stdio.kind[0] == STDIO_PTY)
		return open_terminal(k, e);
	for (int i = 0; r == 0 && i < 3; i++) {
		int *slot = &k->given->fd[SLOT_STDIN + i];

		switch ((enum stdio_kind)k->stdio.kind[i]) {
		case STDIO_NULL:
			e->child[i] =
				open("/dev/null", (i ? O_WRONLY : O_RDONLY) | O_CLOEXEC);
			r = e->child[i] < 0 ? -errno : 0;
			break;
		case STDIO_PIPE:
			r = open_pipe(k, e, i);
			break;
		case STDIO_SLOT:
			e->child[i] = *slot;
			*slot = -1;
			r = e->child[i] < 0 ? -EBADF : 0;
			break;
		case STDIO_PTY:
		default:
			r = -EINVAL;
			break;
		}
	}
	return r;
}

/* Where the child runs until exec. */
static char child_stack[64 << 10] __attribute__((aligned(64)));

struct child_args {
	struct keeper *k;
	const int *stdio;
};

static int child_main(void *arg)
{
	const struct child_args *c = arg;

	child_run(c->k, c->stdio);
}

/*
 * The child shares our memory until exec, and we stand still: no page is copied
 * (a fork costs five times as much), and what it has to report is simply there.
 * It cannot dump core over us, since we are not dumpable.
 */
int start_child(struct keeper *k, struct err *err)
{
	CLEANUP(ends_close) struct ends e = { { -1, -1, -1 } };
	struct child_args args = { k, e.child };
	pid_t pid;
	int r;

	r = open_stdio(k, &e);
	if (r < 0)
		return err_set(err, ERR_UNAVAILABLE, "stdio", -r,
			       "open stdin, stdout or stderr");
	pid = clone(child_main, child_stack + sizeof(child_stack),
		    CLONE_VM | CLONE_VFORK | CLONE_PIDFD | SIGCHLD, &args,
		    &k->main_pidfd);
	if (pid < 0)
		return err_set(err, ERR_UNAVAILABLE, "fork", errno, "clone");
	k->main_pid = pid;
	landlock_done(k);
	group_entered(k);
	plan_unmap(&k->commit);
	if (k->exec_table)
		(void)munmap(k->exec_table, k->exec_table_len);
	k->exec_table = NULL;
	/* A ring that nobody writes to has ended. */
	for (int i = 0; i < BOX_STREAMS; i++)
		if (k->out[i].fd < 0 && k->box.stream[i].counters)
			box_writer_end(&k->box, i);
	return k->start_err.code ? -k->start_err.code : 0;
}
