/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What a process.run of /bin/true costs over one connection:
 *
 *	bench-call --socket PATH --workspace DIR [--rounds N] [--batch N]
 *		   [--pause MS] CASE...
 *
 * CASE is "bare" (vfork, exec, wait), "host", "native", or "cold": native in a
 * workspace that nothing can be prepared for, a new one each time. A sample is
 * the mean of a batch without a gap; before it is a pause, in which the engine
 * may make ready what it makes ahead of need. Cases take turns.
 */

#include <errno.h>
#include <jansson.h>
#include <limits.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <proctor/proctor.h>

#include "../src/base/clock.h"
#include "measure.h"

#define PROGRAM "/bin/true"
#define CASES_MAX 8

struct kind {
	const char *name;
	bool bare, cold;
	const char *profile;
	struct proctor *connection; /* not of "cold" */
	struct samples samples;
};

struct setup {
	const char *socket, *workspace;
	unsigned int rounds, batch, pause_ms, fresh;
};

static struct proctor *dial(const struct setup *s, const char *profile,
			    const char *workspace)
{
	const char *const profiles[] = { profile, NULL };
	struct proctor_options o = {
		.size = sizeof(o),
		.socket = s->socket,
		.client = "bench/1",
		.workspace = workspace,
		.profiles = profiles,
	};
	struct proctor_error error = { 0 };
	struct proctor *p = NULL;

	if (proctor_connect(&o, &p, &error) < 0)
		die("connect: %s", error.message);
	return p;
}

static void check(const struct proctor_reply *r)
{
	json_t *meta = json_loads(proctor_reply_meta(r), 0, NULL);
	const json_t *exit_code = json_object_get(meta, "exit_code");

	if (proctor_reply_code(r) != PROCTOR_OK)
		die("process.run: %s", proctor_reply_error(r)->message);
	if (!json_is_integer(exit_code) || json_integer_value(exit_code) != 0)
		die("the command did not end well: %s", proctor_reply_meta(r));
	json_decref(meta);
}

static void run(struct proctor *p)
{
	const struct proctor_request q = {
		.size = sizeof(q),
		.op = "process.run",
		.params = "{\"argv\":[\"" PROGRAM "\"]}",
	};
	struct proctor_error error = { 0 };
	struct proctor_reply *r = NULL;

	if (proctor_call(p, &q, &r, &error) < 0)
		die("process.run: %s", error.message);
	check(r);
	proctor_reply_free(r);
}

static void measure_cold(struct setup *s, struct kind *k)
{
	char path[PATH_MAX];
	struct proctor *p;
	uint64_t t0;

	if (snprintf(path, sizeof(path), "%s/cold%u", s->workspace, s->fresh++) >=
		    (int)sizeof(path) ||
	    mkdir(path, 0755) < 0)
		die("mkdir in %s: %s", s->workspace, strerror(errno));
	p = dial(s, k->profile, path);
	t0 = clock_mono();
	run(p);
	samples_add(&k->samples, clock_mono() - t0);
	proctor_close(p);
}

static void measure(struct setup *s, struct kind *k)
{
	uint64_t sum = 0, t0;

	if (s->pause_ms > 0)
		(void)poll(NULL, 0, (int)s->pause_ms);
	if (k->cold) {
		measure_cold(s, k);
		return;
	}
	t0 = clock_mono();
	for (unsigned int i = 0; i < s->batch; i++) {
		if (k->bare)
			sum += bare_spawn(PROGRAM);
		else
			run(k->connection);
	}
	if (!k->bare)
		sum = clock_mono() - t0;
	samples_add(&k->samples, sum / s->batch);
}

static void open_kind(const struct setup *s, struct kind *k)
{
	k->bare = strcmp(k->name, "bare") == 0;
	k->cold = strcmp(k->name, "cold") == 0;
	k->profile = strcmp(k->name, "host") == 0 ? "trusted-host" : "default";
	if (!k->bare && !k->cold && strcmp(k->name, "host") != 0 &&
	    strcmp(k->name, "native") != 0)
		die("no case '%s'", k->name);
	if (k->bare || k->cold)
		return;
	k->connection = dial(s, k->profile, s->workspace);
	/* The first one of all has files to read and roots to build. */
	run(k->connection);
}

int main(int argc, char **argv)
{
	struct setup s = { .rounds = 200, .batch = 1 };
	static struct kind kinds[CASES_MAX];
	size_t n = 0;

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--socket") == 0)
			s.socket = argv[++i];
		else if (strcmp(argv[i], "--workspace") == 0)
			s.workspace = argv[++i];
		else if (strcmp(argv[i], "--rounds") == 0)
			s.rounds = count_arg(argv[++i], 100000);
		else if (strcmp(argv[i], "--batch") == 0)
			s.batch = count_arg(argv[++i], 100000);
		else if (strcmp(argv[i], "--pause") == 0)
			s.pause_ms = count_arg(argv[++i], 10000);
		else if (n < CASES_MAX)
			kinds[n++].name = argv[i];
	}
	if (!s.socket || !s.workspace || n == 0)
		die("usage: bench-call --socket PATH --workspace DIR [--rounds N] "
		    "[--batch N] "
		    "[--pause MS] CASE...");

	for (size_t i = 0; i < n; i++)
		open_kind(&s, &kinds[i]);
	for (unsigned int r = 0; r < s.rounds; r++)
		for (size_t i = 0; i < n; i++)
			measure(&s, &kinds[i]);
	for (size_t i = 0; i < n; i++) {
		samples_print(&kinds[i].samples, kinds[i].name);
		samples_fini(&kinds[i].samples);
		proctor_close(kinds[i].connection);
	}
	return 0;
}
