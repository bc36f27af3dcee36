/* SPDX-License-Identifier: Apache-2.0 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../src/base/macro.h"
#include "../../src/core/profile-file.h"
#include "../../src/core/profiles.h"

#define HEAD "doc: a test\nbackend: native\nnetwork: {mode: none}\n"

/* --- the language --- */

static int parse(const char *text, struct err *err)
{
	struct profile *p = NULL;
	int r = profile_parse("test", "test.yaml", text, strlen(text), &p, err);

	profile_free(p);
	return r;
}

static void check_refused(const char *text, const char *where, const char *what)
{
	struct err err = { 0 };

	assert_true(parse(text, &err) < 0);
	if (strncmp(err.msg, where, strlen(where)) != 0 || !strstr(err.msg, what))
		fail_msg("%s\nis told as: %s\nexpected:   %s ... %s", text, err.msg,
			 where, what);
}

static void test_errors_name_file_line_and_column(void **state)
{
	static const struct {
		const char *text, *where, *what;
	} all[] = {
		{ HEAD "bogus: 1\n",
		  "test.yaml:4:1: ", "bogus is not known; allowed: doc" },
		{ HEAD "limits:\n  open_files: 3\n", "test.yaml:5:3: ",
		  "limits.open_files is 3; allowed: an integer from 16 to 1048576" },
		{ HEAD "limits:\n  open_files: many\n", "test.yaml:5:3: ", "a string" },
		{ HEAD "limits: {nonsense: 1}\n",
		  "test.yaml:4:10: ", "limits.nonsense is not known" },
		{ HEAD "doc: again\n", "test.yaml:4:1: ", "twice" },
		{ HEAD "limits: &a {}\n", "test.yaml:4:9: ", "anchors" },
		{ HEAD "limits: *a\n", "test.yaml:4:9: ", "aliases" },
		{ HEAD "timeout_ms: !!int 3\n", "test.yaml:4:13: ", "tags" },
		{ HEAD "limits: {<<: {}}\n", "test.yaml:4:10: ", "merge keys" },
		{ HEAD "---\ndoc: two\n", "test.yaml:4:1: ", "second document" },
		{ HEAD "limits: [\n", "test.yaml:5:1: ", "" },
		{ HEAD "\tlimits: {}\n", "test.yaml:4:1: ", "" },
		{ HEAD "timeout_ms: 99999999999999999999\n",
		  "test.yaml:4:13: ", "too large" },
		{ HEAD "timeout_ms: 1.5\n", "test.yaml:4:1: ", "1.5; allowed" },
		{ HEAD "timeout_ms: 0\n",
		  "test.yaml:4:1: ", "allowed: an integer from 1" },
		{ HEAD "? [a, b]\n: c\n", "test.yaml:4:3: ", "a key is text" },
		{ "- a\n- b\n", "test.yaml:1:1: ", "mapping" },
		{ "a", "test.yaml:1:1: ", "mapping" },
		{ "backend: native\nnetwork: {mode: none}\n",
		  "test.yaml:1:1: ", "doc is missing" },
		{ "", "test.yaml:1:1: ", "doc is missing" },
		{ "doc: x\nbackend: docker\nnetwork: {mode: none}\n",
		  "test.yaml:2:1: ", "\"docker\"; allowed: one of native, host" },
		{ "doc: x\nbackend: host\nnetwork: {mode: none}\n",
		  "test.yaml: ", "network.mode" },
		{ HEAD "filesystem: {read: [usr]}\n", "test.yaml:4:14: ", "absolute" },
		{ HEAD "filesystem: {read: [/usr/../etc]}\n",
		  "test.yaml:4:14: ", "absolute" },
		{ HEAD "filesystem: {read: [/usr/]}\n", "test.yaml:4:14: ", "absolute" },
		{ HEAD "filesystem: {read: [/..]}\n", "test.yaml:4:14: ", "absolute" },
		{ HEAD "filesystem: {read: [/]}\n", "test.yaml:4:14: ", "absolute" },
		{ HEAD "filesystem: {read: [\"~\"]}\n", "test.yaml:4:14: ", "absolute" },
		{ HEAD "filesystem: {read: [\"~u/x\"]}\n",
		  "test.yaml:4:14: ", "absolute" },
		{ HEAD "filesystem: {read: [\"~/../x\"]}\n",
		  "test.yaml:4:14: ", "absolute" },
		{ HEAD "filesystem: {read: [/proc]}\n", "test.yaml:4:14: ", "/proc" },
		{ HEAD "filesystem: {read: [/sys/fs/cgroup]}\n",
		  "test.yaml:4:14: ", "/sys" },
		{ HEAD "filesystem: {write: [/dev/mem]}\n", "test.yaml:4:14: ", "/dev" },
		{ HEAD "filesystem: {mask: {hide: [a/../b]}}\n",
		  "test.yaml:4:21: ", "below the workspace" },
		{ HEAD "filesystem: {mask: {read_only: [/]}}\n",
		  "test.yaml:4:21: ", "below the workspace" },
		{ "doc: x\nbackend: host\nnetwork: {mode: host}\n"
		  "filesystem: {mask: {hide: [x]}}\n",
		  "test.yaml: ", "filesystem.mask" },
		{ "doc: x\nbackend: host\nnetwork: {mode: host}\n"
		  "filesystem: {write: [/x]}\n",
		  "test.yaml: ", "filesystem.write" },
		{ HEAD "environment: {pass: [\"A B\"]}\n",
		  "test.yaml:4:15: ", "variable" },
		{ HEAD "environment: {pass: [\"*\"]}\n", "test.yaml:4:15: ", "variable" },
		{ HEAD "environment: {set: {PROCTOR_ID: x}}\n",
		  "test.yaml: ", "PROCTOR_" },
		{ HEAD "commands: {deny: git}\n",
		  "test.yaml:4:12: ", "beginnings of argv" },
		{ HEAD "commands: {deny: [[]]}\n", "test.yaml:4:12: ", "beginnings" },
		{ HEAD "commands: {deny: [[a, 1]]}\n", "test.yaml:4:12: ", "beginnings" },
		{ HEAD "commands: {allow: [\"\"]}\n", "test.yaml:4:12: ", "beginnings" },
		{ HEAD "optional: [seccomp]\n",
		  "test.yaml:4:1: ", "layers that may be absent: cgroup" },
		{ HEAD "limits: {open_files: \"\xff\"}\n", "test.yaml: byte ", "UTF-8" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		check_refused(all[i].text, all[i].where, all[i].what);
}

static void test_what_grows_is_bounded(void **state)
{
	static char text[300000];
	size_t n;

	(void)state;
	memset(text, '#', sizeof(text) - 1);
	check_refused(text, "test.yaml has ", "allowed are");
	n = (size_t)snprintf(text, sizeof(text), HEAD "limits: ");
	memset(text + n, '[', 400);
	text[n + 400] = '\0';
	check_refused(text, "test.yaml:4:", "too deeply");
	n = (size_t)snprintf(text, sizeof(text), HEAD "commands: {allow: [");
	for (int i = 0; i < 20000; i++, n += 2)
		memcpy(text + n, "a,", 3);
	check_refused(text, "test.yaml:4:", "too many values");
}

static void test_each_setting_arrives(void **state)
{
	static const char text[] =
		HEAD "filesystem: {read: [/usr, /lib], scratch_inodes: 0x800}\n"
		     "environment:\n  pass: [A, \"B*\"]\n  set: {C: d e, F: \"\"}\n"
		     "  path: caller\n"
		     "commands: {allow: [[git, log], make]}\n"
		     "limits: {open_files: 99, cpu_seconds: null}\n"
		     "timeout_ms: 5000\noptional: [cgroup]\n";
	struct profile *p = NULL;

	(void)state;
	assert_int_equal(profile_parse("test", "x", text, strlen(text), &p, NULL), 0);
	assert_string_equal(p->name, "test");
	assert_string_equal(p->doc, "a test");
	assert_string_equal(p->text, text);
	assert_string_equal(p->read[1], "/lib");
	assert_null(p->read[2]);
	assert_int_equal(p->scratch_inodes, 2048);
	assert_true(p->cgroup_optional);
	assert_true(profile_passes(p, "BC", 2));
	assert_false(profile_passes(p, "AB", 2));
	assert_string_equal(p->env_set[0], "C=d e");
	assert_string_equal(p->env_set[1], "F=");
	assert_null(p->env_set[2]);
	assert_true(p->path_from_caller);
	assert_string_equal(p->allow[0].word[1], "log");
	assert_string_equal(p->allow[1].word[0], "make");
	assert_null(p->allow[2].word);
	assert_null(p->deny[0].word);
	assert_true(limits_has(&p->limits, LIMIT_OPEN_FILES));
	assert_false(limits_has(&p->limits, LIMIT_CPU_SECONDS));
	assert_int_equal(p->limits.v[LIMIT_OPEN_FILES], 99);
	assert_int_equal(p->timeout_ms, 5000);
	profile_free(p);
}

/* --- commands --- */

static int let(const struct profile *p, const char *const *argv)
{
	size_t n = 0;

	while (argv[n])
		n++;
	return profile_command_check(p, "argv", argv[0], argv + 1, n - 1, NULL);
}

#define ARGV(...) ((const char *const[]){ __VA_ARGS__, NULL })

static void test_commands_are_judged_by_their_beginning(void **state)
{
	static const char text[] = HEAD "commands:\n  allow: [git, [/bin/sh, -c], make]\n"
					"  deny: [[git, push], [make, install, all]]\n";
	struct profile *p = NULL;

	(void)state;
	assert_int_equal(profile_parse("test", "x", text, strlen(text), &p, NULL), 0);
	assert_int_equal(let(p, ARGV("git")), 0);
	assert_int_equal(let(p, ARGV("git", "log")), 0);
	assert_int_equal(let(p, ARGV("/usr/bin/git", "log")), 0);
	assert_int_equal(let(p, ARGV("git", "push")), -ERR_DENIED);
	assert_int_equal(let(p, ARGV("/opt/git", "push", "x")), -ERR_DENIED);
	assert_int_equal(let(p, ARGV("git", "pushx")), 0);
	assert_int_equal(let(p, ARGV("gitx")), -ERR_DENIED);
	assert_int_equal(let(p, ARGV("/bin/sh", "-c", "git push")), 0);
	assert_int_equal(let(p, ARGV("sh", "-c", "x")), -ERR_DENIED);
	assert_int_equal(let(p, ARGV("/bin/sh")), -ERR_DENIED);
	assert_int_equal(let(p, ARGV("make", "install")), 0);
	assert_int_equal(let(p, ARGV("make", "install", "all")), -ERR_DENIED);
	profile_free(p);
}

/* --- files --- */

static char base[] = "/tmp/proctor-profiles.XXXXXX";
static char user[64], site[64];
static unsigned int n_bad;
static struct err last_bad;

static void on_bad(const struct err *bad, void *data)
{
	(void)data;
	n_bad++;
	last_bad = *bad;
}

static int load(struct err *err)
{
	const struct profile_dirs dirs = { user, site };

	n_bad = 0;
	return profiles_load(&dirs, on_bad, NULL, err);
}

static void put(const char *dir, const char *name, const char *text)
{
	char path[128];
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "w");
	assert_non_null(f);
	(void)fputs(text, f);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(chmod(path, 0644), 0);
}

static void drop(const char *dir, const char *name)
{
	char path[128];

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	assert_int_equal(unlink(path), 0);
}

static int make_dirs(void **state)
{
	(void)state;
	if (!mkdtemp(base))
		return -1;
	(void)snprintf(user, sizeof(user), "%s/user", base);
	(void)snprintf(site, sizeof(site), "%s/site", base);
	return mkdir(user, 0755) < 0 || mkdir(site, 0755) < 0 ? -1 : 0;
}

static int remove_dirs(void **state)
{
	(void)state;
	(void)rmdir(user);
	(void)rmdir(site);
	(void)rmdir(base);
	return 0;
}

static void test_the_first_file_of_a_name_counts(void **state)
{
	const struct profile *built_in;

	(void)state;
	assert_int_equal(load(NULL), 0);
	built_in = profile_find("default");
	assert_string_equal(built_in->origin, "built in");
	put(site, "default.yaml", HEAD "timeout_ms: 2\n");
	put(site, "other.yaml", HEAD "timeout_ms: 3\n");
	assert_int_equal(load(NULL), 0);
	assert_int_equal(profile_find("default")->timeout_ms, 2);
	assert_int_equal(profile_find("other")->timeout_ms, 3);
	put(user, "default.yaml", HEAD "timeout_ms: 1\n");
	assert_int_equal(load(NULL), 0);
	assert_int_equal(n_bad, 0);
	assert_int_equal(profile_find("default")->timeout_ms, 1);
	/* Whoever has the one before goes on having it. */
	assert_int_equal(built_in->timeout_ms, 0);
	assert_int_equal(profile_index(built_in), profile_index(profile_find("default")));
	drop(user, "default.yaml");
	drop(site, "default.yaml");
	drop(site, "other.yaml");
	assert_int_equal(load(NULL), 0);
	assert_string_equal(profile_find("default")->origin, "built in");
	assert_null(profile_find("other"));
}

static void test_a_bad_file_replaces_no_good_one(void **state)
{
	const struct profile *p = NULL;
	struct err err = { 0 };

	(void)state;
	put(user, "mine.yaml", HEAD "timeout_ms: 7\n");
	assert_int_equal(load(NULL), 0);
	put(user, "mine.yaml", "timeout_ms: [");
	assert_int_equal(load(NULL), 0);
	assert_int_equal(n_bad, 1);
	assert_non_null(strstr(last_bad.msg, "mine.yaml:"));
	assert_int_equal(profile_find("mine")->timeout_ms, 7);
	drop(user, "mine.yaml");
	assert_int_equal(load(NULL), 0);
	assert_int_equal(profile_get("mine", &p, &err), -ERR_NOT_FOUND);
	/* One that was never good is not there, and nothing else stands in for it. */
	put(user, "mine.yaml", "timeout_ms: [");
	put(site, "mine.yaml", HEAD);
	assert_int_equal(load(NULL), 0);
	assert_int_equal(profile_get("mine", &p, &err), -ERR_UNAVAILABLE);
	assert_non_null(strstr(err.msg, "mine.yaml:"));
	drop(user, "mine.yaml");
	drop(site, "mine.yaml");
	assert_int_equal(load(NULL), 0);
}

static void test_only_what_its_owner_alone_can_write_is_read(void **state)
{
	char path[128];
	struct err err = { 0 };

	(void)state;
	put(user, "open.yaml", HEAD);
	(void)snprintf(path, sizeof(path), "%s/open.yaml", user);
	assert_int_equal(chmod(path, 0664), 0);
	assert_int_equal(load(NULL), 0);
	assert_int_equal(n_bad, 1);
	assert_non_null(strstr(last_bad.msg, "chmod go-w"));
	assert_null(profile_find("open"));
	if (geteuid() == 0) {
		assert_int_equal(chmod(path, 0644), 0);
		assert_int_equal(chown(path, 1234, 0), 0);
		assert_int_equal(load(NULL), 0);
		assert_non_null(strstr(last_bad.msg, "uid 1234"));
	}
	drop(user, "open.yaml");
	assert_int_equal(chmod(user, 0777), 0);
	put(site, "default.yaml", HEAD "timeout_ms: 9\n");
	assert_int_equal(load(&err), -ERR_UNAVAILABLE);
	assert_non_null(strstr(err.msg, user));
	assert_int_equal(profile_find("default")->timeout_ms, 0);
	drop(site, "default.yaml");
	assert_int_equal(chmod(user, 0755), 0);
}

static void test_names_are_narrow_and_few(void **state)
{
	static const char *const bad[] = { "Big.yaml", "a b.yaml", "\xc3\xa4.yaml" };
	char name[32];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		put(user, bad[i], HEAD);
		assert_int_equal(load(NULL), 0);
		assert_int_equal(n_bad, 1);
		assert_non_null(strstr(last_bad.msg, "a-z, 0-9"));
		drop(user, bad[i]);
	}
	put(user, ".hidden.yaml", "[");
	put(user, "notes.txt", "[");
	assert_int_equal(load(NULL), 0);
	assert_int_equal(n_bad, 0);
	drop(user, ".hidden.yaml");
	drop(user, "notes.txt");
	for (int i = 0; i < 40; i++) {
		(void)snprintf(name, sizeof(name), "n%02d.yaml", i);
		put(user, name, HEAD);
	}
	assert_int_equal(load(NULL), 0);
	assert_true(n_bad > 0);
	assert_non_null(strstr(last_bad.msg, "32 profiles already"));
	assert_non_null(profile_find("default"));
	for (int i = 0; i < 40; i++) {
		(void)snprintf(name, sizeof(name), "n%02d.yaml", i);
		drop(user, name);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_errors_name_file_line_and_column),
		cmocka_unit_test(test_what_grows_is_bounded),
		cmocka_unit_test(test_each_setting_arrives),
		cmocka_unit_test(test_commands_are_judged_by_their_beginning),
		cmocka_unit_test(test_the_first_file_of_a_name_counts),
		cmocka_unit_test(test_a_bad_file_replaces_no_good_one),
		cmocka_unit_test(test_only_what_its_owner_alone_can_write_is_read),
		cmocka_unit_test(test_names_are_narrow_and_few),
	};

	return cmocka_run_group_tests(tests, make_dirs, remove_dirs);
}
