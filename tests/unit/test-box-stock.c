/* SPDX-License-Identifier: Apache-2.0 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../src/box/stock.h"
#include "box-tools.h"

#define EXIT_SKIP 77

/* At every step at which the disk can be full: what is kept is right, the rest counted.
 */
static void test_full_disk_shrinks_the_ring_and_moves_no_byte(void **state)
{
	static const uint64_t want[] = { 0, 64 * KIB, 128 * KIB, 256 * KIB };
	static unsigned char buf[300 * KIB];

	(void)state;
	for (int step = 0; step < 4; step++) {
		struct box_writer w;
		struct box_extent x;
		struct box_chunk c;
		struct err err = { 0 };
		uint64_t kept = step == 0 ? 0 : want[step], total;
		int fd = taken_box(&w, 1, 300 * KIB), error = step % 2 ? EDQUOT : ENOSPC;

		disk_fails_from(step + 1, error);
		/* The ring is whole as long as nobody needed more. */
		put_all(&w, 0, MAX(kept, (uint64_t)1) - 1);
		assert_false(extent_of(fd, 0).disk_full);
		assert_int_equal(extent_of(fd, 0).ring_size, 300 * KIB);
		put_all(&w, 0, 2);
		x = extent_of(fd, 0);
		assert_true(x.disk_full);
		assert_int_equal(x.ring_size, kept);
		total = x.total;
		assert_int_equal(x.start, kept ? total - kept : total);
		assert_int_equal(box_read(fd, 0, 0, buf, sizeof(buf), &c, &err), 0);
		assert_int_equal(c.len, total - x.start);
		assert_int_equal(c.lost, x.start);
		assert_true(bytes_are_right(buf, c.offset, c.len));

		/* Once: a disk that has room again changes nothing. */
		disk_fails_from(0, 0);
		put_all(&w, 0, 2 * 300 * KIB);
		assert_int_equal(disk.calls, 0);
		x = extent_of(fd, 0);
		assert_int_equal(x.ring_size, kept);
		assert_int_equal(x.start, x.total - kept);
		assert_int_equal(box_read(fd, 0, x.start, buf, sizeof(buf), &c, &err), 0);
		assert_int_equal(c.len, kept);
		assert_true(bytes_are_right(buf, c.offset, c.len));
		box_writer_fini(&w);
		(void)close(fd);
	}
}

static void test_full_disk_while_a_command_waits_blocks_by_the_smaller_ring(void **state)
{
	struct box_writer_args args = args_for(1, 300 * KIB);
	int fd = untaken_box(1, 300 * KIB);
	struct box_writer w;
	struct err err = { 0 };

	(void)state;
	args.overflow = BOX_BLOCK;
	assert_int_equal(box_writer_init(&w, fd, &args, &err), 0);
	disk_fails_from(2, ENOSPC);
	put_all(&w, 0, 64 * KIB);
	assert_int_equal(put(&w, 0, 1000), 0);
	assert_int_equal(extent_of(fd, 0).ring_size, 64 * KIB);
	assert_int_equal(extent_of(fd, 0).start, 0);
	box_writer_ack(&w, 0, 10);
	assert_int_equal(put(&w, 0, 1000), 10);
	disk_fails_from(0, 0);
	box_writer_fini(&w);
	(void)close(fd);
}

static void test_file_system_without_fallocate_gets_zeroes(void **state)
{
	static unsigned char buf[80 * KIB];
	struct box_writer w;
	struct box_chunk c;
	struct err err = { 0 };
	struct stat st;
	int fd;

	(void)state;
	disk_fails_from(1, EOPNOTSUPP);
	fd = taken_box(&w, 1, 80 * KIB);
	put_all(&w, 0, 65 * KIB);
	disk_fails_from(0, 0);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_blocks * 512, BOX_RINGS_AT + 80 * KIB);
	assert_false(extent_of(fd, 0).disk_full);
	assert_int_equal(box_read(fd, 0, 0, buf, sizeof(buf), &c, &err), 0);
	assert_int_equal(c.len, 65 * KIB);
	assert_true(bytes_are_right(buf, 0, c.len));
	box_writer_fini(&w);
	(void)close(fd);
}

