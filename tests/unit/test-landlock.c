/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Rulesets, each taken by a child of its own. A kernel with fewer rights than ABI 7
 * skips what it does not have.
 */

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../src/base/cleanup.h"
#include "../../src/base/macro.h"
#include "../../src/sys/landlock.h"
#include "../../src/sys/probe.h"

struct place {
	char dir[64];
	int abi;
	const char *missing; /* why nothing can be tested */
};

static struct place place;

static char *at(const char *name)
{
	static char path[4][128];
	static unsigned int n;
	char *p = path[n++ % 4];

	(void)snprintf(p, sizeof(path[0]), "%s/%s", place.dir, name);
	return p;
}

static void put(const char *name)
{
	CLEANUP(close)
	int fd = open(at(name), O_CREAT | O_WRONLY | O_CLOEXEC, 0755);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, "text", 4), 4);
}

static int setup(void **state)
{
	(void)state;
	memset(&place, 0, sizeof(place));
	(void)snprintf(place.dir, sizeof(place.dir), "/tmp/test-landlock.XXXXXX");
	if (!mkdtemp(place.dir))
		return -1;
	place.abi = landlock_abi();
	if (place.abi < 0)
		place.missing = strerrordesc_np(-place.abi);
	(void)mkdir(at("a"), 0755);
	(void)mkdir(at("b"), 0755);
	(void)mkdir(at("c"), 0755);
	put("a/file");
	put("b/file");
	put("file");
	return 0;
}

static int teardown(void **state)
{
	pid_t pid = fork();

	(void)state;
	if (pid == 0) {
		(void)execlp("rm", "rm", "-rf", place.dir, (char *)NULL);
		_exit(127);
	}
	(void)waitpid(pid, NULL, 0);
	return 0;
}

static bool no_landlock(int least)
{
	if (!place.missing && place.abi >= least)
		return false;
	if (place.missing)
		print_message("skip: no Landlock: %s\n", place.missing);
	else
		print_message("skip: Landlock of ABI %d only\n", place.abi);
	return true;
}

struct grant {
	const char *path; /* as it is if absolute, else below the place */
	enum landlock_kind kind;
};

