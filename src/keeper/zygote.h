/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * zygote - a mount namespace kept ready, from which sandboxes are cloned
 *
 * It has the host's mounts (as a slave, so that later ones appear) and a tmpfs over
 * the keepers' directory. Each read-only root is a mount namespace of its own whose
 * "/" it is, so that the namespace of a keeper, which is a copy of it, has the right
 * root from the beginning and never saw another one: no keeper pivots, and no
 * mount of the host is copied that the root does not show. Its /proc is that of a
 * PID namespace where nobody lives, since the kernel gives a sandbox a /proc of its
 * own only where one is visible already (mount_too_revealing() in fs/namespace.c).
 *
 * An ordinary user's zygote is in a user namespace of its own as well, since only
 * there he may mount. The launcher itself stays outside of both: a process inside
 * that user namespace could not join a sandbox that an earlier launcher made.
 *
 * Everything but zygote_open() runs inside the zygote, in a detour through
 * sys_run_vm(), and shares the launcher's memory.
 */

#include <stdbool.h>
#include <stdint.h>

#include "../base/err.h"
#include "../plan/plan.h"

#define ZYGOTE_ROOTS 16
#define ZYGOTE_IDMAPS 8
/* One whose payload is larger is built anew each time. Most take 1 KiB. */
#define ZYGOTE_PAYLOAD_MAX 8192

/* Compared to the byte: a root that only hashes alike may be another user's. */
struct zygote_root {
	unsigned char payload[ZYGOTE_PAYLOAD_MAX]; /* of the step */
	size_t size;				   /* 0 = unused */
	uint64_t used;				   /* for choosing the one to give up */
	int mnt_fd;
};
struct zygote_idmap {
	struct step_owner owner;
	uint32_t disk_uid, disk_gid;
	int fd;
};

struct zygote {
	bool ready;
	int user_fd; /* -1 as root */
	int mnt_fd;
	int stage_fd; /* O_PATH of the tmpfs over the keepers' directory */
	uint64_t clock;
	struct zygote_root roots[ZYGOTE_ROOTS];
	struct zygote_idmap idmaps[ZYGOTE_IDMAPS];
};

/* stage_path: a directory that the zygote's tmpfs may hide inside the zygote. */
int zygote_open(struct zygote *z, const char *stage_path, struct err *err);

/* From the detour: goes inside. */
int zygote_enter(struct zygote *z, struct err *err);

/* Inside: a detached clone of the workspace, checked, id-mapped for owner if asked. */
int zygote_workspace(struct zygote *z, const struct plan_step *step,
		     const struct step_owner *owner, int *ret_fd, struct err *err);

/* The same of a STEP_SHOW. *ret_fd stays as it is if the step is to be left out. */
int zygote_show(struct zygote *z, const struct plan_step *step,
		const struct step_owner *owner, int *ret_fd, struct err *err);

/* Last: goes on into the namespace of this step's root, which is built if it is new. */
int zygote_root(struct zygote *z, const struct plan_step *step, struct err *err);
