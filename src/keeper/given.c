/* SPDX-License-Identifier: Apache-2.0 */

#include "given.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "../base/macro.h"

/* Above every fixed number, so that moving down never hits one not yet moved. */
#define HIGH_LEAST 64

static int move_up(int *fds, int n, int high)
{
	int r = 0;

	for (int i = 0; i < n; i++) {
		if (fds[i] < 0)
			continue;
		fds[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, high);
		if (fds[i] < 0)
			r = -errno;
	}
	return r;
}

static int move_down(int *fds, int n, int to)
{
	int r = 0;

	for (int i = 0; i < n; i++, to++) {
		if (fds[i] < 0) {
			(void)close(to);
			continue;
		}
		if (dup3(fds[i], to, O_CLOEXEC) < 0)
			r = -errno;
		fds[i] = to;
	}
	return r;
}

int given_settle(struct given *g, struct err *err)
{
	int shown = GIVEN_FD_BASE + SLOT_MAX_, end = shown + g->n_shown;
	int high = MAX(HIGH_LEAST, end);
	int r = move_up(g->fd, SLOT_MAX_, high);

	if (r == 0)
		r = move_up(g->shown, g->n_shown, high);
	if (r == 0)
		r = move_down(g->fd, SLOT_MAX_, GIVEN_FD_BASE);
	if (r == 0)
		r = move_down(g->shown, g->n_shown, shown);
	if (r < 0)
		return err_set(err, ERR_UNAVAILABLE, "descriptors", -r, "dup");
	if (close_range((unsigned int)end, ~0U, 0) < 0)
		return err_set(err, ERR_UNSUPPORTED, "descriptors", errno, "close_range");
	/* The launcher's log is not the keeper's. */
	if (dup3(STDOUT_FILENO, STDERR_FILENO, 0) < 0)
		return err_set(err, ERR_UNAVAILABLE, "descriptors", errno, "dup");
	return 0;
}