/* What try() comes to under these grants (none: unrestricted): 0 or the errno. */
static int under(int abi, const struct grant *g, size_t n, int (*try)(void))
{
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		int ruleset = abi ? landlock_new(abi) : -1;

		for (size_t i = 0; abi && i < n; i++) {
			int fd = open(g[i].path[0] == '/' ? g[i].path : at(g[i].path),
				      O_PATH | O_CLOEXEC);

			if (landlock_allow(ruleset, fd, landlock_rights(g[i].kind, abi)) <
			    0)
				_exit(251);
			(void)close(fd);
		}
		if (abi && (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
			    landlock_restrict(ruleset, abi) < 0))
			_exit(252);
		_exit(try());
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static int told(long r)
{
	return r < 0 ? errno : 0;
}

static int read_a(void)
{
	return told(open(at("a/file"), O_RDONLY | O_CLOEXEC));
}
static int read_b(void)
{
	return told(open(at("b/file"), O_RDONLY | O_CLOEXEC));
}
static int write_a(void)
{
	return told(open(at("a/file"), O_WRONLY | O_CLOEXEC));
}
static int list_a(void)
{
	return told(open(at("a"), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
}
static int truncate_a(void)
{
	return told(truncate(at("a/file"), 2));
}
static int make_a(void)
{
	char fresh[32];

	(void)snprintf(fresh, sizeof(fresh), "a/new%d", getpid());
	return told(open(at(fresh), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0644));
}
static int whiteout_a(void)
{
	(void)unlink(at("a/w"));
	return told(mknod(at("a/w"), S_IFCHR, 0));
}
static int block_a(void)
{
	(void)unlink(at("a/blk"));
	return told(mknod(at("a/blk"), S_IFBLK | 0600, makedev(7, 99)));
}
static int move_a_to_c(void)
{
	(void)unlink(at("c/moved"));
	if (link(at("a/file"), at("a/spare")) < 0 && errno != EEXIST)
		return 254;
	return told(rename(at("a/spare"), at("c/moved")));
}
static int terminal(void)
{
	int fd = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC), n;

	return fd < 0 ? errno : told(ioctl(fd, TIOCGPTN, &n));
}
static int signal_parent(void)
{
	return told(kill(getppid(), 0));
}
static int signal_child(void)
{
	pid_t pid = fork();

	if (pid == 0)
		for (;;)
			(void)pause();
	if (kill(pid, SIGKILL) < 0)
		return errno;
	return waitpid(pid, NULL, 0) == pid ? 0 : 253;
}

#define UNDER(abi, try, ...)                                                             \
	under(abi, (const struct grant[]){ __VA_ARGS__ },                                \
	      sizeof((const struct grant[]){ __VA_ARGS__ }) / sizeof(struct grant), try)

static void test_a_kind_grants_what_it_says_and_no_more(void **state)
{
	const struct grant list = { "a", LANDLOCK_LIST }, read = { "a", LANDLOCK_READ },
			   write = { "a", LANDLOCK_WRITE }, proc = { "a", LANDLOCK_PROC },
			   stream = { "a/file", LANDLOCK_STREAM };
	int abi = place.abi;

	(void)state;
	if (no_landlock(LANDLOCK_ABI_LEAST))
		skip();
	assert_int_equal(UNDER(abi, list_a, list), 0);
	assert_int_equal(UNDER(abi, read_a, list), EACCES);
	assert_int_equal(UNDER(abi, read_a, read), 0);
	assert_int_equal(UNDER(abi, read_b, read), EACCES);
	assert_int_equal(UNDER(abi, write_a, read), EACCES);
	assert_int_equal(UNDER(abi, make_a, read), EACCES);
	assert_int_equal(UNDER(abi, write_a, write), 0);
	assert_int_equal(UNDER(abi, make_a, write), 0);
	assert_int_equal(UNDER(abi, read_b, write), EACCES);
	assert_int_equal(UNDER(abi, write_a, proc), 0);
	assert_int_equal(UNDER(abi, make_a, proc), EACCES);
	assert_int_equal(UNDER(abi, write_a, stream), 0);
	assert_int_equal(UNDER(abi, list_a, stream), EACCES);
}

static void test_device_nodes_can_be_made_nowhere(void **state)
{
	const struct grant write = { "a", LANDLOCK_WRITE };

	(void)state;
	if (no_landlock(LANDLOCK_ABI_LEAST))
		skip();
	assert_int_equal(under(0, NULL, 0, whiteout_a), 0);
	assert_int_equal(UNDER(place.abi, whiteout_a, write), EACCES);
	if (under(0, NULL, 0, block_a) == 0)
		assert_int_equal(UNDER(place.abi, block_a, write), EACCES);
	else
		print_message("skip: block devices: no CAP_MKNOD\n");
}

static void test_files_move_between_directories_that_may_be_written(void **state)
{
	const struct grant a = { "a", LANDLOCK_WRITE }, c = { "c", LANDLOCK_WRITE },
			   read_c = { "c", LANDLOCK_READ };

	(void)state;
	if (no_landlock(LANDLOCK_ABI_LEAST))
		skip();
	for (int abi = LANDLOCK_ABI_LEAST; abi <= place.abi; abi++) {
		assert_int_equal(UNDER(abi, move_a_to_c, a, c), 0);
		assert_true(UNDER(abi, move_a_to_c, a, read_c) != 0);
	}
}

static void test_an_abi_handles_what_it_has(void **state)
{
	const struct grant read = { "a", LANDLOCK_READ };
	const struct grant stream = { "/dev", LANDLOCK_STREAM };
	const struct grant device = { "/dev", LANDLOCK_DEVICE };

	(void)state;
	if (no_landlock(6))
		skip();
	assert_int_equal(UNDER(2, truncate_a, read), 0);
	assert_int_equal(UNDER(3, truncate_a, read), EACCES);
	assert_int_equal(UNDER(4, terminal, stream), 0);
	assert_int_equal(UNDER(5, terminal, stream), EACCES);
	assert_int_equal(UNDER(5, terminal, device), 0);
	assert_int_equal(UNDER(5, signal_parent, read), 0);
	assert_int_equal(UNDER(6, signal_parent, read), EPERM);
	assert_int_equal(UNDER(6, signal_child, read), 0);
	assert_int_equal(landlock_rights(LANDLOCK_DEVICE, 4),
			 landlock_rights(LANDLOCK_STREAM, 5));
	assert_int_equal(landlock_rights(LANDLOCK_WRITE, 2) & LANDLOCK_TRUNCATE, 0);
}

static struct sockaddr_un name;
static socklen_t name_len;

static int connect_abstract(void)
{
	CLEANUP(close) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	return fd < 0 ? errno : told(connect(fd, (struct sockaddr *)&name, name_len));
}

static int connect_own(void)
{
	CLEANUP(close) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	name.sun_path[1] = 'o';
	if (fd < 0 || bind(fd, (struct sockaddr *)&name, name_len) < 0 ||
	    listen(fd, 1) < 0)
		return errno;
	return connect_abstract();
}

static void test_abstract_sockets_of_others_are_out_of_reach(void **state)
{
	const struct grant read = { "a", LANDLOCK_READ };
	CLEANUP(close) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)state;
	if (no_landlock(6))
		skip();
	name.sun_family = AF_UNIX;
	(void)snprintf(name.sun_path + 1, sizeof(name.sun_path) - 1, "t%d", getpid());
	name_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 +
			       strlen(name.sun_path + 1));
	assert_int_equal(bind(fd, (struct sockaddr *)&name, name_len), 0);
	assert_int_equal(listen(fd, 4), 0);
	assert_int_equal(UNDER(5, connect_abstract, read), 0);
	assert_int_equal(UNDER(6, connect_abstract, read), EPERM);
	assert_int_equal(UNDER(6, connect_own, read), 0);
}