static void test_head_without_room_is_told_and_kills_nobody(void **state)
{
	struct box_writer_args args = args_for(1, 4096);
	int fd = untaken_box(1, 4096);
	struct box_writer w;
	struct err err = { 0 };

	(void)state;
	disk_fails_from(1, ENOSPC);
	assert_int_equal(box_writer_init(&w, fd, &args, &err), -ERR_UNAVAILABLE);
	disk_fails_from(0, 0);
	assert_int_equal(err.sys_errno, ENOSPC);
	box_writer_fini(&w);
	(void)close(fd);
}

/* A directory of boxes of our own. */
struct place {
	char path[64];
	int dir;
	struct id id;
};

static void place_init(struct place *p)
{
	(void)snprintf(p->path, sizeof(p->path), "/tmp/test-box.XXXXXX");
	assert_non_null(mkdtemp(p->path));
	p->dir = open(p->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(p->dir >= 0);
	assert_int_equal(id_new(&p->id), 0);
}

static void place_fini(struct place *p)
{
	(void)box_unlink(p->dir, &p->id, ID_PROCESS);
	(void)close(p->dir);
	assert_int_equal(rmdir(p->path), 0);
}

static void test_created_box_is_locked_and_has_its_first_blocks(void **state)
{
	struct place p;
	struct box_writer_args args = args_for(2, 1024 * KIB);
	struct box_writer w;
	struct err err = { 0 };
	struct stat st;
	int fd = -1, other = -1;

	(void)state;
	place_init(&p);
	assert_int_equal(box_create(p.dir, &p.id, ID_PROCESS, 2, 1024 * KIB, &fd, &err),
			 0);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_size, BOX_RINGS_AT + 2 * 1024 * KIB);
	assert_int_equal(st.st_mode, S_IFREG | 0600);
	assert_true((uint64_t)st.st_blocks * 512 >= BOX_RINGS_AT + 2 * BOX_FIRST_BLOCKS);
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);

	assert_int_equal(box_open(p.dir, &p.id, ID_PROCESS, &other, &err), 0);
	assert_int_equal(box_is_locked(other), 1);
	assert_int_equal(box_lock(other), 0);

	/* The first 64 KiB of each stream cost no allocation. */
	args.id = p.id;
	disk_fails_from(1, EIO);
	assert_int_equal(box_writer_init(&w, fd, &args, &err), 0);
	put_all(&w, 0, BOX_FIRST_BLOCKS);
	put_all(&w, 1, BOX_FIRST_BLOCKS);
	assert_int_equal(disk.calls, 0);
	disk_fails_from(0, 0);
	assert_true(bytes_are_right(w.stream[0].ring, 0, BOX_FIRST_BLOCKS));
	assert_true(bytes_are_right(w.stream[1].ring, 0, BOX_FIRST_BLOCKS));
	box_writer_fini(&w);

	(void)close(fd);
	assert_int_equal(box_is_locked(other), 0);
	assert_int_equal(box_lock(other), 1);
	(void)close(other);
	place_fini(&p);
}

static void test_box_name_is_used_once(void **state)
{
	struct place p;
	struct err err = { 0 };
	int fd = -1, second = -1;

	(void)state;
	place_init(&p);
	assert_int_equal(box_create(p.dir, &p.id, ID_PROCESS, 1, 4096, &fd, &err), 0);
	assert_int_equal(box_create(p.dir, &p.id, ID_PROCESS, 1, 4096, &second, &err),
			 -ERR_CONFLICT);
	assert_int_equal(second, -1);
	/* The one that is there stays. */
	assert_int_equal(box_open(p.dir, &p.id, ID_PROCESS, &second, &err), 0);
	(void)close(second);
	(void)close(fd);
	assert_int_equal(box_unlink(p.dir, &p.id, ID_PROCESS), 0);
	assert_int_equal(box_unlink(p.dir, &p.id, ID_PROCESS), -ENOENT);
	assert_int_equal(box_open(p.dir, &p.id, ID_PROCESS, &second, &err),
			 -ERR_NOT_FOUND);
	place_fini(&p);
}

