/* SPDX-License-Identifier: Apache-2.0 */

#include "measure.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../src/base/clock.h"
#include "../src/base/num.h"

void die(const char *fmt, ...)
{
	va_list ap;

	(void)fprintf(stderr, "bench: ");
	va_start(ap, fmt);
	(void)vfprintf(stderr, fmt, ap);
	va_end(ap);
	(void)fputc('\n', stderr);
	exit(1);
}

unsigned int count_arg(const char *text, unsigned int max)
{
	uint64_t v = 0;

	if (!text || num_parse_u64(text, 1, max, &v) < 0)
		die("a number from 1 to %u, not '%s'", max, text ? text : "");
	return (unsigned int)v;
}

void samples_add(struct samples *s, uint64_t v)
{
	if (s->n == s->cap) {
		size_t cap = s->cap ? 2 * s->cap : 256;
		uint64_t *p = reallocarray(s->v, cap, sizeof(*p));

		if (!p)
			die("no memory");
		s->v = p;
		s->cap = cap;
	}
	s->v[s->n++] = v;
}

static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

uint64_t samples_at(struct samples *s, unsigned int per_mille)
{
	size_t i = s->n * per_mille / 1000;

	if (s->n == 0)
		return 0;
	qsort(s->v, s->n, sizeof(*s->v), by_value);
	return s->v[i < s->n ? i : s->n - 1];
}

void samples_fini(struct samples *s)
{
	free(s->v);
	memset(s, 0, sizeof(*s));
}

void samples_print(struct samples *s, const char *name)
{
	(void)printf("%s\t%zu\t%.1f\t%.1f\t%.1f\t%.1f\n", name, s->n,
		     (double)samples_at(s, 0) / 1e3, (double)samples_at(s, 250) / 1e3,
		     (double)samples_at(s, 500) / 1e3, (double)samples_at(s, 990) / 1e3);
}

uint64_t bare_spawn(const char *path)
{
	char *const argv[] = { (char *)(uintptr_t)path, NULL };
	char *const envp[] = { NULL };
	uint64_t t0 = clock_mono();
	int status = 0;
	pid_t pid;

	pid = vfork();
	if (pid == 0) {
		(void)execve(path, argv, envp);
		_exit(127);
	}
	if (pid < 0)
		die("vfork: %s", strerror(errno));
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			die("waitpid: %s", strerror(errno));
	if (status != 0)
		die("%s ended with status 0x%x", path, status);
	return clock_mono() - t0;
}