static int without_path(void)
{
	char path[32];
	int fds[2], mem = memfd_create("m", MFD_CLOEXEC);

	if (mem < 0 || pipe2(fds, O_CLOEXEC) < 0)
		return errno;
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", mem);
	if (open(path, O_RDWR | O_CLOEXEC) < 0)
		return errno;
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fds[1]);
	return told(open(path, O_WRONLY | O_CLOEXEC));
}

static void test_what_has_no_path_is_not_handled(void **state)
{
	const struct grant list = { "a", LANDLOCK_LIST };
	CLEANUP(close) int mem = memfd_create("m", MFD_CLOEXEC);
	CLEANUP(close) int ruleset = -1;

	(void)state;
	if (no_landlock(LANDLOCK_ABI_LEAST))
		skip();
	assert_int_equal(UNDER(place.abi, without_path, list), 0);
	ruleset = landlock_new(place.abi);
	assert_true(ruleset >= 0);
	assert_int_equal(landlock_allow(ruleset, mem, LANDLOCK_READ_FILE), -EBADFD);
}

static void test_what_does_not_fit_is_refused(void **state)
{
	CLEANUP(close) int ruleset = -1, file = -1;

	(void)state;
	assert_int_equal(landlock_rights((enum landlock_kind)0, 7), 0);
	assert_int_equal(landlock_rights(LANDLOCK_KINDS_, 7), 0);
	assert_int_equal(landlock_rights((enum landlock_kind) - 1, 7), 0);
	if (no_landlock(LANDLOCK_ABI_LEAST))
		skip();
	ruleset = landlock_new(place.abi);
	file = open(at("file"), O_PATH | O_CLOEXEC);
	assert_true(ruleset >= 0 && file >= 0);
	assert_true(fcntl(ruleset, F_GETFD) & FD_CLOEXEC);
	assert_int_equal(
		landlock_allow(ruleset, file, landlock_rights(LANDLOCK_WRITE, place.abi)),
		-EINVAL);
	assert_int_equal(landlock_allow(ruleset, -1, LANDLOCK_READ_FILE), -EBADF);
	assert_int_equal(landlock_allow(file, file, LANDLOCK_READ_FILE), -EBADF);
}

#ifdef PROCTOR_FAULT_INJECTION
static void test_too_old_and_absent_are_told_apart(void **state)
{
	static const struct {
		const char *answer;
		int want;
		const char *why;
	} cases[] = {
		{ "0", -EOPNOTSUPP, "landlock_create_ruleset" },
		{ "1", -EPROTO, "ABI 1" },
		{ "2", 2, NULL },
	};

	(void)state;
	if (no_landlock(LANDLOCK_ABI_LEAST))
		skip();
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct probe p = { 0 };

		assert_int_equal(setenv("PROCTOR_LANDLOCK_ABI", cases[i].answer, 1), 0);
		assert_int_equal(landlock_abi(), cases[i].want);
		probe_landlock(&p);
		assert_true(p.found == (cases[i].want > 0));
		if (cases[i].why)
			assert_non_null(strstr(p.why, cases[i].why));
		else
			assert_string_equal(p.value, "ABI 2");
	}
	assert_int_equal(unsetenv("PROCTOR_LANDLOCK_ABI"), 0);
}
#endif

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_kind_grants_what_it_says_and_no_more),
		cmocka_unit_test(test_device_nodes_can_be_made_nowhere),
		cmocka_unit_test(test_files_move_between_directories_that_may_be_written),
		cmocka_unit_test(test_an_abi_handles_what_it_has),
		cmocka_unit_test(test_abstract_sockets_of_others_are_out_of_reach),
		cmocka_unit_test(test_what_has_no_path_is_not_handled),
		cmocka_unit_test(test_what_does_not_fit_is_refused),
#ifdef PROCTOR_FAULT_INJECTION
		cmocka_unit_test(test_too_old_and_absent_are_told_apart),
#endif
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
