/* SPDX-License-Identifier: Apache-2.0 */

#include "ceiling.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../base/buf.h"
#include "../base/macro.h"

#define GROUPS_MAX 1024

/*
 * Another user's view of the file system, for the time of one open(2). Going
 * from fsuid 0 to another one also takes the capabilities that pass over
 * permissions, capabilities(7). The raw calls are meant: these are properties of
 * a thread, and the engine has one.
 */
struct fs_view {
	bool changed;
	int n;
	gid_t groups[GROUPS_MAX];
};

static int fs_view_enter(struct fs_view *v, const struct principal *who, struct err *err)
{
	CLEANUP(free) gid_t *groups = NULL;
	int n = GROUPS_MAX;

	if (who->uid == geteuid())
		return 0;
	groups = calloc(GROUPS_MAX, sizeof(*groups));
	if (!groups)
		return err_set(err, ERR_UNAVAILABLE, "hello.workspace", ENOMEM, "groups");
	if (getgrouplist(who->name, who->gid, groups, &n) < 0)
		return err_set(err, ERR_UNAVAILABLE, "hello.workspace", 0,
			       "user %s is in more than %d groups", who->name,
			       GROUPS_MAX);
	v->n = (int)syscall(SYS_getgroups, GROUPS_MAX, v->groups);
	if (v->n < 0)
		return err_set(err, ERR_UNAVAILABLE, "hello.workspace", errno,
			       "getgroups");
	if (syscall(SYS_setgroups, n, groups) < 0)
		return err_set(err, ERR_DENIED, "hello.workspace", errno,
			       "cannot act as user %s: setgroups", who->name);
	v->changed = true;
	(void)setfsgid(who->gid);
	(void)setfsuid(who->uid);
	return 0;
}

/* To go on with another user's rights would be worse than to end. */
static void fs_view_leave(struct fs_view *v)
{
	int keep = errno;

	if (!v->changed)
		return;
	(void)setfsuid(geteuid());
	(void)setfsgid(getegid());
	if (syscall(SYS_setgroups, v->n, v->groups) < 0 ||
	    (uid_t)setfsuid((uid_t)-1) != geteuid() ||
	    (gid_t)setfsgid((gid_t)-1) != getegid())
		abort();
	errno = keep;
}

/* Whether the switch to the principal really happened: setfsuid() cannot say no. */
static bool fs_view_holds(const struct fs_view *v, const struct principal *who)
{
	return !v->changed || ((uid_t)setfsuid((uid_t)-1) == who->uid &&
			       (gid_t)setfsgid((gid_t)-1) == who->gid);
}

static int open_as(const struct principal *who, int dirfd, const char *path,
		   uint64_t resolve, int *ret_fd, struct err *err)
{
	struct open_how how = {
		.flags = O_PATH | O_DIRECTORY | O_CLOEXEC,
		.resolve = resolve | RESOLVE_NO_MAGICLINKS,
	};
	struct fs_view view = { .changed = false };
	long fd;
	int r;

	r = fs_view_enter(&view, who, err);
	if (r < 0)
		return r;
	if (!fs_view_holds(&view, who)) {
		fs_view_leave(&view);
		return err_set(err, ERR_DENIED, "hello.workspace", 0,
			       "cannot act as user %s", who->name);
	}
	fd = syscall(SYS_openat2, dirfd, path, &how, sizeof(how));
	fs_view_leave(&view);
	if (fd < 0 && errno == ENOSYS)
		return err_set(err, ERR_UNSUPPORTED, "hello.workspace", ENOSYS,
			       "openat2: Linux 5.6 or newer is needed");
	if (fd < 0)
		return err_set(err, ERR_INVALID_INPUT, "hello.workspace", errno,
			       "the workspace \"%s\" cannot be opened by user %s", path,
			       who->name);
	*ret_fd = (int)fd;
	return 0;
}

