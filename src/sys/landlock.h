/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * landlock - what a process may still reach, whatever its mounts show
 *
 * A ruleset handles every right of its ABI: what no rule grants is refused, to the
 * process that takes the ruleset upon itself and to all that it starts, for good.
 * It says once more what the mounts of a sandbox say, so that a mistake in these,
 * or a descriptor of the host's that has slipped in, opens no file.
 *
 *	ABI 1	Linux 5.13	reading, writing, executing, making, removing
 *	    2	5.19		REFER: link and rename between directories
 *	    3	6.2		TRUNCATE
 *	    4	6.7		TCP: not handled, see below
 *	    5	6.10		IOCTL_DEV: ioctl(2) on device nodes
 *	    6	6.12		scopes: signals and abstract Unix sockets
 *	    7	6.15		what is logged
 *
 * Below LANDLOCK_ABI_LEAST nothing is offered: under ABI 1 every rename between
 * two directories fails, and with it git and most compilers. What an ABI lacks is
 * not handled; the caller records which one it was. Newer ones than
 * LANDLOCK_ABI_KNOWN are used as that one.
 *
 * TCP is left alone: who gets a ruleset has no network but a loopback of his own,
 * and servers on it must work. Both scopes are taken: no process of a ruleset can
 * signal one outside of it, nor connect to an abstract socket that was made there.
 * Sockets with a path and UDP are no concern of Landlock's (Linux 6.18).
 *
 * Rules stick to inodes, not to paths or mounts, and hold for all below. What was
 * open before goes on working; opening it anew by /proc/self/fd is an open like
 * any other. Pipes, sockets and memfds have no path and are not handled.
 *
 * Own constants, since the headers of the oldest system that we build on know ABI 2
 * (linux/landlock.h; Documentation/userspace-api/landlock.rst). All return 0 or a
 * descriptor, or -errno.
 */

#include <stdint.h>

#define LANDLOCK_ABI_LEAST 2
#define LANDLOCK_ABI_KNOWN 7

/* The bits are the kernel's. */
#define LANDLOCK_EXECUTE (UINT64_C(1) << 0)
#define LANDLOCK_WRITE_FILE (UINT64_C(1) << 1)
#define LANDLOCK_READ_FILE (UINT64_C(1) << 2)
#define LANDLOCK_READ_DIR (UINT64_C(1) << 3)
#define LANDLOCK_REMOVE_DIR (UINT64_C(1) << 4)
#define LANDLOCK_REMOVE_FILE (UINT64_C(1) << 5)
#define LANDLOCK_MAKE_CHAR (UINT64_C(1) << 6)
#define LANDLOCK_MAKE_DIR (UINT64_C(1) << 7)
#define LANDLOCK_MAKE_REG (UINT64_C(1) << 8)
#define LANDLOCK_MAKE_SOCK (UINT64_C(1) << 9)
#define LANDLOCK_MAKE_FIFO (UINT64_C(1) << 10)
#define LANDLOCK_MAKE_BLOCK (UINT64_C(1) << 11)
#define LANDLOCK_MAKE_SYM (UINT64_C(1) << 12)
#define LANDLOCK_REFER (UINT64_C(1) << 13)
#define LANDLOCK_TRUNCATE (UINT64_C(1) << 14)
#define LANDLOCK_IOCTL_DEV (UINT64_C(1) << 15)

/* What a rule grants. Numbers are part of a plan. */
enum landlock_kind {
	LANDLOCK_LIST = 1, /* directories: names, nothing of what they name */
	LANDLOCK_READ,	   /* and files, to be read and executed */
	LANDLOCK_WRITE,	   /* and changed, made, removed; all but device nodes */
	LANDLOCK_PROC,	   /* read and written, nothing made or executed */
	LANDLOCK_STREAM,   /* device node: read and written */
	LANDLOCK_DEVICE,   /* and controlled by ioctl */
	LANDLOCK_KINDS_,
};

/*
 * What the kernel offers: LANDLOCK_ABI_LEAST or more, at most LANDLOCK_ABI_KNOWN;
 * -ENOSYS not built in, -EOPNOTSUPP switched off at boot, -EPROTO too old. Builds
 * with fault injection take PROCTOR_LANDLOCK_ABI for the kernel's answer.
 */
int landlock_abi(void);

/* An empty ruleset of that ABI, close-on-exec. */
int landlock_new(int abi);

/* The rights that a rule of this kind grants under that ABI; 0: no such kind. */
uint64_t landlock_rights(enum landlock_kind kind, int abi);

/* "read", for people; NULL: no such kind. */
const char *landlock_kind_name(enum landlock_kind kind);

/*
 * Grants access to what fd (O_PATH will do) stands for, and to all below it. access
 * must be of that ABI, and fit: a file has no rights of a directory. -EBADFD if it
 * is of a kind that is not handled at all.
 */
int landlock_allow(int ruleset, int fd, uint64_t access);

/* Takes it upon the calling thread; wants no_new_privs. */
int landlock_restrict(int ruleset, int abi);
