/* SPDX-License-Identifier: Apache-2.0 */

#include "given.h"

#include <fcntl.h>
#include <unistd.h>

/* Above every fixed number, so that moving down never hits one not yet moved. */
#define HIGH 64

void given_settle(struct given *g)
{
	for (int i = 0; i < SLOT_MAX_; i++)
		if (g->fd[i] >= 0)
			g->fd[i] = fcntl(g->fd[i], F_DUPFD_CLOEXEC, HIGH);
	for (int i = 0; i < SLOT_MAX_; i++) {
		int to = GIVEN_FD_BASE + i;

		if (g->fd[i] < 0) {
			(void)close(to);
			continue;
		}
		(void)dup3(g->fd[i], to, O_CLOEXEC);
		g->fd[i] = to;
	}
	(void)close_range(GIVEN_FD_BASE + SLOT_MAX_, ~0U, 0);
	/* The launcher's log is not the keeper's. */
	(void)dup3(STDOUT_FILENO, STDERR_FILENO, 0);
}
