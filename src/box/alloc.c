/* SPDX-License-Identifier: Apache-2.0 */

#include "alloc.h"

#include <errno.h>
#include <fcntl.h>

#include "../base/fd.h"
#include "../base/macro.h"

static int write_zeroes(int fd, off_t at, uint64_t len)
{
	static const unsigned char zeroes[4096];

	while (len > 0) {
		size_t n = MIN(len, sizeof(zeroes));
		int r = fd_pwrite_all(fd, zeroes, n, at);

		if (r < 0)
			return r;
		at += (off_t)n;
		len -= n;
	}
	return 0;
}

int box_allocate(int fd, off_t at, uint64_t len)
{
	int r;

	do
		r = fallocate(fd, 0, at, (off_t)len);
	while (r < 0 && errno == EINTR);
	if (r == 0)
		return 0;
	if (errno != EOPNOTSUPP && errno != ENOSYS)
		return -errno;
	return write_zeroes(fd, at, len);
}

void box_deallocate(int fd, off_t at, uint64_t len)
{
	(void)fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, at, (off_t)len);
}
