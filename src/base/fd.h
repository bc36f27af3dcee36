/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * fd - whole reads and writes, and descriptor passing
 *
 * Everything retries on EINTR. Descriptors that arrive are CLOEXEC. -errno.
 */

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* At most this many descriptors travel with one message (SCM_MAX_FD is 253). */
#define FD_PASS_MAX 16

int fd_write_all(int fd, const void *data, size_t len);
int fd_pwrite_all(int fd, const void *data, size_t len, off_t at);

/* Reads exactly len bytes; -ENODATA if the file ends before. */
int fd_pread_all(int fd, void *buf, size_t len, off_t at);

int fd_set_nonblock(int fd, bool on);
int fd_set_cloexec(int fd, bool on);

/*
 * One message with descriptors, over a Unix socket. fd_send() returns the
 * number of bytes taken. fd_recv() returns the number of bytes, 0 at the end,
 * fills fds[0..*ret_n) and sets the others to -1; descriptors that the kernel
 * had to drop, or more than max, are an error (-EMSGSIZE) and those that came
 * are closed. flags are MSG_DONTWAIT and the like.
 */
ssize_t fd_send(int sock, const void *data, size_t len, const int *fds, size_t n,
		int flags);
ssize_t fd_recv(int sock, void *buf, size_t len, int *fds, size_t max, size_t *ret_n,
		int flags);
