/* SPDX-License-Identifier: Apache-2.0 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../src/base/dirs.h"

static char base[] = "/tmp/test-dirs-XXXXXX";

static int clear(void **state)
{
	static const char *const names[] = { "PROCTOR_STATE_DIR", "PROCTOR_RUNTIME_DIR",
					     "XDG_STATE_HOME", "XDG_RUNTIME_DIR",
					     "HOME" };

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		(void)unsetenv(names[i]);
	return 0;
}

static void test_our_own_variables_come_first(void **state)
{
	char dir[PATH_MAX];

	(void)state;
	(void)setenv("PROCTOR_STATE_DIR", "/a/state", 1);
	(void)setenv("PROCTOR_RUNTIME_DIR", "/a/run", 1);
	(void)setenv("XDG_STATE_HOME", "/b", 1);
	assert_int_equal(dirs_state(dir, NULL), 0);
	assert_string_equal(dir, "/a/state");
	assert_int_equal(dirs_runtime(dir, NULL), 0);
	assert_string_equal(dir, "/a/run");
}

static void test_a_relative_path_is_refused(void **state)
{
	char dir[PATH_MAX] = "untouched";
	struct err err;

	(void)state;
	(void)setenv("PROCTOR_STATE_DIR", "state", 1);
	assert_int_equal(dirs_state(dir, &err), -ERR_INVALID_INPUT);
	assert_string_equal(dir, "untouched");
	assert_non_null(strstr(err.msg, "PROCTOR_STATE_DIR"));
}

static void test_root_and_users_have_places_of_their_own(void **state)
{
	char dir[PATH_MAX];

	(void)state;
	(void)setenv("HOME", "/home/me", 1);
	(void)setenv("XDG_RUNTIME_DIR", "relative is ignored", 1);
	assert_int_equal(dirs_state(dir, NULL), 0);
	assert_string_equal(dir, geteuid() == 0 ? "/var/lib/proctor" :
						  "/home/me/.local/state/proctor");
	assert_int_equal(dirs_runtime(dir, NULL), 0);
	assert_string_equal(dir, geteuid() == 0 ? "/run/proctor" :
						  "/home/me/.local/state/proctor/run");
}

static void test_a_directory_is_made_with_its_parents_for_us_alone(void **state)
{
	char path[PATH_MAX];
	struct stat st;
	int fd = -1;

	(void)state;
	(void)snprintf(path, sizeof(path), "%s/a/b/c", base);
	assert_int_equal(dirs_make(path, &fd, NULL), 0);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	(void)close(fd);
	assert_int_equal(dirs_make(path, &fd, NULL), 0); /* and found again */
	(void)close(fd);
}

static void test_a_directory_open_to_others_is_refused_with_the_cure(void **state)
{
	char path[PATH_MAX];
	struct err err;
	int fd = -1;

	(void)state;
	(void)snprintf(path, sizeof(path), "%s/open", base);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(chmod(path, 0750), 0);
	assert_int_equal(dirs_make(path, &fd, &err), -ERR_UNAVAILABLE);
	assert_int_equal(fd, -1);
	assert_non_null(strstr(err.msg, "chmod 700"));
}

static void test_a_link_and_a_file_are_no_directory(void **state)
{
	char path[PATH_MAX], target[PATH_MAX];
	struct err err;
	int fd = -1;
	FILE *f;

	(void)state;
	(void)snprintf(target, sizeof(target), "%s/target", base);
	(void)snprintf(path, sizeof(path), "%s/link", base);
	assert_int_equal(mkdir(target, 0700), 0);
	assert_int_equal(symlink(target, path), 0);
	assert_int_equal(dirs_make(path, &fd, &err), -ERR_UNAVAILABLE);

	(void)snprintf(path, sizeof(path), "%s/file", base);
	f = fopen(path, "w");
	assert_non_null(f);
	(void)fclose(f);
	assert_int_equal(dirs_make(path, &fd, &err), -ERR_UNAVAILABLE);
	assert_int_equal(fd, -1);
}

static void test_somebody_elses_directory_is_refused(void **state)
{
	char path[PATH_MAX];
	struct err err;
	int fd = -1;

	(void)state;
	if (geteuid() != 0)
		skip();
	(void)snprintf(path, sizeof(path), "%s/theirs", base);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(chown(path, 12345, 12345), 0);
	assert_int_equal(dirs_make(path, &fd, &err), -ERR_UNAVAILABLE);
	assert_non_null(strstr(err.msg, "12345"));
}

static void test_a_path_that_is_too_long_is_told(void **state)
{
	char *path = malloc(PATH_MAX + 10), dir[PATH_MAX];
	struct err err;
	int fd = -1;

	(void)state;
	assert_non_null(path);
	memset(path, 'a', PATH_MAX + 9);
	path[0] = '/';
	path[PATH_MAX + 9] = '\0';
	assert_int_equal(dirs_make(path, &fd, &err), -ERR_INVALID_INPUT);
	(void)setenv("PROCTOR_STATE_DIR", path, 1);
	assert_int_equal(dirs_state(dir, &err), -ERR_INVALID_INPUT);
	free(path);
}

static void test_the_program_knows_its_folder(void **state)
{
	char dir[PATH_MAX], exe[PATH_MAX + 16];

	(void)state;
	assert_int_equal(dirs_program(dir), 0);
	(void)snprintf(exe, sizeof(exe), "%s/test-dirs", dir);
	assert_int_equal(access(exe, X_OK), 0);
}

static int remove_base(void **state)
{
	static const char *const names[] = { "a/b/c", "a/b",  "a",	"open",
					     "link",  "file", "target", "theirs" };
	char path[PATH_MAX];

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		(void)snprintf(path, sizeof(path), "%s/%s", base, names[i]);
		(void)remove(path);
	}
	return rmdir(base);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_our_own_variables_come_first, clear),
		cmocka_unit_test_setup(test_a_relative_path_is_refused, clear),
		cmocka_unit_test_setup(test_root_and_users_have_places_of_their_own,
				       clear),
		cmocka_unit_test(test_a_directory_is_made_with_its_parents_for_us_alone),
		cmocka_unit_test(
			test_a_directory_open_to_others_is_refused_with_the_cure),
		cmocka_unit_test(test_a_link_and_a_file_are_no_directory),
		cmocka_unit_test(test_somebody_elses_directory_is_refused),
		cmocka_unit_test_setup(test_a_path_that_is_too_long_is_told, clear),
		cmocka_unit_test(test_the_program_knows_its_folder),
	};

	if (!mkdtemp(base))
		return 1;
	return cmocka_run_group_tests(tests, NULL, remove_base);
}