/* The path of a directory that is open, as the kernel sees it. */
static int real_path(int fd, char **ret, struct err *err)
{
	char link[32], path[PATH_MAX];
	struct stat a, b;
	ssize_t n;

	(void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, path, sizeof(path));
	if (n < 0)
		return err_set(err, ERR_UNAVAILABLE, "hello.workspace", errno,
			       "readlink %s", link);
	if ((size_t)n >= sizeof(path))
		return err_set(err, ERR_INVALID_INPUT, "hello.workspace", 0,
			       "the path of the workspace has %d bytes or more",
			       PATH_MAX);
	path[n] = '\0';
	/* " (deleted)" or another mount over it: then the name is not its own. */
	if (path[0] != '/' || fstat(fd, &a) < 0 || stat(path, &b) < 0 ||
	    a.st_dev != b.st_dev || a.st_ino != b.st_ino)
		return err_set(
			err, ERR_INVALID_INPUT, "hello.workspace", 0,
			"the workspace \"%s\" was removed, renamed or mounted over",
			path);
	*ret = strdup(path);
	if (!*ret)
		return err_set(err, ERR_UNAVAILABLE, "hello.workspace", ENOMEM, "path");
	return 0;
}

static int workspace_of(int *fd, struct workspace *ret, struct err *err)
{
	CLEANUP(free) char *path = NULL;
	struct stat st;
	int r;

	r = real_path(*fd, &path, err);
	if (r < 0)
		return r;
	if (fstat(*fd, &st) < 0)
		return err_set(err, ERR_UNAVAILABLE, "hello.workspace", errno, "fstat");
	*ret = (struct workspace){
		.path = TAKE_PTR(path),
		.fd = TAKE_FD(*fd),
		.dev = st.st_dev,
		.ino = st.st_ino,
		.uid = st.st_uid,
		.gid = st.st_gid,
	};
	return 0;
}

/* path is dir, or lies below it. */
static bool inside(const char *dir, const char *path)
{
	size_t n = strlen(dir);

	if (strcmp(dir, "/") == 0)
		return true;
	return strncmp(dir, path, n) == 0 && (path[n] == '\0' || path[n] == '/');
}

static bool is_system_dir(const char *path)
{
	const struct profile *p;

	for (size_t i = 0; i < PROFILES_MAX; i++) {
		p = profile_at(i);
		for (size_t k = 0; p && p->top[k]; k++)
			if (strcmp(p->top[k], path) == 0)
				return true;
	}
	return false;
}

/* What nobody is likely to mean. home is real, or as the user database has it. */
static int check_place(const char *path, const char *home, bool by_hand, bool native,
		       struct err *err)
{
	static const char *const never[] = { "/proc", "/sys", "/dev" };

	if (strcmp(path, "/") == 0 && native)
		return err_set(
			err, ERR_DENIED, "hello.workspace", 0,
			"\"/\" cannot be the workspace of a sandbox; only a profile with "
			"the host backend has it, named by hand");
	for (size_t i = 0; native && i < ARRAY_SIZE(never); i++)
		if (inside(never[i], path) && !inside("/dev/shm", path))
			return err_set(err, ERR_DENIED, "hello.workspace", 0,
				       "\"%s\" cannot be a workspace: the sandbox has a "
				       "%s of its "
				       "own",
				       path, never[i]);
	if (by_hand)
		return 0;
	if (inside(path, home) && strcmp(home, "/") != 0)
		return err_set(
			err, ERR_DENIED, "hello.workspace", 0,
			"the workspace \"%s\" is or holds the home directory; name it by "
			"hand if all of it is to be writable",
			path);
	if (strcmp(path, "/") == 0 || is_system_dir(path))
		return err_set(
			err, ERR_DENIED, "hello.workspace", 0,
			"the workspace \"%s\" is a system directory; name it by hand if "
			"all of it is to be writable",
			path);
	return 0;
}

static int open_workspace(const struct principal *who, const char *path, bool by_hand,
			  bool native, struct workspace *ret, struct err *err)
{
	CLEANUP(workspace_fini) struct workspace w = WORKSPACE_INIT;
	CLEANUP(close) int fd = -1;
	char home[PATH_MAX];
	int r;

	if (path[0] != '/')
		return err_set(err, ERR_INVALID_INPUT, "hello.workspace", 0,
			       "the workspace \"%s\" is not an absolute path", path);
	if (strlen(path) >= PATH_MAX)
		return err_set(err, ERR_INVALID_INPUT, "hello.workspace", 0,
			       "the path of the workspace has %d bytes or more",
			       PATH_MAX);
	r = open_as(who, AT_FDCWD, path, 0, &fd, err);
	if (r < 0)
		return r;
	r = workspace_of(&fd, &w, err);
	if (r < 0)
		return r;
	r = check_place(w.path, who->home, by_hand, native, err);
	if (r < 0)
		return r;
	/* The home may be reached by a link. */
	if (realpath(who->home, home)) {
		r = check_place(w.path, home, by_hand, native, err);
		if (r < 0)
			return r;
	}
	*ret = w;
	w = (struct workspace)WORKSPACE_INIT;
	return 0;
}

