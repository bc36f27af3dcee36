/* SPDX-License-Identifier: Apache-2.0 */

/*
 * bench-pipe BYTES - `head -c BYTES /dev/zero`, read from a pipe and thrown away
 *
 * The pipe has 1 MiB if the kernel grants it: the best that a reader can do.
 * Prints nanoseconds from the start of the program to its end.
 */

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../src/base/clock.h"
#include "../src/base/num.h"
#include "measure.h"

static pid_t start_head(const char *bytes, int out)
{
	pid_t pid = vfork();

	if (pid == 0) {
		(void)dup2(out, STDOUT_FILENO);
		(void)execlp("head", "head", "-c", bytes, "/dev/zero", (char *)NULL);
		_exit(127);
	}
	if (pid < 0)
		die("vfork: %s", strerror(errno));
	return pid;
}

int main(int argc, char **argv)
{
	static char buf[1 << 20];
	uint64_t want = 0, sum = 0, t0;
	int p[2], status = 0;
	ssize_t n;
	pid_t pid;

	if (argc != 2 || num_parse_u64(argv[1], 1, UINT64_C(1) << 40, &want) < 0)
		die("usage: bench-pipe BYTES");
	if (pipe2(p, O_CLOEXEC) < 0)
		die("pipe: %s", strerror(errno));
	(void)fcntl(p[0], F_SETPIPE_SZ, 1 << 20);

	t0 = clock_mono();
	pid = start_head(argv[1], p[1]);
	(void)close(p[1]);
	while ((n = read(p[0], buf, sizeof(buf))) > 0 || (n < 0 && errno == EINTR))
		sum += n > 0 ? (uint64_t)n : 0;
	if (waitpid(pid, &status, 0) != pid || status != 0 || sum != want)
		die("head ended with status 0x%x after %" PRIu64 " bytes", status, sum);
	(void)printf("%" PRIu64 "\n", clock_mono() - t0);
	return 0;
}
