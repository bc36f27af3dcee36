/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Whole programs, from vfork to the end, in turns:
 *
 *	bench-exec ROUNDS --- PROGRAM [ARG...] --- PROGRAM [ARG...] ...
 *
 * Their output goes to /dev/null; each must end with status 0.
 */

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../src/base/clock.h"
#include "measure.h"

#define PROGRAMS_MAX 8

extern char **environ;

struct program {
	char **argv;
	struct samples samples;
};

static void run(struct program *p, const posix_spawn_file_actions_t *actions)
{
	uint64_t t0 = clock_mono();
	int status = 0, r;
	pid_t pid;

	r = posix_spawnp(&pid, p->argv[0], actions, NULL, p->argv, environ);
	if (r != 0)
		die("%s: %s", p->argv[0], strerror(r));
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			die("waitpid: %s", strerror(errno));
	if (status != 0)
		die("%s ended with status 0x%x", p->argv[0], status);
	samples_add(&p->samples, clock_mono() - t0);
}

int main(int argc, char **argv)
{
	struct program programs[PROGRAMS_MAX] = { 0 };
	posix_spawn_file_actions_t actions;
	unsigned int rounds = count_arg(argc > 1 ? argv[1] : NULL, 100000);
	size_t n = 0;

	for (int i = 2; i < argc; i++) {
		if (strcmp(argv[i], "---") != 0)
			continue;
		argv[i] = NULL;
		if (i + 1 < argc && n < PROGRAMS_MAX)
			programs[n++].argv = argv + i + 1;
	}
	if (n == 0)
		die("usage: bench-exec ROUNDS --- PROGRAM [ARG...] ...");
	if (posix_spawn_file_actions_init(&actions) != 0 ||
	    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0) !=
		    0 ||
	    posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0) != 0)
		die("no memory");

	for (size_t i = 0; i < n; i++)
		run(&programs[i], &actions);
	for (size_t i = 0; i < n; i++)
		samples_fini(&programs[i].samples);
	for (unsigned int r = 0; r < rounds; r++)
		for (size_t i = 0; i < n; i++)
			run(&programs[i], &actions);
	for (size_t i = 0; i < n; i++) {
		char name[24];

		(void)snprintf(name, sizeof(name), "%zu", i);
		samples_print(&programs[i].samples, name);
		samples_fini(&programs[i].samples);
	}
	(void)posix_spawn_file_actions_destroy(&actions);
	return 0;
}
