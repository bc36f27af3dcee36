/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The kill ladder: the signal asked for, a grace period, SIGKILL for the whole
 * tree, again until it is empty.
 *
 *	from \ event   begin(sig)      begin(KILL)     grace over    tree empty
 *	NONE	       ASKED	       FORCED	       -	     NONE
 *	ASKED	       grace may only  FORCED	       FORCED	     NONE
 *		       become shorter
 *	FORCED	       -	       -	       kill again    NONE
 *
 * The first reason stands; a command that ends by itself first keeps its own.
 */

#include <errno.h>
#include <signal.h>
#include <sys/pidfd.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../base/clock.h"
#include "../base/macro.h"
#include "../sys/proctree.h"
#include "keeper.h"

#define AGAIN_NS (50 * NS_PER_MS)
#define GIVE_UP_NS (1 * NS_PER_SEC)

static int signal_tree(struct keeper *k, int sig)
{
	int r;

	if (!k->pidns) {
		r = proctree_signal(k->tree_root, sig);
		return r < 0 ? r : r > 0 ? 0 : -ESRCH;
	}
	/* As pid 1: everybody in the namespace but ourselves, at one instant. */
	return kill(-1, sig) < 0 ? -errno : 0;
}

int ladder_signal(struct keeper *k, int sig, bool tree)
{
	if (tree)
		return signal_tree(k, sig);
	if (k->main_gone || k->main_pidfd < 0)
		return -ESRCH;
	return pidfd_send_signal(k->main_pidfd, sig, NULL, 0) < 0 ? -errno : 0;
}

void ladder_force(struct keeper *k)
{
	if (k->empty)
		return;
	if (k->ladder != LADDER_FORCED)
		timer_arm(k, TIMER_GIVE_UP, GIVE_UP_NS);
	k->ladder = LADDER_FORCED;
	timer_arm(k, TIMER_GRACE, 0);
	(void)signal_tree(k, SIGKILL);
	/* Reaching whoever was being forked, or was not yet below us. */
	timer_arm(k, TIMER_AGAIN, AGAIN_NS);
}

void ladder_begin(struct keeper *k, int sig, uint64_t grace, enum box_reason why)
{
	if (k->life == LIFE_DONE)
		return;
	if (k->ladder == LADDER_NONE)
		k->why = why;
	if (sig == SIGKILL || grace == 0) {
		ladder_force(k);
	} else if (k->ladder != LADDER_FORCED) {
		bool sooner = k->ladder == LADDER_NONE || !k->deadline[TIMER_GRACE] ||
			      clock_mono() + grace < k->deadline[TIMER_GRACE];

		k->ladder = LADDER_ASKED;
		(void)signal_tree(k, sig);
		/* A stopped process sees no signal before it goes on. */
		(void)signal_tree(k, SIGCONT);
		if (sooner)
			timer_arm(k, TIMER_GRACE, grace);
	}
	timer_arm(k, TIMER_TIMEOUT, 0);
	life_event(k, EV_KILL);
}

static void add_usage(struct keeper *k, const struct rusage *u)
{
	struct box_record *r = &k->box.record;

	r->utime_us +=
		(uint64_t)u->ru_utime.tv_sec * 1000000 + (uint64_t)u->ru_utime.tv_usec;
	r->stime_us +=
		(uint64_t)u->ru_stime.tv_sec * 1000000 + (uint64_t)u->ru_stime.tv_usec;
	r->max_rss_bytes = MAX(r->max_rss_bytes, (uint64_t)u->ru_maxrss * 1024);
}

void ladder_reap(struct keeper *k)
{
	struct signalfd_siginfo si;
	bool gone = false, none;
	struct rusage u;
	int status;
	pid_t pid;

	while (read(k->sigfd, &si, sizeof(si)) > 0)
		;
	while ((pid = wait4(-1, &status, WNOHANG | __WALL, &u)) > 0) {
		add_usage(k, &u);
		if (pid == k->main_pid && !k->main_gone) {
			k->main_gone = true;
			k->main_status = status;
			gone = true;
		}
	}
	/* All is reaped first, so that nobody need look for what is left if nothing is.
	 */
	none = pid < 0 && errno == ECHILD;
	k->empty = k->empty || (none && k->main_gone);
	if (gone)
		life_event(k, EV_MAIN_GONE);
	if (none && k->life == LIFE_LINGERING)
		life_event(k, EV_EMPTY);
}
