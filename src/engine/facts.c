/* SPDX-License-Identifier: Apache-2.0 */

#include "facts.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../base/cleanup.h"
#include "../base/clock.h"
#include "../base/fault.h"
#include "../base/num.h"
#include "../op/record.h"
#include "engine.h"
#include "say.h"

/* pidfd_open(2): fdinfo tells the pid as this process sees it; -1 once it is reaped. */
static int32_t pid_of(int pidfd)
{
	char path[64], text[512], *line;
	CLEANUP(close) int fd = -1;
	uint64_t pid;
	ssize_t n;

	(void)snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", pidfd);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	if (n <= 0)
		return 0;
	text[n] = '\0';
	line = strstr(text, "\nPid:\t");
	if (!line)
		return 0;
	line += strlen("\nPid:\t");
	line[strcspn(line, "\n")] = '\0';
	return num_parse_u64(line, 1, INT32_MAX, &pid) == 0 ? (int32_t)pid : 0;
}

void facts_started(struct process *p, int pidfd)
{
	if (p->state == PROCESS_STARTING)
		p->state = PROCESS_RUNNING;
	/* Its record is read when somebody asks for it. */
	if (pidfd >= 0)
		process_set_pid(p, pid_of(pidfd));
	fault_point("running");
	process_note(p, NEWS_STARTED);
}

void facts_exited(struct process *p)
{
	bool known = process_read(p) && p->record.flags & BOX_HAS_EXITED;

	/* The ladder gives up on a tree that cannot be killed: no exit yet. */
	if (!known || p->exited)
		return;
	p->exited = true;
	p->state = PROCESS_EXITED;
	p->stdin_open = false;
	p->unsaved = true;
	process_set_pid(p, 0);
	process_note(p,
		     NEWS_EXITED | (p->record.flags & BOX_HAS_CLOSED ? NEWS_CLOSED : 0));
	p->closed = p->closed || p->record.flags & BOX_HAS_CLOSED;
}

void facts_closed(struct process *p)
{
	if (p->closed)
		return;
	p->closed = true;
	p->at_end[0] = p->at_end[1] = true;
	process_note(p, NEWS_CLOSED);
}

static void ended(struct engine *e, struct process *p)
{
	struct sandbox *s = p->sandbox;

	p->unsaved = true;
	p->settled = true;
	p->stdin_open = false;
	if (p->cgroup)
		groups_gone(e, &p->id, &p->sandbox_id);
	process_set_pid(p, 0);
	process_set_ended(p, clock_mono());
	if (s) {
		list_remove(&p->siblings);
		p->sandbox = NULL;
		s->n_live--;
		s->used_mono_ns = clock_mono();
		sandbox_step(&e->world, s);
	}
	chores_wake(e);
}

void facts_empty(struct engine *e, struct process *p)
{
	unsigned int news = NEWS_EMPTY;

	if (!p->exited && p->record.flags & BOX_HAS_EXITED)
		news |= NEWS_EXITED;
	if (!p->closed)
		news |= NEWS_CLOSED;
	if (p->state == PROCESS_STARTING && p->record.reason == BOX_REASON_START_FAILED)
		news |= NEWS_FAILED;
	p->exited = p->closed = p->empty = true;
	p->state = PROCESS_EXITED;
	p->record.live = 0;
	p->at_end[0] = p->at_end[1] = true;
	process_note(p, news);
	ended(e, p);
}

void facts_failed(struct engine *e, struct process *p, const struct err *why)
{
	struct box_record *r = &p->record;

	p->start_err = calloc(1, sizeof(*p->start_err));
	if (p->start_err)
		*p->start_err = *why;
	if (!p->has_record || r->reason != BOX_REASON_START_FAILED) {
		*r = (struct box_record){
			.state = BOX_EXITED,
			.reason = BOX_REASON_START_FAILED,
			.exit_code = -1,
			.start_errno = why->sys_errno,
			.ended_boot_ns = clock_boot(),
			.ended_wall_ns = clock_wall(),
		};
		(void)snprintf(r->start_stage, sizeof(r->start_stage), "%.*s",
			       (int)sizeof(r->start_stage) - 1, why->stage);
		(void)snprintf(r->start_msg, sizeof(r->start_msg), "%.*s",
			       (int)sizeof(r->start_msg) - 1, why->msg);
		p->has_record = true;
	}
	r->flags |= BOX_HAS_EXITED | BOX_HAS_CLOSED | BOX_IS_EMPTY | BOX_IS_FINAL;
	p->exited = p->closed = p->empty = true;
	p->at_end[0] = p->at_end[1] = true;
	p->state = PROCESS_EXITED;
	process_note(p, NEWS_FAILED | NEWS_EXITED | NEWS_CLOSED | NEWS_EMPTY);
	ended(e, p);
}

void facts_lost(struct engine *e, struct process *p, const char *why)
{
	struct err err;

	/* Without a record no keeper ever took the box, and so nothing was run. */
	if (!process_read(p) && p->state == PROCESS_STARTING && !p->has_record) {
		(void)err_set(&err, ERR_UNAVAILABLE, "launch", 0,
			      "it was not started: %s before it began", why);
		facts_failed(e, p, &err);
		return;
	}
	p->start_err = calloc(1, sizeof(*p->start_err));
	if (p->start_err)
		(void)err_set(p->start_err, ERR_UNAVAILABLE, "lost", 0, "%s", why);
	if (!(p->record.flags & BOX_HAS_EXITED)) {
		p->state = PROCESS_LOST;
		p->record.reason = BOX_REASON_LOST;
	} else {
		/* How the command itself ended is known, what it left behind is not. */
		p->exited = true;
		p->state = PROCESS_EXITED;
	}
	process_note(p, NEWS_LOST | NEWS_EXITED);
	ended(e, p);
}

void facts_save(struct engine *e, struct process *p)
{
	CLEANUP(free) char *outcome = record_outcome(p);
	const struct box_record *r = &p->record;
	struct journal_process row = {
		.id = p->id,
		.uid = p->owner->uid,
		.boot_id = p->boot_id,
		.state = p->ended_mono_ns != 0 ? JOURNAL_GONE : JOURNAL_EXITED,
		.ended_wall_ns = r->ended_wall_ns,
		.ended_boot_ns = r->ended_boot_ns,
		.outcome = outcome,
		.reason = r->reason,
		.exit_code = r->exit_code,
		.exit_signal = r->exit_signal,
		.total = { p->total[0], p->total[1] },
	};
	struct err err;

	if (row.ended_wall_ns == 0 && p->ended_mono_ns != 0)
		row.ended_wall_ns = clock_wall();
	if (journal_outcome(e->world.journal, &row, &err) == 0)
		p->unsaved = false;
	else
		say(LOG_LEVEL_ERROR, "the outcome of a command is not journalled: %s",
		    err.msg);
}
