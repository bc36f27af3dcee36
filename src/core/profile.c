/* SPDX-License-Identifier: Apache-2.0 */

#include "profile.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysinfo.h>

#include "../base/err.h"
#include "../base/macro.h"

#define SCRATCH_MAX ((uint64_t)1 << 30)
#define SCRATCH_MIN ((uint64_t)16 << 20)

/* Six hours: what nobody looks after any more ends by itself. */
#define LIFETIME_MS UINT64_C(21600000)

/*
 * A soft limit of 1024 is what select(2) can bear and what systemd gives; who
 * needs more raises his own, up to this.
 */
#define OPEN_FILES UINT64_C(524288)

static const char *const system_dirs[] = {
	"/usr",	   "/bin", "/sbin", "/lib", "/lib32", "/lib64",
	"/libx32", "/etc", "/opt",  "/nix", NULL,
};

static const char *const no_dirs[] = { NULL };

static const char *const terminal_and_language[] = {
	"TERM", "LANG", "LANGUAGE", "LC_*", "TZ", "COLORTERM", "NO_COLOR", NULL,
};

#define GIVEN(id) (1u << (id))

static const struct profile profiles[] = {
	{
		.name = PROFILE_DEFAULT,
		.doc = "A native sandbox: the system read-only, the workspace writable, "
		       "private /tmp and home, no network but loopback.",
		.backend = BACKEND_NATIVE,
		.read = system_dirs,
		.env_pass = terminal_and_language,
		.limits = {
			.given = GIVEN(LIMIT_CORE_BYTES) | GIVEN(LIMIT_OPEN_FILES) |
				 GIVEN(LIMIT_PROCESSES) | GIVEN(LIMIT_LIFETIME_MS),
			.v = {
				[LIMIT_CORE_BYTES] = 0,
				[LIMIT_OPEN_FILES] = OPEN_FILES,
				[LIMIT_PROCESSES] = 4096,
				[LIMIT_LIFETIME_MS] = LIFETIME_MS,
			},
		},
		.scratch_inodes = (uint64_t)1 << 20,
	},
	{
		.name = "trusted-host",
		.doc = "No sandbox: a clean start as the user himself, with all of his rights.",
		.backend = BACKEND_HOST,
		.read = no_dirs,
		.env_pass = terminal_and_language,
		.path_from_caller = true,
		.limits = {
			.given = GIVEN(LIMIT_CORE_BYTES) | GIVEN(LIMIT_OPEN_FILES) |
				 GIVEN(LIMIT_LIFETIME_MS),
			.v = {
				[LIMIT_CORE_BYTES] = 0,
				[LIMIT_OPEN_FILES] = OPEN_FILES,
				[LIMIT_LIFETIME_MS] = LIFETIME_MS,
			},
		},
	},
};

const struct profile *profile_at(size_t n)
{
	return n < ARRAY_SIZE(profiles) ? &profiles[n] : NULL;
}

const struct profile *profile_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(profiles); i++)
		if (strcmp(profiles[i].name, name) == 0)
			return &profiles[i];
	return NULL;
}

size_t profile_index(const struct profile *p)
{
	assert(p >= profiles && p < profiles + ARRAY_SIZE(profiles));
	return (size_t)(p - profiles);
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