static int choose_profiles(struct ceiling *c, const struct ceiling_request *req,
			   struct err *err)
{
	static char standard[] = PROFILE_DEFAULT;
	char *const none[] = { standard };
	char *const *names = req->n_profiles > 0 ? req->profiles : none;

	for (size_t i = 0; i < MAX(req->n_profiles, (size_t)1); i++) {
		const struct profile *p;
		struct err why;

		if (profile_get(names[i], &p, &why) < 0)
			return err_set(err,
				       why.code == ERR_NOT_FOUND ? ERR_INVALID_INPUT :
								   why.code,
				       "hello.profiles", 0, "%s", why.msg);
		c->profiles |= 1u << profile_index(p);
		if (!c->first)
			c->first = p;
	}
	return 0;
}

static bool any_native(const struct ceiling *c)
{
	const struct profile *p;

	for (size_t i = 0; i < PROFILES_MAX; i++) {
		p = profile_at(i);
		if (p && (c->profiles >> i & 1) && p->backend == BACKEND_NATIVE)
			return true;
	}
	return false;
}

int ceiling_open(struct ceiling *ret, const struct principal *who,
		 const struct ceiling_request *req, struct err *err)
{
	CLEANUP(ceiling_fini) struct ceiling c = CEILING_INIT;
	int r;

	r = choose_profiles(&c, req, err);
	if (r < 0)
		return r;
	if (req->workspace) {
		r = open_workspace(who, req->workspace, req->by_hand, any_native(&c),
				   &c.workspace, err);
		if (r < 0)
			return r;
	}
	c.operations = req->operations ? req->operations : UINT64_MAX;
	if (req->limits)
		c.limits = *req->limits;
	*ret = c;
	c = (struct ceiling)CEILING_INIT;
	return 0;
}

void workspace_fini(struct workspace *w)
{
	free(w->path);
	if (w->path && w->fd >= 0)
		(void)close(w->fd);
	*w = (struct workspace)WORKSPACE_INIT;
}

void ceiling_fini(struct ceiling *c)
{
	workspace_fini(&c->workspace);
	*c = (struct ceiling)CEILING_INIT;
}

bool ceiling_may(const struct ceiling *c, unsigned int operation)
{
	return operation < 64 && (c->operations >> operation & 1) != 0;
}

int ceiling_profile(const struct ceiling *c, const char *name, const struct profile **ret,
		    struct err *err)
{
	const struct profile *p = NULL;
	struct err why;
	int r;

	/* By its name: what the connection began with may have been replaced. */
	name = name ? name : c->first->name;
	r = profile_get(name, &p, &why);
	/* One answer for both: which profiles exist is told by policy.show. */
	if (!profile_may(c->profiles, name) || (r < 0 && why.code == ERR_NOT_FOUND))
		return err_set(err, ERR_DENIED, "profile", 0,
			       "this connection may not use a profile \"%s\"", name);
	if (r < 0)
		return err_set(err, why.code, "profile", 0, "%s", why.msg);
	*ret = p;
	return 0;
}

int workspace_dup(const struct workspace *w, struct workspace *ret, struct err *err)
{
	CLEANUP(free) char *path = NULL;
	CLEANUP(close) int fd = -1;

	if (w->path) {
		path = strdup(w->path);
		if (!path)
			return err_set(err, ERR_UNAVAILABLE, "workspace", ENOMEM, "path");
		fd = fcntl(w->fd, F_DUPFD_CLOEXEC, 3);
		if (fd < 0)
			return err_set(err, ERR_UNAVAILABLE, "workspace", errno,
				       "hold the workspace");
	}
	*ret = *w;
	ret->path = TAKE_PTR(path);
	ret->fd = TAKE_FD(fd);
	return 0;
}

