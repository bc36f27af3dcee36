/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../src/sys/cgroup.h"

#define SYSFS "24 1 0:22 / /sys rw,nosuid - sysfs sysfs rw\n"
#define V1(id, where, what)                                                              \
	id " 24 0:3" id " / /sys/fs/cgroup/" where                                       \
	   " rw,nosuid,nodev,noexec,relatime shared:9 - cgroup cgroup rw," what "\n"
#define V2_AT(where) "42 24 0:27 / " where " rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n"

/* Debian 12, a service of systemd. */
static const char v2_mounts[] = SYSFS V2_AT("/sys/fs/cgroup");
static const char v2_self[] =
	"0::/user.slice/user-1000.slice/user@1000.service/x.scope\n";

/* CentOS 7: named, joined and separate hierarchies. */
static const char v1_mounts[] = SYSFS V1("31", "systemd", "xattr,name=systemd")
	V1("32", "cpu,cpuacct", "cpu,cpuacct") V1("33", "pids", "pids")
		V1("34", "memory", "memory") V1("35", "net_cls", "net_cls");
static const char v1_self[] = "5:net_cls:/\n4:memory:/system.slice/a.service\n"
			      "3:pids:/system.slice/b.service\n2:cpu,cpuacct:/\n"
			      "1:name=systemd:/memory\n";

static const char hybrid_mounts[] = SYSFS V1("33", "pids", "pids")
	V1("34", "memory", "memory") V2_AT("/sys/fs/cgroup/unified");
static const char hybrid_self[] = "8:pids:/\n4:memory:/api/0123\n0::/\n";

static struct cgroups g;

static void test_v2_is_found_and_said_not_to_be_used(void **state)
{
	(void)state;
	cgroup_parse(v2_mounts, v2_self, &g);
	assert_int_equal(g.layout, CGROUP_V2);
	assert_string_equal(g.unified, "/sys/fs/cgroup/user.slice/user-1000.slice/"
				       "user@1000.service/x.scope");
	for (size_t c = 0; c < CGROUP_CONTROLLERS; c++) {
		assert_false(g.at[c].usable);
		assert_non_null(strstr(g.at[c].why, "version 2 alone"));
	}
}

static void test_v1_has_a_place_in_each_hierarchy(void **state)
{
	(void)state;
	cgroup_parse(v1_mounts, v1_self, &g);
	assert_int_equal(g.layout, CGROUP_V1);
	assert_string_equal(g.unified, "");
	assert_true(g.at[CGROUP_MEMORY].usable);
	assert_string_equal(g.at[CGROUP_MEMORY].path, "/system.slice/a.service");
	assert_string_equal(g.at[CGROUP_MEMORY].dir,
			    "/sys/fs/cgroup/memory/system.slice/a.service");
	assert_string_equal(g.at[CGROUP_PIDS].dir,
			    "/sys/fs/cgroup/pids/system.slice/b.service");
}

static void test_hybrid_has_controllers_in_v1(void **state)
{
	(void)state;
	cgroup_parse(hybrid_mounts, hybrid_self, &g);
	assert_int_equal(g.layout, CGROUP_HYBRID);
	assert_string_equal(g.unified, "/sys/fs/cgroup/unified");
	assert_string_equal(g.at[CGROUP_MEMORY].dir, "/sys/fs/cgroup/memory/api/0123");
	assert_string_equal(g.at[CGROUP_PIDS].dir, "/sys/fs/cgroup/pids");
	assert_string_equal(g.at[CGROUP_PIDS].path, "/");
}

/* systemd's hybrid mode with v2 for names alone; a kernel without pids. */
static void test_a_controller_that_is_nowhere_is_named(void **state)
{
	(void)state;
	cgroup_parse(SYSFS V1("34", "memory", "memory") V2_AT("/sys/fs/cgroup/unified"),
		     "4:memory:/\n0::/\n", &g);
	assert_true(g.at[CGROUP_MEMORY].usable);
	assert_false(g.at[CGROUP_PIDS].usable);
	assert_non_null(strstr(g.at[CGROUP_PIDS].why, "pids controller"));
}

