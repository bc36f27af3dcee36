/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The states of a keeper. Every pair of state and event is in the table; `never`
 * marks those that cannot come, and does nothing either.
 */

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../base/clock.h"
#include "../sys/proctree.h"
#include "keeper.h"

void life_store(struct keeper *k)
{
	if (k->box_ready)
		box_writer_store(&k->box);
}

static void nothing(struct keeper *k)
{
	(void)k;
}

static void never(struct keeper *k)
{
	(void)k;
}

static void disarm_all(struct keeper *k)
{
	for (int t = 0; t < TIMER_MAX_; t++)
		timer_arm(k, (enum timer)t, 0);
}

static void note_end(struct keeper *k)
{
	struct box_record *r = &k->box.record;

	r->state = BOX_EXITED;
	r->flags |= BOX_HAS_EXITED;
	r->ended_boot_ns = clock_boot();
	r->ended_wall_ns = clock_wall();
}

/* Nothing lives and nothing more will be read: the last thing a keeper does. */
static void finish(struct keeper *k)
{
	for (int i = 0; i < BOX_STREAMS; i++)
		streams_close(k, i);
	input_close(k);
	disarm_all(k);
	k->life = LIFE_DONE;
	k->ladder = LADDER_NONE;
	k->empty = true;
	(void)group_count(k);
	k->box.record.live = 0;
	k->box.record.flags |= BOX_IS_EMPTY | BOX_IS_FINAL;
	life_store(k);
	control_tell(k, KEEPER_EXITED);
	control_tell(k, KEEPER_EMPTY);
}

static void failed(struct keeper *k)
{
	struct box_record *r = &k->box.record;

	/* The child has reported and is leaving; or there never was one. */
	if (k->main_pid > 0 && !k->main_gone)
		(void)waitpid(k->main_pid, NULL, 0);
	k->main_gone = true;
	note_end(k);
	r->reason = k->ladder == LADDER_NONE ? BOX_REASON_START_FAILED : k->why;
	r->exit_code = -1;
	r->start_errno = k->start_err.sys_errno;
	for (size_t i = 0; i < BOX_STAGE_MAX - 1 && k->start_err.stage[i]; i++)
		r->start_stage[i] = k->start_err.stage[i];
	for (size_t i = 0; i < BOX_MSG_MAX - 1 && k->start_err.msg[i]; i++)
		r->start_msg[i] = k->start_err.msg[i];
	r->flags |= BOX_HAS_CLOSED;
	control_tell(k, KEEPER_FAILED);
	finish(k);
}

static void commit(struct keeper *k)
{
	if (start_take(k, &k->start_err) < 0) {
		failed(k);
		return;
	}
	if (k->given->msg.mode == LAUNCH_HOLDER) {
		k->life = LIFE_HOLDING;
		k->box.record.state = BOX_RUNNING;
		k->box.record.started_boot_ns = clock_boot();
		k->box.record.started_wall_ns = clock_wall();
		timer_arm(k, TIMER_LIFETIME, k->timers.lifetime);
		life_store(k);
		control_tell(k, KEEPER_READY);
		return;
	}
	k->life = LIFE_STARTING;
	life_event(k, start_child(k, &k->start_err) < 0 ? EV_START_FAILED : EV_STARTED);
}

static void started(struct keeper *k)
{
	struct box_record *r = &k->box.record;

	k->life = LIFE_RUNNING;
	r->state = BOX_RUNNING;
	r->sandbox_pid = k->main_pid;
	r->started_boot_ns = clock_boot();
	r->started_wall_ns = clock_wall();
	r->spawn_ns = clock_mono() - k->born_ns;
	keeper_touch(k);
	if (k->ladder == LADDER_NONE)
		timer_arm(k, TIMER_TIMEOUT, k->timers.timeout);
	timer_arm(k, TIMER_LIFETIME, k->timers.lifetime);
	timer_arm(k, TIMER_IDLE, k->timers.idle);
	life_store(k);
	control_tell(k, KEEPER_STARTED);
	if (k->main_gone)
		life_event(k, EV_MAIN_GONE);
}

