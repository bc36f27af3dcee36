/* SPDX-License-Identifier: Apache-2.0 */

#include "stock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../base/cleanup.h"
#include "../base/macro.h"
#include "alloc.h"

#define NAME_LEN (ID_TEXT + 4)

static const char *name_of(const struct id *id, char kind, char buf[static NAME_LEN])
{
	char text[ID_TEXT];

	(void)snprintf(buf, NAME_LEN, "%s.box", id_format(id, kind, text));
	return buf;
}

static int size_box(int fd, uint32_t streams, uint64_t ring_size)
{
	uint64_t first = MIN((uint64_t)BOX_FIRST_BLOCKS, ring_size);
	int r;

	if (ftruncate(fd, (off_t)(BOX_RINGS_AT + streams * ring_size)) < 0)
		return -errno;
	r = box_allocate(fd, 0, BOX_RINGS_AT + (streams > 0 ? first : 0));
	for (uint32_t i = 1; r == 0 && first > 0 && i < streams; i++)
		r = box_allocate(fd, (off_t)(BOX_RINGS_AT + i * ring_size), first);
	return r;
}

int box_create(int dirfd, const struct id *id, char kind, uint32_t streams,
	       uint64_t ring_size, int *ret_fd, struct err *err)
{
	CLEANUP(close) int fd = -1;
	char name[NAME_LEN];
	int r;

	if (streams > BOX_STREAMS)
		return err_set(err, ERR_INVALID_INPUT, "streams", 0,
			       "a box has at most %d streams, not %u", BOX_STREAMS,
			       streams);
	if (ring_size != 0 && (ring_size < BOX_RING_MIN || ring_size > BOX_RING_MAX ||
			       ring_size % BOX_RING_MIN != 0))
		return err_set(err, ERR_INVALID_INPUT, "ring_bytes", 0,
			       "a ring has 4096 to 1073741824 bytes, in steps of 4096");

	fd = openat(dirfd, name_of(id, kind, name),
		    O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return err_set(err, errno == EEXIST ? ERR_CONFLICT : ERR_UNAVAILABLE,
			       "box", errno, "creating %s", name);

	/* Locked from the start: nobody may take it for one that its owner left. */
	r = box_lock(fd);
	if (r == 0)
		r = -EAGAIN;
	if (r > 0)
		r = size_box(fd, streams, ring_size);
	if (r < 0) {
		(void)unlinkat(dirfd, name, 0);
		return err_set(err, ERR_UNAVAILABLE, "box", -r, "no room for %s", name);
	}

	*ret_fd = TAKE_FD(fd);
	return 0;
}

int box_open(int dirfd, const struct id *id, char kind, int *ret_fd, struct err *err)
{
	CLEANUP(close) int fd = -1;
	char name[NAME_LEN];
	struct stat st;

	/* O_NONBLOCK: a FIFO of that name must not hold us up. */
	fd = openat(dirfd, name_of(id, kind, name),
		    O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return err_set(err, errno == ENOENT ? ERR_NOT_FOUND : ERR_INTERNAL, "box",
			       errno, "opening %s", name);
	if (fstat(fd, &st) < 0)
		return err_set(err, ERR_INTERNAL, "box", errno, "fstat of %s", name);
	if (!S_ISREG(st.st_mode) || st.st_uid != geteuid())
		return err_set(err, ERR_INTERNAL, "box", 0,
			       "damaged box: %s is no regular file of ours", name);

	*ret_fd = TAKE_FD(fd);
	return 0;
}

int box_unlink(int dirfd, const struct id *id, char kind)
{
	char name[NAME_LEN];

	return unlinkat(dirfd, name_of(id, kind, name), 0) < 0 ? -errno : 0;
}

int box_lock(int fd)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

	if (fcntl(fd, F_OFD_SETLK, &lock) == 0)
		return 1;
	return errno == EAGAIN || errno == EACCES ? 0 : -errno;
}

int box_is_locked(int fd)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

	if (fcntl(fd, F_OFD_GETLK, &lock) < 0)
		return -errno;
	return lock.l_type != F_UNLCK;
}