/* Docker: the container's group is the root of the mount; or it is not shown at all. */
static void test_a_mount_shows_only_what_is_below_its_root(void **state)
{
	static const char mounts[] =
		"34 24 0:34 /docker/abc /sys/fs/cgroup/memory ro - cgroup cgroup "
		"rw,memory\n"
		"35 24 0:35 /docker/abc /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n";

	(void)state;
	cgroup_parse(mounts, "2:memory:/docker/abc/x\n1:pids:/docker/abcd\n", &g);
	assert_string_equal(g.at[CGROUP_MEMORY].dir, "/sys/fs/cgroup/memory/x");
	assert_false(g.at[CGROUP_PIDS].usable);
	assert_string_equal(g.at[CGROUP_PIDS].dir, "");
	assert_non_null(strstr(g.at[CGROUP_PIDS].why, "own group"));

	/* A cgroup namespace that we are outside of. */
	cgroup_parse(hybrid_mounts, "8:pids:/../../x\n4:memory:/\n", &g);
	assert_false(g.at[CGROUP_PIDS].usable);
	assert_true(g.at[CGROUP_MEMORY].usable);
}

static void test_names_with_odd_bytes_are_understood(void **state)
{
	(void)state;
	cgroup_parse("34 24 0:34 / /mnt/a\\040b\\134c rw shared:1 master:2 - cgroup x "
		     "rw,memory\n",
		     "4:memory:/with:colon and space\n", &g);
	assert_string_equal(g.at[CGROUP_MEMORY].dir, "/mnt/a b\\c/with:colon and space");
}

static void test_nonsense_is_no_control_group(void **state)
{
	static const char *const mounts[] = {
		"",
		"\n\n",
		"34",
		"34 24 0:34 / /x rw -",
		"34 24 0:34 / /x rw - cgroup",
		"34 24 0:34 / /x rw cgroup cgroup memory\n"
	};

	(void)state;
	for (size_t i = 0; i < sizeof(mounts) / sizeof(mounts[0]); i++) {
		cgroup_parse(mounts[i], v1_self, &g);
		assert_int_equal(g.layout, CGROUP_NONE);
		assert_false(g.at[CGROUP_MEMORY].usable);
		assert_string_equal(g.at[CGROUP_MEMORY].why,
				    "no control groups are mounted");
	}
	/* "xmemory" and "memory2" are not memory. */
	cgroup_parse(SYSFS V1("34", "memory", "xmemory,memory2"), v1_self, &g);
	assert_int_equal(g.layout, CGROUP_NONE);
	cgroup_parse(v1_mounts, "4:memory:relative\n3:pids:\n", &g);
	assert_false(g.at[CGROUP_MEMORY].usable);
	assert_false(g.at[CGROUP_PIDS].usable);
}

static void test_oom_kills_are_counted_by_either_file(void **state)
{
	uint64_t n = 77;

	(void)state;
	assert_int_equal(
		cgroup_parse_oom("oom_kill_disable 0\nunder_oom 1\noom_kill 3\n", &n), 0);
	assert_int_equal(n, 3);
	assert_int_equal(cgroup_parse_oom("low 0\nhigh 0\nmax 9\noom 2\noom_kill 1\n"
					  "oom_group_kill 5\n",
					  &n),
			 0);
	assert_int_equal(n, 1);
	/* Linux before 4.13 does not count. */
	assert_int_equal(cgroup_parse_oom("oom_kill_disable 0\nunder_oom 0\n", &n),
			 -ENODATA);
	assert_int_not_equal(cgroup_parse_oom("oom_kill x\n", &n), 0);
	assert_int_equal(n, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_v2_is_found_and_said_not_to_be_used),
		cmocka_unit_test(test_v1_has_a_place_in_each_hierarchy),
		cmocka_unit_test(test_hybrid_has_controllers_in_v1),
		cmocka_unit_test(test_a_controller_that_is_nowhere_is_named),
		cmocka_unit_test(test_a_mount_shows_only_what_is_below_its_root),
		cmocka_unit_test(test_names_with_odd_bytes_are_understood),
		cmocka_unit_test(test_nonsense_is_no_control_group),
		cmocka_unit_test(test_oom_kills_are_counted_by_either_file),
	};

	return cmocka_run_group_tests_name("cgroup", tests, NULL, NULL);
}
