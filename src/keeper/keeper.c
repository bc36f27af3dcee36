/* SPDX-License-Identifier: Apache-2.0 */

#include "keeper.h"

#include <errno.h>
#include <linux/sched.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../base/clock.h"
#include "../base/macro.h"

static struct keeper keeper;

enum {
	AT_SIGNAL,
	AT_LISTEN,
	AT_CONTROL,
	AT_IN,
	AT_OUT,
	AT_MAX = AT_OUT + BOX_STREAMS,
};

static void watch(const struct keeper *k, struct pollfd p[AT_MAX])
{
	bool room = k->control >= 0 && control_due(k) && k->greeted;

	p[AT_SIGNAL] = (struct pollfd){ .fd = k->sigfd, .events = POLLIN };
	p[AT_LISTEN] =
		(struct pollfd){ .fd = k->given->fd[SLOT_LISTEN], .events = POLLIN };
	p[AT_CONTROL] =
		(struct pollfd){ .fd = k->control,
				 .events = (short)(POLLIN | (room ? POLLOUT : 0)) };
	p[AT_IN] =
		(struct pollfd){ .fd = k->in.waiting ? k->in.fd : -1, .events = POLLOUT };
	for (int i = 0; i < BOX_STREAMS; i++)
		p[AT_OUT + i] =
			(struct pollfd){ .fd = k->out[i].stalled ? -1 : k->out[i].fd,
					 .events = POLLIN };
}

static void turn(struct keeper *k)
{
	struct pollfd p[AT_MAX];

	watch(k, p);
	if (poll(p, AT_MAX, timers_wait_ms(k)) < 0)
		return;
	timers_fire(k);
	for (int i = 0; i < BOX_STREAMS; i++)
		if (p[AT_OUT + i].revents && k->out[i].fd >= 0)
			(void)streams_pump(k, i);
	if (p[AT_SIGNAL].revents)
		ladder_reap(k);
	if (p[AT_IN].revents)
		input_continue(k);
	if (p[AT_LISTEN].revents)
		control_accept(k);
	if (p[AT_CONTROL].revents & (POLLIN | POLLHUP | POLLERR))
		control_receive(k);
	if (p[AT_CONTROL].revents & POLLOUT)
		control_flush(k);
	if (k->life == LIFE_DRAINING)
		life_event(k, EV_SETTLED);
	control_output(k);
	control_flush(k);
}

static void open_signals(struct keeper *k)
{
	sigset_t chld;

	/* All are blocked since the launcher: no default action can end us. */
	(void)sigemptyset(&chld);
	(void)sigaddset(&chld, SIGCHLD);
	k->sigfd = signalfd(-1, &chld, SFD_CLOEXEC | SFD_NONBLOCK);
}

static int init(struct keeper *k, struct given *g)
{
	int r;

	k->given = g;
	k->born_ns = clock_mono();
	k->root_fd = k->scratch_fd = k->landlock_fd = k->main_pidfd = k->in.fd = -1;
	for (int i = 0; i < BOX_STREAMS; i++)
		k->out[i].fd = -1;
	r = given_settle(g, &k->start_err);
	k->control = g->fd[SLOT_CONTROL];
	k->greeted = true;
	k->pidns = (g->ns_flags & CLONE_NEWPID) != 0;
	k->tree_root = k->pidns ? 1 : getpid();
	(void)umask(0);
	(void)prctl(PR_SET_NAME, "proctor-keeper", 0, 0, 0);
	(void)setsid();
	open_signals(k);
	return r;
}

void keeper_main(struct given *given)
{
	struct keeper *k = &keeper;
	int r = init(k, given);

	if (r == 0 && listen(given->fd[SLOT_LISTEN], 4) < 0)
		r = err_set(&k->start_err, ERR_UNAVAILABLE, "socket", errno, "listen");
	if (r == 0 && !k->pidns && prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0)
		r = err_set(&k->start_err, ERR_UNSUPPORTED, "subreaper", errno, "prctl");
	if (r == 0)
		r = sandbox_prepare(k, &k->start_err);
	if (r < 0) {
		/* With the box, the failure outlives an engine that dies now. */
		struct err ignored;

		if (given->fd[SLOT_COMMIT] >= 0)
			(void)start_take(k, &ignored);
		life_event(k, EV_START_FAILED);
	} else if (given->fd[SLOT_COMMIT] >= 0) {
		life_event(k, EV_COMMIT);
	} else {
		control_tell(k, KEEPER_READY);
	}
	control_flush(k);
	while (k->life != LIFE_DONE || (k->control >= 0 && control_due(k)))
		turn(k);
	_exit(0);
}
