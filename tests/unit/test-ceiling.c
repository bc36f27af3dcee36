/* SPDX-License-Identifier: Apache-2.0 */

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../src/base/macro.h"
#include "../../src/core/ceiling.h"

/* A directory of the test's own, with "in", "in/deep", "out", and a link to it. */
static char top[64];

static char *at(const char *name)
{
	char *path = NULL;

	assert_true(asprintf(&path, "%s/%s", top, name) > 0);
	return path;
}

static void make_dir(const char *name, mode_t mode)
{
	CLEANUP(free) char *path = at(name);

	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(chmod(path, mode), 0);
}

static int set_up(void **state)
{
	CLEANUP(free) char *link = NULL;

	(void)state;
	(void)snprintf(top, sizeof(top), "/tmp/test-ceiling-XXXXXX");
	assert_non_null(mkdtemp(top));
	assert_int_equal(chmod(top, 0755), 0);
	make_dir("in", 0755);
	make_dir("in/deep", 0755);
	make_dir("out", 0700);
	link = at("link");
	assert_int_equal(symlink("in/deep", link), 0);
	return 0;
}

static int tear_down(void **state)
{
	static const char *const all[] = {
		"in/escape", "in/deep", "in", "out", "link", ""
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		CLEANUP(free) char *path = at(all[i]);

		(void)unlink(path);
		(void)rmdir(path);
	}
	return access(top, F_OK) == 0;
}

static struct principal *me(void)
{
	struct principal *p = NULL;

	assert_int_equal(principal_new(&p, geteuid(), getegid(), NULL), 0);
	return p;
}

static int try_open(const char *path, bool by_hand, const char *profile, struct err *err)
{
	CLEANUP(principal_unref) struct principal *who = me();
	CLEANUP(ceiling_fini) struct ceiling c = CEILING_INIT;
	char name[32];
	char *names[] = { name };
	struct ceiling_request req = { .workspace = path, .by_hand = by_hand };

	if (profile) {
		(void)snprintf(name, sizeof(name), "%s", profile);
		req.profiles = names;
		req.n_profiles = 1;
	}
	return ceiling_open(&c, who, &req, err);
}

static void test_a_workspace_is_kept_by_its_real_path_and_inode(void **state)
{
	CLEANUP(principal_unref) struct principal *who = me();
	CLEANUP(ceiling_fini) struct ceiling c = CEILING_INIT;
	CLEANUP(free) char *link = at("link");
	CLEANUP(free) char *real = at("in/deep");
	struct ceiling_request req = { .workspace = link };
	struct stat st;

	(void)state;
	assert_int_equal(ceiling_open(&c, who, &req, NULL), 0);
	assert_int_equal(stat(real, &st), 0);
	assert_string_equal(c.workspace.path, real);
	assert_int_equal(c.workspace.dev, st.st_dev);
	assert_int_equal(c.workspace.ino, st.st_ino);
	assert_int_equal(c.workspace.uid, geteuid());
	assert_true(fcntl(c.workspace.fd, F_GETFD) & FD_CLOEXEC);
}

static void test_nothing_asked_for_is_the_default_profile_without_a_workspace(
	void **state)
{
	CLEANUP(principal_unref) struct principal *who = me();
	CLEANUP(ceiling_fini) struct ceiling c = CEILING_INIT;
	struct ceiling_request req = { 0 };
	const struct profile *p = NULL;
	struct err err = { 0 };

	(void)state;
	assert_int_equal(ceiling_open(&c, who, &req, NULL), 0);
	assert_null(c.workspace.path);
	assert_int_equal(c.workspace.fd, -1);
	assert_int_equal(ceiling_profile(&c, NULL, &p, NULL), 0);
	assert_string_equal(p->name, "default");
	p = NULL;
	assert_int_equal(ceiling_profile(&c, "trusted-host", &p, &err), -ERR_DENIED);
	assert_string_equal(err.stage, "profile");
	assert_int_equal(ceiling_profile(&c, "nonsense", &p, &err), -ERR_DENIED);
	assert_null(p);
	assert_true(ceiling_may(&c, 0));
	assert_true(ceiling_may(&c, 63));
	assert_false(ceiling_may(&c, 64));
}

static void test_operations_not_named_are_refused(void **state)
{
	CLEANUP(principal_unref) struct principal *who = me();
	CLEANUP(ceiling_fini) struct ceiling c = CEILING_INIT;
	struct ceiling_request req = { .operations = 1u << 3 };

	(void)state;
	assert_int_equal(ceiling_open(&c, who, &req, NULL), 0);
	assert_true(ceiling_may(&c, 3));
	assert_false(ceiling_may(&c, 2));
}