/* The result is given: whoever waits has the output so far and how many live on. */
void life_announce(struct keeper *k)
{
	int live = k->empty ? 0 : proctree_each(k->tree_root, NULL, NULL);

	k->box.record.live = live < 0 ? 0 : (uint32_t)live;
	life_store(k);
	control_tell(k, KEEPER_EXITED);
}

static void settled(struct keeper *k)
{
	k->settled = true;
	timer_arm(k, TIMER_DRAIN, 0);
	/* Who is being ended is reported when all of him is gone. */
	if (k->ladder == LADDER_NONE)
		life_announce(k);
}

static void main_gone(struct keeper *k)
{
	struct box_record *r = &k->box.record;
	int st = k->main_status;
	uint64_t oom = group_count(k);

	k->life = LIFE_LINGERING;
	note_end(k);
	r->exit_code = WIFEXITED(st) ? WEXITSTATUS(st) : -1;
	r->exit_signal = WIFSIGNALED(st) ? WTERMSIG(st) : 0;
	if (WIFSIGNALED(st) && WCOREDUMP(st))
		r->flags |= BOX_DUMPED_CORE;
	if (k->ladder != LADDER_NONE)
		r->reason = k->why;
	else if (WIFSIGNALED(st) && WTERMSIG(st) == SIGKILL && oom > 0)
		r->reason = BOX_REASON_OOM;
	else
		r->reason = WIFSIGNALED(st) ? BOX_REASON_SIGNALED : BOX_REASON_EXITED;
	timer_arm(k, TIMER_TIMEOUT, 0);
	input_close(k);
	streams_last(k);
	life_store(k);
	if (k->record.leftover_kill)
		ladder_begin(k, SIGKILL, 0, BOX_REASON_KILLED);
	if (k->settled)
		return;
	if (streams_open(k))
		timer_arm(k, TIMER_DRAIN, k->timers.drain ? k->timers.drain : 1);
	else
		settled(k);
}

static void drain_on(struct keeper *k)
{
	streams_last(k);
	if (k->life != LIFE_DRAINING)
		return;
	for (int i = 0; i < BOX_STREAMS; i++)
		if (k->out[i].stalled)
			return;
	/* On the host somebody outside the tree may hold a pipe for ever. */
	finish(k);
}

static void tree_empty(struct keeper *k)
{
	k->life = LIFE_DRAINING;
	k->ladder = LADDER_NONE;
	disarm_all(k);
	drain_on(k);
	if (k->life == LIFE_DRAINING)
		life_announce(k);
}

/* The holder of a sandbox ends. */
static void let_go(struct keeper *k)
{
	note_end(k);
	k->box.record.reason = k->why;
	k->box.record.flags |= BOX_HAS_CLOSED;
	finish(k);
}

static void drop(struct keeper *k)
{
	/* Nobody will ever commit it. */
	disarm_all(k);
	k->life = LIFE_DONE;
	k->pending = 0;
}

static void (*const table[LIFE_MAX_][EV_MAX_])(struct keeper *k) = {
	/* clang-format off */
	/*                   COMMIT   STARTED  START_FAILED MAIN_GONE  SETTLED   EMPTY       KILL     CONTROL_LOST */
	[LIFE_PREPARED]  = { commit,  never,   failed,      never,     never,    never,      drop,    drop    },
	[LIFE_STARTING]  = { never,   started, failed,      nothing,   nothing,  nothing,    nothing, nothing },
	[LIFE_RUNNING]   = { never,   never,   never,       main_gone, nothing,  never,      nothing, nothing },
	[LIFE_LINGERING] = { never,   never,   never,       never,     settled,  tree_empty, nothing, nothing },
	[LIFE_DRAINING]  = { never,   never,   never,       never,     drain_on, never,      nothing, nothing },
	[LIFE_HOLDING]   = { never,   never,   never,       never,     never,    never,      let_go,  nothing },
	[LIFE_DONE]      = { nothing, never,   nothing,     nothing,   nothing,  nothing,    nothing, nothing },
	/* clang-format on */
};

void life_event(struct keeper *k, enum event ev)
{
	table[k->life][ev](k);
}