int ceiling_workspace(const struct ceiling *c, const struct principal *who,
		      const char *path, struct workspace *ret, struct err *err)
{
	CLEANUP(workspace_fini) struct workspace w = WORKSPACE_INIT;
	CLEANUP(close) int fd = -1;
	CLEANUP(free) char *below = NULL;
	int r;

	if (!path)
		return workspace_dup(&c->workspace, ret, err);
	if (!c->workspace.path)
		return err_set(err, ERR_DENIED, "workspace", 0,
			       "this connection has no workspace, so that a sandbox of "
			       "it cannot "
			       "have one either");
	r = cwd_below(c->workspace.path, path, &below, NULL);
	if (r < 0 || path[0] != '/')
		return err_set(
			err, ERR_DENIED, "workspace", 0,
			"\"%s\" is no absolute path within this connection's workspace "
			"\"%s\"",
			path, c->workspace.path);
	/* Beneath the directory itself: neither a link nor a rename leads out of it. */
	r = open_as(who, c->workspace.fd, below[0] ? below : ".", RESOLVE_BENEATH, &fd,
		    err);
	if (r == 0)
		r = workspace_of(&fd, &w, err);
	if (r < 0) {
		if (err)
			(void)snprintf(err->stage, sizeof(err->stage), "workspace");
		return r;
	}
	if (!inside(c->workspace.path, w.path))
		return err_set(err, ERR_DENIED, "workspace", 0,
			       "\"%s\" is outside of this connection's workspace now",
			       w.path);
	*ret = w;
	w = (struct workspace)WORKSPACE_INIT;
	return 0;
}

/* Appends one component of a path that is relative to base. */
static bool step(struct buf *b, const char *name, size_t len)
{
	if (len == 0 || (len == 1 && name[0] == '.'))
		return true;
	if (len == 2 && name[0] == '.' && name[1] == '.') {
		if (b->len == 0)
			return false;
		while (b->len > 0 && b->data[b->len - 1] != '/')
			b->len--;
		if (b->len > 0)
			b->len--;
		b->data[b->len] = '\0';
		return true;
	}
	if (b->len > 0)
		buf_add(b, "/", 1);
	buf_add(b, name, len);
	return true;
}

/* path, from "/" on, with its dots worked off, without the leading slash. */
static bool flatten(struct buf *b, const char *path)
{
	while (*path) {
		size_t len = strcspn(path, "/");

		if (!step(b, path, len))
			return false;
		path += len + (path[len] == '/');
	}
	return true;
}

static int outside(const char *base, const char *cwd, struct err *err)
{
	return err_set(
		err, ERR_INVALID_INPUT, "cwd", 0,
		"cwd \"%.200s\" lies outside of the workspace \"%.200s\"; give a path "
		"within it, absolute or relative to it",
		cwd, base);
}

int cwd_below(const char *base, const char *cwd, char **ret, struct err *err)
{
	CLEANUP(buf_fini) struct buf flat = { 0 };
	const char *below;
	char *out;

	buf_adds(&flat, "");
	if (cwd && strlen(cwd) >= PATH_MAX)
		return err_set(err, ERR_INVALID_INPUT, "cwd", 0,
			       "cwd has %zu bytes; allowed are %d", strlen(cwd),
			       PATH_MAX - 1);
	if (cwd && !buf_ok(&flat))
		return err_set(err, ERR_UNAVAILABLE, "cwd", ENOMEM, "cwd");
	if (cwd && !flatten(&flat, cwd))
		return outside(base, cwd, err);
	if (!buf_ok(&flat))
		return err_set(err, ERR_UNAVAILABLE, "cwd", ENOMEM, "cwd");
	below = flat.data;
	if (cwd && cwd[0] == '/' && base[1] != '\0') {
		if (!inside(base + 1, below))
			return outside(base, cwd, err);
		below += strlen(base + 1);
		below += *below == '/';
	}
	out = strdup(below);
	if (!out)
		return err_set(err, ERR_UNAVAILABLE, "cwd", ENOMEM, "cwd");
	*ret = out;
	return 0;
}