static void test_bad_workspaces_are_refused_by_name_of_the_field(void **state)
{
	CLEANUP(free) char *absent = at("absent");
	CLEANUP(free) char *file = at("file");
	const char *const bad[] = { "", "relative", absent, file, "/proc/self/fd/0" };
	int fd = open(file, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);

	(void)state;
	assert_true(fd >= 0);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct err err = { 0 };

		assert_int_equal(try_open(bad[i], true, NULL, &err), -ERR_INVALID_INPUT);
		assert_string_equal(err.stage, "hello.workspace");
	}
	(void)close(fd);
	(void)unlink(file);
}

static void test_an_unknown_profile_is_refused(void **state)
{
	struct err err = { 0 };

	(void)state;
	assert_int_equal(try_open(NULL, false, "root", &err), -ERR_INVALID_INPUT);
	assert_string_equal(err.stage, "hello.profiles");
}

static void test_root_and_home_are_refused_unless_named_by_hand(void **state)
{
	CLEANUP(principal_unref) struct principal *who = me();
	struct stat st;

	(void)state;
	assert_int_equal(try_open("/", false, "trusted-host", NULL), -ERR_DENIED);
	assert_int_equal(try_open("/", true, "trusted-host", NULL), 0);
	assert_int_equal(try_open("/", true, "default", NULL), -ERR_DENIED);
	assert_int_equal(try_open("/usr", false, NULL, NULL), -ERR_DENIED);
	assert_int_equal(try_open("/usr", true, NULL, NULL), 0);
	assert_int_equal(try_open("/proc", true, NULL, NULL), -ERR_DENIED);
	assert_int_equal(try_open("/proc/self", true, NULL, NULL), -ERR_DENIED);
	if (strcmp(who->home, "/") == 0 || stat(who->home, &st) < 0)
		return;
	assert_int_equal(try_open(who->home, false, NULL, NULL), -ERR_DENIED);
	assert_int_equal(try_open(who->home, true, NULL, NULL), 0);
}

static void test_a_directory_that_holds_the_home_counts_as_home(void **state)
{
	struct principal who = {
		.refs = 1,
		.uid = geteuid(),
		.gid = getegid(),
		.name = top,
		.shell = top,
	};
	CLEANUP(free) char *home = at("in/deep");
	CLEANUP(free) char *above = at("in");
	struct ceiling_request req = { .workspace = above };
	CLEANUP(ceiling_fini) struct ceiling c = CEILING_INIT;

	(void)state;
	who.home = home;
	assert_int_equal(ceiling_open(&c, &who, &req, NULL), -ERR_DENIED);
	req.by_hand = true;
	assert_int_equal(ceiling_open(&c, &who, &req, NULL), 0);
}

/* Not the engine's rights: those of the principal. */
static void test_a_workspace_is_opened_as_its_principal(void **state)
{
	CLEANUP(principal_unref) struct principal *nobody = NULL;
	CLEANUP(free) char *closed = at("out");
	CLEANUP(free) char *open_to_all = at("in");
	struct ceiling_request req = { .workspace = closed };
	CLEANUP(ceiling_fini) struct ceiling c = CEILING_INIT;
	struct err err = { 0 };
	CLEANUP(free) char *below = NULL;

	(void)state;
	if (geteuid() != 0) {
		print_message("skipped: only root can open as somebody else\n");
		skip();
	}
	assert_int_equal(principal_new(&nobody, 65534, 65534, NULL), 0);
	make_dir("out/inner", 0755);
	below = at("out/inner");
	req.workspace = below;
	assert_int_equal(ceiling_open(&c, nobody, &req, &err), -ERR_INVALID_INPUT);
	assert_non_null(strstr(err.msg, "Permission denied"));
	req.workspace = open_to_all;
	assert_int_equal(ceiling_open(&c, nobody, &req, &err), 0);
	assert_int_equal(rmdir(below), 0);
	/* And root is root again. */
	assert_int_equal(setfsuid((uid_t)-1), 0);
	assert_int_equal(setfsgid((gid_t)-1), getegid());
	assert_int_equal(access(closed, R_OK), 0);
}