static void test_box_that_has_no_room_leaves_no_file(void **state)
{
	struct place p;
	struct err err;
	int fd = -1;

	(void)state;
	place_init(&p);
	for (int call = 1; call <= 2; call++) {
		memset(&err, 0, sizeof(err));
		disk_fails_from(call, ENOSPC);
		assert_int_equal(
			box_create(p.dir, &p.id, ID_PROCESS, 2, 1024 * KIB, &fd, &err),
			-ERR_UNAVAILABLE);
		disk_fails_from(0, 0);
		assert_int_equal(err.sys_errno, ENOSPC);
		assert_int_equal(fd, -1);
		assert_int_equal(box_unlink(p.dir, &p.id, ID_PROCESS), -ENOENT);
	}
	assert_int_equal(box_create(p.dir, &p.id, ID_PROCESS, 3, 4096, &fd, &err),
			 -ERR_INVALID_INPUT);
	assert_int_equal(box_create(p.dir, &p.id, ID_PROCESS, 1, 1000, &fd, &err),
			 -ERR_INVALID_INPUT);
	place_fini(&p);
}

static void test_open_refuses_what_is_no_file(void **state)
{
	struct place p;
	struct err err = { 0 };
	char name[ID_TEXT + 8], text[ID_TEXT];
	int fd = -1;

	(void)state;
	place_init(&p);
	(void)snprintf(name, sizeof(name), "%s.box", id_format(&p.id, ID_PROCESS, text));
	assert_int_equal(symlinkat("/dev/null", p.dir, name), 0);
	assert_int_equal(box_open(p.dir, &p.id, ID_PROCESS, &fd, &err), -ERR_INTERNAL);
	assert_int_equal(unlinkat(p.dir, name, 0), 0);
	assert_int_equal(mkfifoat(p.dir, name, 0600), 0);
	assert_int_equal(box_open(p.dir, &p.id, ID_PROCESS, &fd, &err), -ERR_INTERNAL);
	assert_int_equal(fd, -1);
	place_fini(&p);
}

/* Two descriptions of one box: `mine` has the lock, `other` asks. */
static void locked_pair(struct place *p, int *ret_mine, int *ret_other)
{
	struct err err = { 0 };

	place_init(p);
	assert_int_equal(box_create(p->dir, &p->id, ID_PROCESS, 1, 4096, ret_mine, &err),
			 0);
	assert_int_equal(box_open(p->dir, &p->id, ID_PROCESS, ret_other, &err), 0);
	assert_int_equal(box_is_locked(*ret_other), 1);
}

static void test_lock_lives_as_long_as_a_child_has_it(void **state)
{
	struct place p;
	int mine = -1, other = -1, go[2], status = 0;
	pid_t pid;
	char c;

	(void)state;
	locked_pair(&p, &mine, &other);
	assert_int_equal(pipe2(go, O_CLOEXEC), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		(void)close(go[1]);
		_exit(read(go[0], &c, 1) == 0 ? 0 : 1);
	}
	(void)close(go[0]);
	(void)close(mine);
	assert_int_equal(box_is_locked(other), 1);
	assert_int_equal(box_lock(other), 0);
	(void)close(go[1]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(box_is_locked(other), 0);
	assert_int_equal(box_lock(other), 1);
	(void)close(other);
	place_fini(&p);
}

static void test_lock_survives_while_its_message_is_in_flight(void **state)
{
	struct place p;
	int mine = -1, other = -1, sock[2], got[1];
	size_t n = 0;
	char c = 'x';

	(void)state;
	locked_pair(&p, &mine, &other);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sock), 0);
	assert_int_equal(fd_send(sock[0], &c, 1, &mine, 1, 0), 1);
	(void)close(mine);
	(void)close(sock[0]);
	assert_int_equal(box_is_locked(other), 1);
	assert_int_equal(box_lock(other), 0);
	assert_int_equal(fd_recv(sock[1], &c, 1, got, 1, &n, 0), 1);
	assert_int_equal(n, 1);
	assert_int_equal(box_is_locked(other), 1);
	(void)close(got[0]);
	assert_int_equal(box_is_locked(other), 0);
	(void)close(sock[1]);
	(void)close(other);
	place_fini(&p);
}

