/* SPDX-License-Identifier: Apache-2.0 */

/* What the black box says about a process. */

#include <string.h>
#include <unistd.h>

#include "../base/macro.h"
#include "../box/reader.h"
#include "../box/stock.h"
#include "process.h"

int process_box(struct process *p)
{
	struct box_head head;
	int fd = -1;

	if (p->box_fd >= 0)
		return p->box_fd;
	if (box_open(p->registry->boxes_fd, &p->id, ID_PROCESS, &fd, NULL) < 0)
		return -1;
	/* One that nobody has taken yet is read again later. */
	if (box_read_head(fd, &head, NULL) < 0 || !id_eq(&head.id, &p->id)) {
		(void)close(fd);
		return -1;
	}
	p->box_fd = fd;
	return fd;
}

void process_box_close(struct process *p)
{
	if (p->box_fd >= 0)
		(void)close(p->box_fd);
	p->box_fd = -1;
}

/* The keeper may write what it likes: only what can be is taken over. */
static bool is_sane(const struct box_record *r)
{
	return r->state >= BOX_STARTING && r->state <= BOX_EXITED &&
	       r->reason < BOX_REASON_LOST && r->exit_code >= -1 && r->exit_code <= 255 &&
	       r->exit_signal >= 0 && r->exit_signal <= 64 && r->sandbox_pid >= 0;
}

static void read_extents(struct process *p)
{
	p->disk_full = false;
	for (int i = 0; i < (int)p->streams; i++) {
		struct box_extent x;

		if (box_read_extent(p->box_fd, i, &x, NULL) < 0)
			continue;
		p->total[i] = MAX(p->total[i], x.total);
		p->lost[i] = MIN(x.start, p->total[i]);
		p->at_end[i] = p->at_end[i] || x.at_end;
		p->disk_full = p->disk_full || x.disk_full;
	}
}

bool process_read(struct process *p)
{
	struct box_record r;

	/* Nothing changes any more. */
	if (p->settled)
		return p->has_record;
	if (process_box(p) < 0 || box_read_record(p->box_fd, &r, NULL) < 0 ||
	    !is_sane(&r))
		return false;
	r.start_stage[BOX_STAGE_MAX - 1] = '\0';
	r.start_msg[BOX_MSG_MAX - 1] = '\0';
	p->record = r;
	p->has_record = true;
	if (p->cgroup)
		(void)box_read_usage(p->box_fd, &p->usage, NULL);
	read_extents(p);
	p->settled = p->ended_mono_ns != 0 || (r.flags & BOX_IS_FINAL) != 0;
	return true;
}
