/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A tree of processes that do nothing, to be killed:
 *
 *	bench-tree N		makes it, says "ready", and waits with it
 *	bench-tree --bare N	makes the same, kills and reaps it, and prints the
 *				nanoseconds from the kill until nobody is left
 */

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../src/base/clock.h"
#include "measure.h"

#define TREE_MAX 100000

/* N processes with their parent. Returns in the parent, when all are there. */
static void grow(unsigned int n)
{
	for (unsigned int i = 1; i < n; i++) {
		pid_t pid = fork();

		if (pid < 0)
			die("fork %u of %u: %s", i, n, strerror(errno));
		if (pid == 0)
			for (;;)
				(void)pause();
	}
}

static void wait_and_reap(pid_t root, int ready)
{
	uint64_t t0;
	char c;

	if (read(ready, &c, 1) != 1)
		die("the tree could not be made");
	t0 = clock_mono();
	if (kill(-root, SIGKILL) < 0)
		die("kill: %s", strerror(errno));
	/* As a subreaper: orphans of the root come here. */
	while (waitpid(-1, NULL, 0) > 0 || errno == EINTR)
		;
	(void)printf("%" PRIu64 "\n", clock_mono() - t0);
}

static void bare(unsigned int n)
{
	int p[2];
	pid_t root;

	if (pipe(p) < 0 || prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0)
		die("pipe, prctl: %s", strerror(errno));
	root = fork();
	if (root < 0)
		die("fork: %s", strerror(errno));
	if (root == 0) {
		(void)close(p[0]);
		(void)setsid();
		grow(n);
		if (write(p[1], "", 1) != 1)
			_exit(1);
		for (;;)
			(void)pause();
	}
	(void)close(p[1]);
	wait_and_reap(root, p[0]);
	(void)close(p[0]);
}

int main(int argc, char **argv)
{
	if (argc == 3 && strcmp(argv[1], "--bare") == 0) {
		bare(count_arg(argv[2], TREE_MAX));
		return 0;
	}
	grow(count_arg(argc == 2 ? argv[1] : NULL, TREE_MAX));
	if (write(STDOUT_FILENO, "ready\n", 6) != 6)
		return 1;
	for (;;)
		(void)pause();
}
