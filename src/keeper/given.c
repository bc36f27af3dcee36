/* SPDX-License-Identifier: Apache-2.0 */

#include "given.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

/* Above every fixed number, so that moving down never hits one not yet moved. */
#define HIGH 64

int given_settle(struct given *g, struct err *err)
{
	int r = 0;

	for (int i = 0; i < SLOT_MAX_; i++) {
		if (g->fd[i] >= 0)
			g->fd[i] = fcntl(g->fd[i], F_DUPFD_CLOEXEC, HIGH);
		else
			continue;
		if (g->fd[i] < 0)
			r = -errno;
	}
	for (int i = 0; i < SLOT_MAX_; i++) {
		int to = GIVEN_FD_BASE + i;

		if (g->fd[i] < 0) {
			(void)close(to);
			continue;
		}
		if (dup3(g->fd[i], to, O_CLOEXEC) < 0)
			r = -errno;
		g->fd[i] = to;
	}
	if (r < 0)
		return err_set(err, ERR_UNAVAILABLE, "descriptors", -r, "dup");
	if (close_range(GIVEN_FD_BASE + SLOT_MAX_, ~0U, 0) < 0)
		return err_set(err, ERR_UNSUPPORTED, "descriptors", errno, "close_range");
	/* The launcher's log is not the keeper's. */
	if (dup3(STDOUT_FILENO, STDERR_FILENO, 0) < 0)
		return err_set(err, ERR_UNAVAILABLE, "descriptors", errno, "dup");
	return 0;
}
