/* SPDX-License-Identifier: Apache-2.0 */

#include "boot.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../base/cleanup.h"
#include "../base/macro.h"

#define BOOT_ID "/proc/sys/kernel/random/boot_id"

static int digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return -1;
}

/* 32 lower-case hex digits, with or without the dashes of a UUID, to the end. */
static bool parse(const char *text, struct id *ret)
{
	struct id id = { 0 };
	size_t n = 0;

	for (; *text && *text != '\n'; text++) {
		int d = digit(*text);

		if (*text == '-')
			continue;
		if (d < 0 || n == 2 * ID_BYTES)
			return false;
		id.b[n / 2] = (uint8_t)(id.b[n / 2] << 4 | d);
		n++;
	}
	if (n != 2 * ID_BYTES)
		return false;
	*ret = id;
	return true;
}

int boot_id_get(struct id *ret, struct err *err)
{
	CLEANUP(close) int fd = -1;
	char text[64];
	ssize_t n;

#ifdef PROCTOR_FAULT_INJECTION
	const char *other = getenv("PROCTOR_BOOT_ID");

	if (other && !parse(other, ret))
		return err_set(err, ERR_INVALID_INPUT, NULL, 0,
			       "PROCTOR_BOOT_ID is not made of 32 hexadecimal digits");
	if (other)
		return 0;
#endif
	fd = open(BOOT_ID, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return err_set(err, ERR_UNSUPPORTED, NULL, errno,
			       "open " BOOT_ID "; is /proc mounted?");
	n = read(fd, text, sizeof(text) - 1);
	if (n < 0)
		return err_set(err, ERR_UNSUPPORTED, NULL, errno, "read " BOOT_ID);
	text[n] = '\0';
	if (!parse(text, ret))
		return err_set(err, ERR_UNSUPPORTED, NULL, 0, BOOT_ID " holds no UUID");
	return 0;
}

struct boot_question {
	const char *name, *title;
	void (*probe)(struct probe *ret);
	bool needed;
	bool root_only; /* needed by root's engine alone */
	const char *cure;
};

static const struct boot_question questions[] = {
	{
		"user_namespaces",
		"user and other namespaces",
		probe_user_namespace,
		true,
		false,
		"set the sysctls user.max_user_namespaces above 0 and, where they exist, "
		"kernel.unprivileged_userns_clone to 1; where "
		"kernel.apparmor_restrict_unprivileged_userns is 1 (Ubuntu), load the "
		"AppArmor profile from share/proctor/apparmor; in a container, allow "
		"unshare in its seccomp profile",
	},
	{
		"proc_mount",
		"a fresh /proc",
		probe_proc_mount,
		true,
		false,
		"in a container, unmask its /proc (docker: --security-opt "
		"systempaths=unconfined)",
	},
	{
		"mount_api",
		"descriptor-based mount calls",
		probe_mount_api,
		true,
		false,
		"run Linux 5.12 or newer; in a container, allow open_tree, mount_setattr "
		"and "
		"move_mount in its seccomp profile",
	},
	{
		"idmapped_mounts",
		"id-mapped mounts",
		probe_idmapped_mount,
		true,
		true,
		"run Linux 5.12 or newer, and the engine as root; an engine that is not "
		"root's "
		"does not need them",
	},
	{
		"seccomp",
		"system call filters",
		probe_seccomp,
		true,
		false,
		"run a kernel with CONFIG_SECCOMP_FILTER",
	},
	{
		"pidfd",
		"process descriptors",
		probe_pidfd,
		true,
		false,
		"run Linux 5.4 or newer",
	},
	{
		"start_calls",
		"clone3 and close_range",
		probe_start_calls,
		true,
		false,
		"run Linux 5.9 or newer; in a container, allow clone3 and close_range in "
		"its seccomp profile",
	},
	{
		"openat2",
		"openat2",
		probe_openat2,
		true,
		false,
		"run Linux 5.6 or newer; in a container, allow openat2 in its seccomp "
		"profile",
	},
	{
		"landlock",
		"Landlock",
		probe_landlock,
		true,
		false,
		"run Linux 5.19 or newer with CONFIG_SECURITY_LANDLOCK, and \"landlock\" "
		"in its "
		"lsm= list; in a container, allow the three landlock_ calls in its "
		"seccomp "
		"profile",
	},
	{
		"cgroup",
		"control groups",
		probe_cgroup,
		false,
		false,
		"limits on memory need a writable group in a v1 or hybrid hierarchy: run "
		"the engine as root, or in a group that is its user's own; without one, "
		"leave out limits.memory_bytes",
	},
};

void boot_probe(struct boot_facts *ret)
{
	static_assert(ARRAY_SIZE(questions) <= BOOT_FACTS_MAX, "room for all facts");

	memset(ret, 0, sizeof(*ret));
	for (size_t i = 0; i < ARRAY_SIZE(questions); i++) {
		const struct boot_question *q = &questions[i];
		struct boot_fact *f = &ret->fact[ret->n++];
		struct probe p = { 0 };

		q->probe(&p);
		f->name = q->name;
		f->title = q->title;
		f->found = p.found;
		f->needed = q->needed && (!q->root_only || geteuid() == 0);
		memcpy(f->value, p.value, sizeof(f->value));
		memcpy(f->why, p.why, sizeof(f->why));
		f->cure = p.found ? NULL : q->cure;
	}
}
