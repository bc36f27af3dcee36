/* SPDX-License-Identifier: Apache-2.0 */

#include "options.h"

#include <stdio.h>
#include <string.h>

#include "../base/dirs.h"
#include "../base/fd.h"
#include "../base/num.h"

#define IDLE_EXIT_MAX_MS UINT64_C(604800000)

static const char help[] =
	"proctord [OPTION]...\n"
	"Runs and records commands for agents; see proctord(8).\n"
	"\n"
	"  --state DIR               journal, black boxes and the keepers' sockets\n"
	"  --runtime DIR             where its socket is\n"
	"  --ready-fd N              write a line to this descriptor once it listens\n"
	"  --idle-exit MS            end after so long with nothing alive and no client\n"
	"  --foreground              log to stderr instead of <state>/proctord.log\n"
	"  --journal-sync full|normal  full: a power cut loses nothing that was "
	"answered\n"
	"  --version\n"
	"  --help\n";

static int set_dir(char buf[static PATH_MAX], const char *name, const char *value,
		   struct err *err)
{
	size_t len = strlen(value);

	if (*value != '/' || len >= PATH_MAX)
		return err_set(err, ERR_INVALID_INPUT, NULL, 0,
			       "%s needs an absolute path, not \"%.200s\"", name, value);
	memcpy(buf, value, len + 1);
	/* A name below it is put behind a slash of its own. */
	while (len > 1 && buf[len - 1] == '/')
		buf[--len] = '\0';
	return 0;
}

static int set(struct options *o, const char *name, const char *value, struct err *err)
{
	uint64_t n;

	if (strcmp(name, "--state") == 0)
		return set_dir(o->state, name, value, err);
	if (strcmp(name, "--runtime") == 0)
		return set_dir(o->runtime, name, value, err);
	if (strcmp(name, "--ready-fd") == 0) {
		if (num_parse_u64(value, 0, INT32_MAX, &n) < 0 ||
		    fd_set_cloexec((int)n, true) < 0)
			return err_set(
				err, ERR_INVALID_INPUT, NULL, 0,
				"--ready-fd needs an open descriptor, not \"%.80s\"",
				value);
		o->ready_fd = (int)n;
		return 0;
	}
	if (strcmp(name, "--idle-exit") == 0) {
		if (num_parse_u64(value, 0, IDLE_EXIT_MAX_MS, &n) < 0)
			return err_set(err, ERR_INVALID_INPUT, NULL, 0,
				       "--idle-exit needs milliseconds, 0 to %llu, not "
				       "\"%.80s\"",
				       (unsigned long long)IDLE_EXIT_MAX_MS, value);
		o->idle_exit_ns = n * NS_PER_MS;
		return 0;
	}
	if (strcmp(value, "full") != 0 && strcmp(value, "normal") != 0)
		return err_set(err, ERR_INVALID_INPUT, NULL, 0,
			       "--journal-sync is full or normal, not \"%.80s\"", value);
	o->journal_full = strcmp(value, "full") == 0;
	return 0;
}

static bool takes_value(const char *name)
{
	static const char *const names[] = { "--state", "--runtime", "--ready-fd",
					     "--idle-exit", "--journal-sync" };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (strcmp(name, names[i]) == 0)
			return true;
	return false;
}

/* "--name=value" or "--name value". *i is that of the last argument used. */
static int parse_one(int argc, char **argv, int *i, struct options *o, struct err *err)
{
	const char *equals = strchr(argv[*i], '=');
	char name[32];
	size_t len = equals ? (size_t)(equals - argv[*i]) : strlen(argv[*i]);

	if (strcmp(argv[*i], "--foreground") == 0) {
		o->foreground = true;
		return 0;
	}
	if (strcmp(argv[*i], "--help") == 0 || strcmp(argv[*i], "--version") == 0) {
		(void)fputs(argv[*i][2] == 'h' ? help : "proctord " PROCTOR_VERSION "\n",
			    stdout);
		return fflush(stdout) == 0 ? 1 : 0;
	}
	(void)snprintf(name, sizeof(name), "%.*s", (int)MIN(len, sizeof(name) - 1),
		       argv[*i]);
	if (!takes_value(name))
		return err_set(
			err, ERR_INVALID_INPUT, NULL, 0,
			"unknown argument \"%.80s\"; proctord --help tells what there is",
			argv[*i]);
	if (equals)
		return set(o, name, equals + 1, err);
	if (*i + 1 >= argc)
		return err_set(err, ERR_INVALID_INPUT, NULL, 0, "%s needs a value", name);
	++*i;
	return set(o, name, argv[*i], err);
}

int options_parse(int argc, char **argv, struct options *ret, struct err *err)
{
	struct options o = { .ready_fd = -1 };
	int r = 0;

	for (int i = 1; r == 0 && i < argc; i++)
		r = parse_one(argc, argv, &i, &o, err);
	if (r != 0)
		return r;
	if (!*o.state)
		r = dirs_state(o.state, err);
	if (r == 0 && !*o.runtime)
		r = dirs_runtime(o.runtime, err);
	if (r < 0)
		return r;
	*ret = o;
	return 0;
}
