/* SPDX-License-Identifier: Apache-2.0 */

#include "shown.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../base/buf.h"
#include "../base/cleanup.h"
#include "layout.h"

bool path_within(const char *path, const char *dir)
{
	size_t n = strlen(dir);

	return strncmp(path, dir, n) == 0 && (path[n] == '\0' || path[n] == '/');
}

bool path_overlap(const char *a, const char *b)
{
	return path_within(a, b) || path_within(b, a);
}

bool shown_is_there(const struct shown *s, uid_t uid)
{
	const struct open_how how = {
		.flags = O_PATH | O_CLOEXEC,
		.resolve = RESOLVE_NO_SYMLINKS,
	};
	CLEANUP(close)
	int fd = (int)syscall(SYS_openat2, AT_FDCWD, s->source, &how, sizeof(how));
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return false;
	return !s->trusted || (S_ISDIR(st.st_mode) && !(st.st_mode & 022) &&
			       (st.st_uid == 0 || st.st_uid == uid));
}

void shown_fini(struct shown_list *l)
{
	for (size_t i = 0; i < l->n; i++) {
		free(l->v[i].source);
		free(l->v[i].target);
	}
	free(l->v);
	memset(l, 0, sizeof(*l));
}

static int no_memory(struct err *err)
{
	return err_set(err, ERR_UNAVAILABLE, "plan", ENOMEM, "what the sandbox shows");
}

/* Takes the two texts. */
static int add(struct shown_list *l, char *source, char *target, bool write, bool trusted,
	       struct err *err)
{
	struct shown *v = l->v;

	if (l->n == l->cap) {
		l->cap = l->cap ? l->cap * 2 : 16;
		v = reallocarray(l->v, l->cap, sizeof(*v));
		if (v)
			l->v = v;
	}
	if (!v || !source || !target) {
		l->cap = l->n;
		free(source);
		free(target);
		return no_memory(err);
	}
	v[l->n++] = (struct shown){ source, target, write, trusted };
	return 0;
}

static char *join(const char *dir, const char *below)
{
	struct buf b = { 0 };

	buf_addf(&b, "%s/%s", dir, below);
	return buf_take(&b);
}

static const char *private_dir(const struct shown_args *a, const char *source)
{
	for (size_t i = 0; i < a->n_private_dirs; i++)
		if (a->private_dirs[i] && path_overlap(source, a->private_dirs[i]))
			return a->private_dirs[i];
	return NULL;
}

/* Is there already, or will be: nothing more than it shows. */
static bool is_shown(const struct shown_args *a, const struct shown_list *l,
		     const char *target)
{
	if (layout_is_system(a->profile, target))
		return true;
	if (a->workspace && path_within(target, a->workspace))
		return true;
	for (size_t i = 0; i < l->n; i++)
		if (path_within(target, l->v[i].target))
			return true;
	return false;
}

static bool has_target(const struct shown_list *l, const char *target)
{
	for (size_t i = 0; i < l->n; i++)
		if (strcmp(l->v[i].target, target) == 0)
			return true;
	return false;
}

/* home is the real one, or NULL: then there is nothing that ~ could mean. */
static int add_entry(const struct shown_args *a, const char *home, const char *entry,
		     bool write, struct shown_list *l, struct err *err)
{
	const char *field = write ? "filesystem.write" : "filesystem.read";
	bool in_home = entry[0] == '~';
	char *source, *target;
	const char *own;

	if (in_home && !home)
		return 0;
	source = in_home ? join(home, entry + 2) : strdup(entry);
	target = in_home ? join(a->home, entry + 2) : strdup(entry);
	if (!source || !target)
		return add(l, source, target, write, false, err);
	own = private_dir(a, source);
	if (own)
		(void)err_set(
			err, ERR_DENIED, "profile", 0,
			"profile \"%s\" has \"%.120s\" in %s, and that and proctor's "
			"own \"%.120s\" lie in each other: a command could reach the "
			"engine",
			a->profile->name, entry, field, own);
	if (own || has_target(l, target) ||
	    (!write && layout_is_system(a->profile, target)) ||
	    (a->workspace && strcmp(target, a->workspace) == 0)) {
		free(source);
		free(target);
		return own ? -ERR_DENIED : 0;
	}
	return add(l, source, target, write, false, err);
}

