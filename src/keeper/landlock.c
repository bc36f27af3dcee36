/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The Landlock steps. Rules depend on the prepare plan only, so the keeper builds
 * the ruleset ahead, as the last thing that it does in the sandbox, and the child
 * has but to take it (building it costs 75 us, taking it 30). The keeper itself is
 * never under it: it has to signal and to reap what is.
 */

#include "../sys/landlock.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../base/cleanup.h"
#include "keeper.h"

int landlock_begin(struct keeper *k, const struct plan_step *s)
{
	const struct step_u32 *f = s->payload;
	int fd = landlock_new((int)f->v);

	if (fd < 0)
		return fd;
	k->landlock_fd = fd;
	k->landlock_abi = (int)f->v;
	return 0;
}

/*
 * Commands of a named sandbox share directories: a link that an earlier one has put
 * in the place of one must not move a later one's rule. What is not there needs
 * none, and nothing can be reached by its name either.
 */
int landlock_rule(struct keeper *k, const struct plan_step *s)
{
	const struct step_u32 *f = s->payload;
	uint64_t rights = landlock_rights((enum landlock_kind)f->v, k->landlock_abi);
	const struct open_how how = {
		.flags = O_PATH | O_CLOEXEC,
		.resolve = RESOLVE_NO_SYMLINKS,
	};
	const char *path = plan_text(s, 0);
	CLEANUP(close) int fd = -1;
	struct stat st;

	if (!path || !rights || k->landlock_fd < 0)
		return -EINVAL;
	fd = (int)syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof(how));
	/* ENOTDIR, ELOOP: something of the workspace's is where it would be. */
	if (fd < 0)
		return errno == ENOENT || errno == ENOTDIR || errno == ELOOP ? 0 : -errno;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISDIR(st.st_mode))
		rights &= LANDLOCK_EXECUTE | LANDLOCK_READ_FILE | LANDLOCK_WRITE_FILE |
			  LANDLOCK_TRUNCATE | LANDLOCK_IOCTL_DEV;
	return landlock_allow(k->landlock_fd, fd, rights);
}

/*
 * A file that the caller has given as stdin, stdout or stderr lies anywhere, and
 * /dev/stdin opens it anew: as it was opened for us, and no further.
 */
static int allow_given(const struct keeper *k)
{
	for (int i = 0; i < 3; i++) {
		int flags = k->stdio.kind[i] == STDIO_SLOT ? fcntl(i, F_GETFL) : -1;
		uint64_t access = 0;
		struct stat st;
		int r;

		if (flags < 0 || fstat(i, &st) < 0 ||
		    (!S_ISREG(st.st_mode) && !S_ISFIFO(st.st_mode)))
			continue;
		if ((flags & O_ACCMODE) != O_WRONLY)
			access |= LANDLOCK_READ_FILE;
		if ((flags & O_ACCMODE) != O_RDONLY)
			access |= landlock_rights(LANDLOCK_WRITE, k->landlock_abi) &
				  (LANDLOCK_WRITE_FILE | LANDLOCK_TRUNCATE);
		r = landlock_allow(k->landlock_fd, i, access);
		if (r < 0 && r != -EBADFD)
			return r;
	}
	return 0;
}

int landlock_take(const struct keeper *k)
{
	int r = k->landlock_fd < 0 ? -EINVAL : allow_given(k);

	return r < 0 ? r : landlock_restrict(k->landlock_fd, k->landlock_abi);
}

void landlock_done(struct keeper *k)
{
	if (k->landlock_fd >= 0)
		(void)close(k->landlock_fd);
	k->landlock_fd = -1;
}
