/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * keeper - starts one command, records it, and outlives everything else
 *
 * One process, one command, one PID namespace (as its pid 1), or, on the host, one
 * child subreaper; or the holder of a named sandbox, which runs nothing. Single-
 * threaded, one poll loop, no allocation. What happens is turned into an event
 * and steps the table in life.c:
 *
 *	PREPARED   sandbox built, waits for the commit plan
 *	STARTING   child forked, exec not yet done
 *	RUNNING	   the main process lives
 *	LINGERING  it is gone; others of its tree live
 *	DRAINING   nobody lives; bytes are still in the pipes
 *	HOLDING	   holds a named sandbox
 *	DONE	   record final
 *
 * Beside it runs the kill ladder (ladder.c): NONE, ASKED (signal sent, grace
 * runs), FORCED (SIGKILL, until the tree is empty).
 *
 * Files: keeper.c loop and signals; life.c the states; sandbox.c the prepare
 * steps; start.c commit and the child; streams.c output; input.c stdin; ladder.c
 * ending; control.c messages; landlock.c; group.c; mask.c;
 * timers.c.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "../base/err.h"
#include "../box/writer.h"
#include "../plan/plan.h"
#include "../plan/proto.h"
#include "given.h"

enum life {
	LIFE_PREPARED,
	LIFE_STARTING,
	LIFE_RUNNING,
	LIFE_LINGERING,
	LIFE_DRAINING,
	LIFE_HOLDING,
	LIFE_DONE,
	LIFE_MAX_,
};

enum event {
	EV_COMMIT,	 /* the commit plan is here */
	EV_STARTED,	 /* exec is done */
	EV_START_FAILED, /* a step failed; k->start_err */
	EV_MAIN_GONE,	 /* k->main_status */
	EV_SETTLED,	 /* drain time over, or every pipe closed */
	EV_EMPTY,	 /* the last process was reaped */
	EV_KILL,	 /* somebody asked, or a timer did; ladder has begun */
	EV_CONTROL_LOST, /* the engine's connection ended */
	EV_MAX_,
};

enum timer {
	TIMER_TIMEOUT,
	TIMER_LIFETIME,
	TIMER_IDLE,
	TIMER_DRAIN,
	TIMER_GRACE,   /* ladder: SIGKILL when it fires */
	TIMER_AGAIN,   /* ladder: SIGKILL once more */
	TIMER_GIVE_UP, /* ladder: report although somebody does not die */
	TIMER_BLOCK,   /* overflow: block without its consumer */
	TIMER_BYE,     /* the engine does not take the last message */
	TIMER_MAX_,
};

enum ladder { LADDER_NONE, LADDER_ASKED, LADDER_FORCED };

struct keeper_stream {
	int fd; /* -1: closed, or not captured */
	bool pty;
	bool stalled; /* overflow: block, ring full */
	bool large;   /* the pipe has grown */
	int full_reads;
};

struct keeper_input {
	int fd; /* -1 = closed */
	bool pty;
	bool close_after;
	bool waiting; /* a WRITE is held until there is room */
	uint32_t seq;
	size_t len;
	unsigned char data[KEEPER_DATA_MAX];
};

struct keeper {
	struct given *given;
	enum life life;
	int sigfd;
	int root_fd; /* during prepare */
	int scratch_fd;
	int landlock_fd; /* the ruleset, until the child has taken it */
	int landlock_abi;
	bool pidns;	 /* the tree is a PID namespace, not a subreaper's */
	pid_t tree_root; /* 1, or our own pid */

	struct plan commit;
	struct step_record record;
	struct step_timers timers;
	struct step_stdio stdio;
	struct step_cgroup cgroup;
	struct box_writer box;
	bool box_ready;

	pid_t main_pid;
	int main_pidfd;
	int main_status;
	bool main_gone;
	void *exec_table; /* argv and envp of the child, in our memory until exec */
	size_t exec_table_len;
	struct err start_err;
	bool settled, empty, told_exit;

	enum ladder ladder;
	enum box_reason why; /* of the first ladder */

	uint64_t deadline[TIMER_MAX_]; /* CLOCK_MONOTONIC ns, 0 = not armed */
	uint64_t born_ns, touched_ns;

	struct keeper_stream out[BOX_STREAMS];
	struct keeper_input in;

	int control;	  /* connection to the engine, -1 = none */
	bool greeted;	  /* it is one that must say hello first */
	uint32_t pending; /* messages that wait for room, bit per type */
	bool watching;
	uint64_t watch_at[BOX_STREAMS];
	uint32_t told_end;
	bool consumer;
};

/* Never returns. */
void keeper_main(struct given *given) __attribute__((noreturn));

/* life.c */
void life_event(struct keeper *k, enum event ev);
void life_store(struct keeper *k);    /* record -> box */
void life_announce(struct keeper *k); /* the result may be given */

/* sandbox.c */
int sandbox_prepare(struct keeper *k, struct err *err);

/* mask.c: a prepare step. -errno */
int mask_path(struct keeper *k, const struct plan_step *s);

/* landlock.c: two prepare steps, the child's, and the end of it. -errno */
int landlock_begin(struct keeper *k, const struct plan_step *s);
int landlock_rule(struct keeper *k, const struct plan_step *s);
int landlock_take(const struct keeper *k);
void landlock_done(struct keeper *k);

/*
 * group.c: the command's control group. The keeper is never in it: it is not to be
 * ended for want of memory, nor charged for the rings.
 */
int group_enter(const struct keeper *k); /* the child's, -errno */
void group_entered(struct keeper *k);
uint64_t group_count(struct keeper *k); /* into the box; how many were OOM-killed */

/* start.c: takes the box and the settings, then forks. */
int start_take(struct keeper *k, struct err *err);
int start_child(struct keeper *k, struct err *err);
int start_resize(struct keeper *k, uint64_t cols, uint64_t rows); /* -errno */
/* child.c: never returns; leaves k->start_err if a step fails. */
void child_run(struct keeper *k, const int stdio[3]) __attribute__((noreturn));

/* streams.c */
bool streams_pump(struct keeper *k,
		  int i); /* reads a bounded amount; true if more waits */
bool streams_open(const struct keeper *k);
uint64_t streams_total(const struct keeper *k, int i); /* 0 if there is no such */
void streams_close(struct keeper *k, int i);
void streams_last(struct keeper *k); /* what lies in the pipes now */

/* input.c */
void input_write(struct keeper *k, uint32_t seq, const void *data, size_t len,
		 bool close_after);
void input_continue(struct keeper *k);
void input_close(struct keeper *k);

/* ladder.c */
void ladder_begin(struct keeper *k, int sig, uint64_t grace, enum box_reason why);
void ladder_force(struct keeper *k);
int ladder_signal(struct keeper *k, int sig, bool tree);
void ladder_reap(struct keeper *k);

/* control.c */
void control_accept(struct keeper *k);
void control_receive(struct keeper *k);
void control_flush(struct keeper *k);
uint32_t control_due(const struct keeper *k); /* messages to be sent now */
void control_tell(struct keeper *k, enum keeper_msg_type type);
void control_reply(struct keeper *k, uint32_t seq, int error, uint64_t value);
void control_output(struct keeper *k); /* OUTPUT, if somebody watches and there is news */
void control_drop(struct keeper *k);

/* timers.c */
void timer_arm(struct keeper *k, enum timer t, uint64_t after_ns); /* 0 disarms */
int timers_wait_ms(const struct keeper *k);
void timers_fire(struct keeper *k);
void keeper_touch(struct keeper *k); /* somebody wrote, read or typed */