/* What a person's PATH has and cannot be shown is left out: doctor tells which. */
static int add_path_dir(const struct shown_args *a, const char *home, const char *dir,
			struct shown_list *l, struct err *err)
{
	char *source, *target;

	/* Not the home itself, which would be read-only then. */
	if (!layout_may_show(dir) || path_within(a->home, dir) || is_shown(a, l, dir))
		return 0;
	/* The account's home may be named by a link. */
	if (home && path_within(dir, a->who->home) && dir[strlen(a->who->home)])
		source = join(home, dir + strlen(a->who->home) + 1);
	else
		source = strdup(dir);
	target = strdup(dir);
	if (source && target && private_dir(a, source)) {
		free(source);
		free(target);
		return 0;
	}
	return add(l, source, target, false, true, err);
}

static int add_path(const struct shown_args *a, const char *home, struct shown_list *l,
		    struct err *err)
{
	const char *at = a->path ? a->path : "";
	int r = 0;

	for (size_t i = 0; r == 0 && *at && i < SHOWN_PATH_MAX; i++) {
		size_t n = strcspn(at, ":");
		size_t len = n;
		char dir[PATH_MAX];

		while (len > 1 && at[len - 1] == '/')
			len--;
		if (len < sizeof(dir)) {
			memcpy(dir, at, len);
			dir[len] = '\0';
			r = add_path_dir(a, home, dir, l, err);
		}
		at += n + (at[n] == ':');
	}
	return r;
}

/*
 * The repository and, in it, the part that is the workspace's own, which is mounted by
 * itself since the others are not to be written to.
 */
static int add_worktree(const struct shown_args *a, struct shown_list *l, struct err *err)
{
	struct worktree *w = a->worktree;
	int r;

	if (!w->common)
		return 0;
	if (path_overlap(w->common, a->workspace) || path_within(a->home, w->common) ||
	    private_dir(a, w->common) || has_target(l, w->common) ||
	    layout_is_system(a->profile, w->common)) {
		worktree_fini(w);
		return 0;
	}
	r = add(l, strdup(w->common), strdup(w->common), true, false, err);
	return r < 0 ? r : add(l, strdup(w->own), strdup(w->own), true, false, err);
}

static bool names_home(const struct profile *p)
{
	bool any = p->path_from_caller;

	for (size_t i = 0; !any && p->write[i]; i++)
		any = p->write[i][0] == '~';
	for (size_t i = 0; !any && p->read[i]; i++)
		any = p->read[i][0] == '~';
	return any;
}

static int compare(const void *a, const void *b)
{
	return strcmp(((const struct shown *)a)->target,
		      ((const struct shown *)b)->target);
}

int shown_collect(const struct shown_args *a, struct shown_list *ret, struct err *err)
{
	CLEANUP(shown_fini) struct shown_list l = { 0 };
	char real[PATH_MAX];
	const char *home = NULL;
	int r = 0;

	if (names_home(a->profile))
		home = realpath(a->who->home, real);
	if (home && strcmp(home, "/") == 0)
		home = NULL;
	/* First come those that win over others of the same place. */
	for (size_t i = 0; r == 0 && a->profile->write[i]; i++)
		r = add_entry(a, home, a->profile->write[i], true, &l, err);
	for (size_t i = 0; r == 0 && a->profile->read[i]; i++)
		r = add_entry(a, home, a->profile->read[i], false, &l, err);
	if (r == 0)
		r = add_worktree(a, &l, err);
	if (r == 0 && a->profile->path_from_caller)
		r = add_path(a, home, &l, err);
	if (r < 0)
		return r;
	if (l.n > 1)
		qsort(l.v, l.n, sizeof(*l.v), compare);
	*ret = l;
	memset(&l, 0, sizeof(l));
	return 0;
}