static void test_a_sandbox_gets_no_other_workspace(void **state)
{
	CLEANUP(principal_unref) struct principal *who = me();
	CLEANUP(ceiling_fini) struct ceiling c = CEILING_INIT;
	CLEANUP(workspace_fini) struct workspace same = WORKSPACE_INIT;
	CLEANUP(workspace_fini) struct workspace deep = WORKSPACE_INIT;
	CLEANUP(workspace_fini) struct workspace w = WORKSPACE_INIT;
	CLEANUP(free) char *in = at("in");
	CLEANUP(free) char *inner = at("in/deep");
	CLEANUP(free) char *out = at("out");
	CLEANUP(free) char *escape = at("in/escape");
	CLEANUP(free) char *climb = at("in/../out");
	struct ceiling_request req = { .workspace = in };
	struct err err = { 0 };

	(void)state;
	assert_int_equal(ceiling_open(&c, who, &req, NULL), 0);
	assert_int_equal(ceiling_workspace(&c, who, NULL, &same, NULL), 0);
	assert_string_equal(same.path, in);
	assert_int_equal(same.ino, c.workspace.ino);
	assert_int_not_equal(same.fd, c.workspace.fd);
	assert_int_equal(ceiling_workspace(&c, who, inner, &deep, NULL), 0);
	assert_string_equal(deep.path, inner);

	assert_int_equal(ceiling_workspace(&c, who, out, &w, &err), -ERR_DENIED);
	assert_string_equal(err.stage, "workspace");
	assert_int_equal(ceiling_workspace(&c, who, climb, &w, NULL), -ERR_DENIED);
	assert_int_equal(ceiling_workspace(&c, who, "deep", &w, NULL), -ERR_DENIED);
	assert_int_equal(ceiling_workspace(&c, who, "/", &w, NULL), -ERR_DENIED);
	assert_int_equal(symlink(out, escape), 0);
	assert_true(ceiling_workspace(&c, who, escape, &w, &err) < 0);
	assert_string_equal(err.stage, "workspace");
	assert_null(w.path);
}

static void test_no_workspace_stays_none(void **state)
{
	CLEANUP(principal_unref) struct principal *who = me();
	CLEANUP(ceiling_fini) struct ceiling c = CEILING_INIT;
	CLEANUP(workspace_fini) struct workspace w = WORKSPACE_INIT;
	struct ceiling_request req = { 0 };

	(void)state;
	assert_int_equal(ceiling_open(&c, who, &req, NULL), 0);
	assert_int_equal(ceiling_workspace(&c, who, NULL, &w, NULL), 0);
	assert_null(w.path);
	assert_int_equal(ceiling_workspace(&c, who, top, &w, NULL), -ERR_DENIED);
}

static void test_cwd_lies_within_the_workspace(void **state)
{
	static const struct {
		const char *base, *cwd, *below; /* below NULL: refused */
	} cases[] = {
		{ "/w/s", NULL, "" },
		{ "/w/s", "", "" },
		{ "/w/s", ".", "" },
		{ "/w/s", "a", "a" },
		{ "/w/s", "./a//b/", "a/b" },
		{ "/w/s", "a/../b", "b" },
		{ "/w/s", "a/..", "" },
		{ "/w/s", "...", "..." },
		{ "/w/s", "..", NULL },
		{ "/w/s", "a/../..", NULL },
		{ "/w/s", "../s", NULL },
		{ "/w/s", "/w/s", "" },
		{ "/w/s", "/w/s/", "" },
		{ "/w/s", "//w///s/a", "a" },
		{ "/w/s", "/w/s/../s/a", "a" },
		{ "/w/s", "/w/s/..", NULL },
		{ "/w/s", "/w/s/../../etc", NULL },
		{ "/w/s", "/w/sx", NULL },
		{ "/w/s", "/w", NULL },
		{ "/w/s", "/", NULL },
		{ "/w/s", "/etc", NULL },
		{ "/w/s", "/../w/s", NULL },
		{ "/", "/etc", "etc" },
		{ "/", "etc", "etc" },
		{ "/", "/", "" },
		{ "/", "..", NULL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		CLEANUP(free) char *below = NULL;
		struct err err = { 0 };
		int r = cwd_below(cases[i].base, cases[i].cwd, &below, &err);

		if (cases[i].below) {
			assert_int_equal(r, 0);
			assert_string_equal(below, cases[i].below);
		} else {
			assert_int_equal(r, -ERR_INVALID_INPUT);
			assert_string_equal(err.stage, "cwd");
			assert_null(below);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_workspace_is_kept_by_its_real_path_and_inode),
		cmocka_unit_test(
			test_nothing_asked_for_is_the_default_profile_without_a_workspace),
		cmocka_unit_test(test_operations_not_named_are_refused),
		cmocka_unit_test(test_bad_workspaces_are_refused_by_name_of_the_field),
		cmocka_unit_test(test_an_unknown_profile_is_refused),
		cmocka_unit_test(test_root_and_home_are_refused_unless_named_by_hand),
		cmocka_unit_test(test_a_directory_that_holds_the_home_counts_as_home),
		cmocka_unit_test(test_a_workspace_is_opened_as_its_principal),
		cmocka_unit_test(test_a_sandbox_gets_no_other_workspace),
		cmocka_unit_test(test_no_workspace_stays_none),
		cmocka_unit_test(test_cwd_lies_within_the_workspace),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
