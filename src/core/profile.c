/* SPDX-License-Identifier: Apache-2.0 */

#include "profile.h"

#include <stdio.h>
#include <string.h>
#include <sys/sysinfo.h>

#include "../base/buf.h"
#include "../base/cleanup.h"
#include "../base/macro.h"

#define SCRATCH_MAX ((uint64_t)1 << 30)
#define SCRATCH_MIN ((uint64_t)16 << 20)

size_t profile_index(const struct profile *p)
{
	return p->index;
}

const char *backend_name(enum backend b)
{
	switch (b) {
	case BACKEND_NATIVE:
		return "native";
	case BACKEND_HOST:
		return "host";
	}
	return "none";
}

const char *network_name(enum network n)
{
	switch (n) {
	case NETWORK_NONE:
		return "none";
	case NETWORK_HOST:
		return "host";
	}
	return "none";
}

/* name is `pattern`, or begins with it if that ends in '*'. */
static bool matches(const char *pattern, const char *name, size_t len)
{
	size_t n = strlen(pattern);

	if (n > 0 && pattern[n - 1] == '*')
		return len >= n - 1 && strncmp(name, pattern, n - 1) == 0;
	return len == n && strncmp(name, pattern, n) == 0;
}

bool profile_passes(const struct profile *p, const char *name, size_t len)
{
	for (size_t i = 0; p->env_pass[i]; i++)
		if (matches(p->env_pass[i], name, len))
			return true;
	return false;
}

/* A rule's first word without a slash is the name of a program, wherever it lies. */
static bool is_program(const char *rule, const char *program)
{
	const char *base = strrchr(program, '/');

	if (strcmp(rule, program) == 0)
		return true;
	return base && !strchr(rule, '/') && strcmp(rule, base + 1) == 0;
}

static bool begins(const struct argv_prefix *rule, const char *program,
		   const char *const *rest, size_t n_rest)
{
	if (!is_program(rule->word[0], program))
		return false;
	for (size_t i = 0; rule->word[i + 1]; i++)
		if (i >= n_rest || strcmp(rule->word[i + 1], rest[i]) != 0)
			return false;
	return true;
}

static const struct argv_prefix *first_of(const struct argv_prefix *rules,
					  const char *program, const char *const *rest,
					  size_t n_rest)
{
	for (; rules->word; rules++)
		if (begins(rules, program, rest, n_rest))
			return rules;
	return NULL;
}

static int deny(const struct profile *p, const char *stage, const char *program,
		const struct argv_prefix *rule, struct err *err)
{
	CLEANUP(buf_fini) struct buf words = { 0 };

	for (size_t i = 0; rule && rule->word[i]; i++)
		buf_addf(&words, "%s%s", i > 0 ? ", " : "", rule->word[i]);
	if (rule)
		return err_set(err, ERR_DENIED, stage, 0,
			       "\"%.100s\": profile \"%s\" denies commands that begin "
			       "with [%.200s] (commands.deny in %.100s)",
			       program, p->name, words.data ? words.data : "", p->origin);
	return err_set(err, ERR_DENIED, stage, 0,
		       "\"%.100s\": profile \"%s\" allows certain commands only, and "
		       "this is none of them (commands.allow in %.100s)",
		       program, p->name, p->origin);
}

int profile_command_check(const struct profile *p, const char *stage, const char *program,
			  const char *const *rest, size_t n_rest, struct err *err)
{
	const struct argv_prefix *rule = first_of(p->deny, program, rest, n_rest);

	if (rule)
		return deny(p, stage, program, rule, err);
	if (p->allow->word && !first_of(p->allow, program, rest, n_rest))
		return deny(p, stage, program, NULL, err);
	return 0;
}

uint64_t profile_scratch_bytes(const struct profile *p)
{
	struct sysinfo si;
	uint64_t quarter;

	(void)p;
	if (sysinfo(&si) < 0)
		return SCRATCH_MIN;
	quarter = (uint64_t)si.totalram * si.mem_unit / 4;
	quarter -= quarter % 4096;
	return MAX(MIN(quarter, SCRATCH_MAX), SCRATCH_MIN);
}

/*
 * What makes a loader, a shell, a C library or an interpreter run or read other
 * code than the command says. The sandbox does not depend on it; it is that the
 * record of what was run must stay true.
 */
static const char *const reserved[] = {
	"LD_*",	      "BASH_ENV",	"ENV",
	"SHELLOPTS",  "BASHOPTS",	"PS4",
	"GCONV_PATH", "GLIBC_TUNABLES", "NODE_OPTIONS",
	"PYTHONPATH", "PYTHONHOME",	"PYTHONSTARTUP",
	"PERL5LIB",   "PERL5OPT",	"PERL5DB",
	"RUBYOPT",    "RUBYLIB",	"JAVA_TOOL_OPTIONS",
	"PROCTOR_*",
};

static bool is_name(const char *name, size_t len)
{
	if (len == 0 || (name[0] >= '0' && name[0] <= '9'))
		return false;
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)name[i];

		/* Not isalnum(): it depends on the locale. */
		if (!(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') &&
		    !(c >= '0' && c <= '9') && c != '_')
			return false;
	}
	return true;
}

int profile_env_check(const char *assignment, struct err *err)
{
	const char *eq = strchr(assignment, '=');
	size_t len = eq ? (size_t)(eq - assignment) : strlen(assignment);
	int shown = (int)MIN(len, (size_t)64);
	char stage[ERR_STAGE_MAX] = "env";

	if (!eq || !is_name(assignment, len))
		return err_set(
			err, ERR_INVALID_INPUT, stage, 0,
			"\"%.*s\" is no name of an environment variable; allowed are "
			"letters, digits and '_', and no digit at the beginning",
			shown, assignment);
	(void)snprintf(stage, sizeof(stage), "env.%.*s", shown, assignment);
	for (size_t i = 0; i < ARRAY_SIZE(reserved); i++)
		if (matches(reserved[i], assignment, len))
			return err_set(err, ERR_DENIED, stage, 0,
				       "env.%.*s may not be set by a caller: it changes "
				       "what code "
				       "runs; set it within the command if that is meant",
				       shown, assignment);
	return 0;
}
