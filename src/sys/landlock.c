/* SPDX-License-Identifier: Apache-2.0 */

#include "landlock.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../base/macro.h"
#include "../base/num.h"

#define CREATE_VERSION 1u
#define RULE_PATH_BENEATH 1
/* Nested domains of the command shall not write to the host's audit log. */
#define LOG_SUBDOMAINS_OFF (1u << 2)

#define SCOPE_ABSTRACT_UNIX_SOCKET (UINT64_C(1) << 0)
#define SCOPE_SIGNAL (UINT64_C(1) << 1)

/* Grown by ABIs 4 and 6; older kernels take the zeros at its end (copy_struct_from_user).
 */
struct ruleset_attr {
	uint64_t handled_access_fs;
	uint64_t handled_access_net;
	uint64_t scoped;
};

struct path_beneath_attr {
	uint64_t allowed_access;
	int32_t parent_fd;
} __attribute__((packed));

#define LIST LANDLOCK_READ_DIR
#define READ (LIST | LANDLOCK_READ_FILE | LANDLOCK_EXECUTE)
#define CHANGE                                                                           \
	(LANDLOCK_WRITE_FILE | LANDLOCK_TRUNCATE | LANDLOCK_REFER |                      \
	 LANDLOCK_REMOVE_DIR | LANDLOCK_REMOVE_FILE | LANDLOCK_MAKE_DIR |                \
	 LANDLOCK_MAKE_REG | LANDLOCK_MAKE_SOCK | LANDLOCK_MAKE_FIFO |                   \
	 LANDLOCK_MAKE_SYM)
#define STREAM (LANDLOCK_READ_FILE | LANDLOCK_WRITE_FILE)

static const uint64_t by_kind[LANDLOCK_KINDS_] = {
	[LANDLOCK_LIST] = LIST,
	[LANDLOCK_READ] = READ,
	[LANDLOCK_WRITE] = READ | CHANGE,
	/* A shell truncates what it writes to, and files of /proc are regular ones. */
	[LANDLOCK_PROC] = LIST | STREAM | LANDLOCK_TRUNCATE,
	[LANDLOCK_STREAM] = STREAM,
	[LANDLOCK_DEVICE] = STREAM | LANDLOCK_IOCTL_DEV,
};

static uint64_t all_rights(int abi)
{
	uint64_t all = (LANDLOCK_MAKE_SYM << 1) - 1;

	if (abi >= 2)
		all |= LANDLOCK_REFER;
	if (abi >= 3)
		all |= LANDLOCK_TRUNCATE;
	if (abi >= 5)
		all |= LANDLOCK_IOCTL_DEV;
	return all;
}

/* -errno, or a number from 1 on. */
static int kernel_abi(void)
{
	long abi;

#ifdef PROCTOR_FAULT_INJECTION
	const char *other = getenv("PROCTOR_LANDLOCK_ABI");
	uint64_t v;

	if (other && num_parse_u64(other, 0, LANDLOCK_ABI_KNOWN, &v) == 0)
		return v ? (int)v : -EOPNOTSUPP;
#endif
	abi = syscall(SYS_landlock_create_ruleset, NULL, 0, CREATE_VERSION);
	return abi < 0 ? -errno : (int)MIN(abi, LANDLOCK_ABI_KNOWN);
}

int landlock_abi(void)
{
	int abi = kernel_abi();

	return abi >= 0 && abi < LANDLOCK_ABI_LEAST ? -EPROTO : abi;
}

int landlock_new(int abi)
{
	const struct ruleset_attr attr = {
		.handled_access_fs = all_rights(abi),
		.scoped = abi >= 6 ? SCOPE_ABSTRACT_UNIX_SOCKET | SCOPE_SIGNAL : 0,
	};
	long fd = syscall(SYS_landlock_create_ruleset, &attr, sizeof(attr), 0);

	return fd < 0 ? -errno : (int)fd;
}

uint64_t landlock_rights(enum landlock_kind kind, int abi)
{
	if ((unsigned int)kind >= LANDLOCK_KINDS_)
		return 0;
	return by_kind[kind] & all_rights(abi);
}

const char *landlock_kind_name(enum landlock_kind kind)
{
	static const char *const names[LANDLOCK_KINDS_] = {
		[LANDLOCK_LIST] = "list",     [LANDLOCK_READ] = "read",
		[LANDLOCK_WRITE] = "write",   [LANDLOCK_PROC] = "proc",
		[LANDLOCK_STREAM] = "stream", [LANDLOCK_DEVICE] = "device",
	};

	return (unsigned int)kind < LANDLOCK_KINDS_ ? names[kind] : NULL;
}

int landlock_allow(int ruleset, int fd, uint64_t access)
{
	const struct path_beneath_attr attr = { .allowed_access = access,
						.parent_fd = fd };

	return syscall(SYS_landlock_add_rule, ruleset, RULE_PATH_BENEATH, &attr, 0) < 0 ?
		       -errno :
		       0;
}

int landlock_restrict(int ruleset, int abi)
{
	unsigned int flags = abi >= 7 ? LOG_SUBDOMAINS_OFF : 0;

	return syscall(SYS_landlock_restrict_self, ruleset, flags) < 0 ? -errno : 0;
}