static void test_lock_is_free_when_nobody_takes_its_message(void **state)
{
	struct place p;
	int mine = -1, other = -1, sock[2];
	char c = 'x';

	(void)state;
	locked_pair(&p, &mine, &other);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sock), 0);
	assert_int_equal(fd_send(sock[0], &c, 1, &mine, 1, 0), 1);
	(void)close(mine);
	assert_int_equal(box_is_locked(other), 1);
	(void)close(sock[1]);
	(void)close(sock[0]);
	assert_int_equal(box_is_locked(other), 0);
	(void)close(other);
	place_fini(&p);
}

/* In a child: no assert of cmocka's there, which would run on with the other tests. */
#define CHECK(what)                                                                      \
	do {                                                                             \
		if (!(what)) {                                                           \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #what);       \
			_exit(1);                                                        \
		}                                                                        \
	} while (0)

static _Noreturn void on_a_small_disk(const struct place *p)
{
	static unsigned char buf[1024 * 1024];
	struct box_writer_args args = args_for(1, 1024 * KIB);
	struct err err = { 0 };
	struct box_writer w;
	struct box_extent x;
	struct box_chunk c;
	int dir, fd = -1, second = -1;

	if (unshare(CLONE_NEWNS) < 0 ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("tmpfs", p->path, "tmpfs", 0, "size=256k") < 0)
		_exit(EXIT_SKIP);
	dir = open(p->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CHECK(dir >= 0);
	CHECK(box_create(dir, &p->id, ID_PROCESS, 1, 1024 * KIB, &fd, &err) == 0);
	CHECK(box_writer_init(&w, fd, &args, &err) == 0);
	for (int i = 0; i < 1000; i++)
		CHECK(put(&w, 0, 5000) > 0);
	box_writer_end(&w, 0);

	CHECK(box_read_extent(fd, 0, &x, &err) == 0);
	CHECK(x.disk_full && x.at_end && x.total == box_writer_total(&w, 0));
	CHECK(x.ring_size == 128 * KIB && x.start == x.total - x.ring_size);
	CHECK(box_read(fd, 0, 0, buf, sizeof(buf), &c, &err) == 0);
	CHECK(c.len == x.ring_size && c.lost == x.start && c.at_end);
	CHECK(bytes_are_right(buf, c.offset, c.len));

	/* The failed step was given back, so one more small box fits, and then none. */
	CHECK(box_create(dir, &args.id, ID_PROCESS, 1, 1024 * KIB, &second, &err) == 0);
	CHECK(box_create(dir, &args.boot_id, ID_PROCESS, 1, 1024 * KIB, &second, &err) ==
	      -ERR_UNAVAILABLE);
	CHECK(err.sys_errno == ENOSPC);
	CHECK(box_unlink(dir, &args.boot_id, ID_PROCESS) == -ENOENT);
	_exit(0);
}

static void test_real_full_disk_is_a_counted_loss(void **state)
{
	struct place p;
	int status = 0;
	pid_t pid;

	(void)state;
	place_init(&p);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		on_a_small_disk(&p);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	place_fini(&p);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == EXIT_SKIP) {
		print_message("needs a mount namespace and tmpfs: skipped\n");
		skip();
	}
	assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_full_disk_shrinks_the_ring_and_moves_no_byte),
		cmocka_unit_test(
			test_full_disk_while_a_command_waits_blocks_by_the_smaller_ring),
		cmocka_unit_test(test_file_system_without_fallocate_gets_zeroes),
		cmocka_unit_test(test_head_without_room_is_told_and_kills_nobody),
		cmocka_unit_test(test_created_box_is_locked_and_has_its_first_blocks),
		cmocka_unit_test(test_box_name_is_used_once),
		cmocka_unit_test(test_box_that_has_no_room_leaves_no_file),
		cmocka_unit_test(test_open_refuses_what_is_no_file),
		cmocka_unit_test(test_lock_lives_as_long_as_a_child_has_it),
		cmocka_unit_test(test_lock_survives_while_its_message_is_in_flight),
		cmocka_unit_test(test_lock_is_free_when_nobody_takes_its_message),
		cmocka_unit_test(test_real_full_disk_is_a_counted_loss),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
