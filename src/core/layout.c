/* SPDX-License-Identifier: Apache-2.0 */

#include "layout.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../base/buf.h"
#include "../base/macro.h"
#include "../sys/landlock.h"

/* Always from the scratch: what programs write to, whatever they are. */
static const struct {
	const char *path;
	uint32_t mode;
	bool bind;
} usual[] = {
	{ "/tmp", 01777, true },       { "/var", 0755, true },
	{ "/var/cache", 0755, false }, { "/var/lib", 0755, false },
	{ "/var/log", 0755, false },   { "/var/spool", 0755, false },
	{ "/var/tmp", 01777, false },  { "/run", 0755, true },
	{ "/run/lock", 01777, false }, { "/dev/shm", 01777, true },
};

/* Empty directories of the root, mount points for one or the other. */
static const char *const mount_points[] = {
	"/proc", "/sys", "/tmp", "/home", "/root",    "/run",
	"/var",	 "/mnt", "/srv", "/dev",  "/dev/pts", "/dev/shm",
};

/* Landlock refuses ioctl(2) with EACCES: those that know none may go on saying so. */
static const struct {
	const char *path;
	enum landlock_kind kind;
} devices[] = {
	{ "/dev/null", LANDLOCK_DEVICE },    { "/dev/zero", LANDLOCK_DEVICE },
	{ "/dev/full", LANDLOCK_DEVICE },    { "/dev/random", LANDLOCK_STREAM },
	{ "/dev/urandom", LANDLOCK_STREAM }, { "/dev/tty", LANDLOCK_DEVICE },
};

static const struct {
	const char *text, *path;
} dev_links[] = {
	{ "pts/ptmx", "/dev/ptmx" },	      { "/proc/self/fd", "/dev/fd" },
	{ "/proc/self/fd/0", "/dev/stdin" },  { "/proc/self/fd/1", "/dev/stdout" },
	{ "/proc/self/fd/2", "/dev/stderr" },
};

/* The sandbox's only address is loopback, and its name is to lead there. */
#define HOSTS                                                                            \
	"127.0.0.1\tlocalhost proctor\n"                                                 \
	"::1\tlocalhost ip6-localhost proctor\n"

static size_t top_len(const char *path)
{
	return 1 + strcspn(path + 1, "/");
}

static bool in_top(const char *path, const char *top)
{
	return top_len(path) == strlen(top) && strncmp(path, top, strlen(top)) == 0;
}

bool layout_is_plain(const char *path)
{
	if (path[0] != '/' || strlen(path) >= PATH_MAX)
		return false;
	while (*path == '/') {
		size_t n = strcspn(++path, "/");

		if (n == 0 || n > NAME_MAX || (n == 1 && path[0] == '.') ||
		    (n == 2 && path[0] == '.' && path[1] == '.'))
			return false;
		path += n;
	}
	return true;
}

bool layout_may_show(const char *path)
{
	return layout_is_plain(path) && !in_top(path, "/proc") && !in_top(path, "/sys") &&
	       !in_top(path, "/dev");
}

bool layout_is_system(const struct profile *p, const char *path)
{
	for (size_t i = 0; p->top[i]; i++)
		if (in_top(path, p->top[i]))
			return true;
	return false;
}

static void *grow(void *v, size_t n, size_t *cap, size_t size)
{
	size_t more = *cap ? *cap * 2 : 16;
	void *p;

	if (n < *cap)
		return v;
	p = reallocarray(v, more, size);
	if (p)
		*cap = more;
	return p;
}

static void add_text(struct layout *l, char ***list, size_t *n, size_t *cap,
		     const char *text, size_t len)
{
	char **v;

	for (size_t i = 0; i < *n; i++)
		if (strlen((*list)[i]) == len && memcmp((*list)[i], text, len) == 0)
			return;
	v = grow(*list, *n, cap, sizeof(*v));
	if (!v) {
		l->bad = true;
		return;
	}
	*list = v;
	v[*n] = strndup(text, len);
	if (!v[*n])
		l->bad = true;
	else
		(*n)++;
}

static void add_dir(struct layout *l, const char *path, size_t len, uint32_t mode)
{
	struct layout_dir *v;

	for (size_t i = 0; i < l->n_dirs; i++)
		if (l->dirs[i].len == len && memcmp(l->dirs[i].path, path, len) == 0)
			return;
	v = grow(l->dirs, l->n_dirs, &l->cap_dirs, sizeof(*v));
	if (!v) {
		l->bad = true;
		return;
	}
	l->dirs = v;
	v[l->n_dirs].mode = mode;
	v[l->n_dirs].len = len;
	v[l->n_dirs].path = strndup(path, len);
	if (!v[l->n_dirs].path)
		l->bad = true;
	else
		l->n_dirs++;
}

/* path and all above it; mode is the last one's. */
static void add_path(struct layout *l, const char *path, uint32_t mode)
{
	for (size_t n = top_len(path); path[n]; n += 1 + strcspn(path + n + 1, "/"))
		add_dir(l, path, n, 0755);
	add_dir(l, path, strlen(path), mode);
}

/* path is to exist as a directory; keep: and to be writable, not a mount point only. */
static void place(struct layout *l, const char *path, uint32_t mode, bool keep)
{
	size_t top = top_len(path);

	if (layout_is_system(l->profile, path))
		return;
	if (!in_top(path, "/dev"))
		add_text(l, &l->tops, &l->n_tops, &l->cap_tops, path, top);
	if (path[top] == '\0' && !keep)
		return;
	add_path(l, path, mode);
	if (!in_top(path, "/dev"))
		add_text(l, &l->binds, &l->n_binds, &l->cap_binds, path, top);
}

char *layout_home(const struct profile *profile, const struct principal *who,
		  const char *name)
{
	static const char *const no_home[] = { "/proc", "/sys", "/dev", "/nonexistent" };
	struct buf b = { 0 };
	bool own = layout_is_plain(who->home) && !layout_is_system(profile, who->home);

	for (size_t i = 0; i < ARRAY_SIZE(no_home); i++)
		if (own && in_top(who->home, no_home[i]))
			own = false;
	if (own)
		return strdup(who->home);
	buf_addf(&b, "/home/%s", name);
	if (buf_ok(&b) && (strchr(name, '/') || !layout_is_plain(b.data))) {
		buf_fini(&b);
		return strdup("/home/user");
	}
	return buf_take(&b);
}

/* What is above it; of a top-level one it is the root that has the mount point. */
static void place_parent(struct layout *l, const char *path)
{
	char parent[PATH_MAX];
	size_t n = (size_t)(strrchr(path, '/') - path);

	if (n == 0) {
		place(l, path, 0755, false);
		return;
	}
	memcpy(parent, path, n);
	parent[n] = '\0';
	place(l, parent, 0755, true);
}

int layout_init(struct layout *l, const struct profile *profile, const char *home,
		const char *workspace, const struct shown_list *shown, struct err *err)
{
	CLEANUP(layout_fini) struct layout new = { .profile = profile };

	if (workspace && !layout_is_plain(workspace))
		return err_set(err, ERR_INVALID_INPUT, "workspace", 0,
			       "\"%.200s\" cannot be the workspace of a sandbox",
			       workspace);
	for (size_t i = 0; i < ARRAY_SIZE(usual); i++) {
		add_path(&new, usual[i].path, usual[i].mode);
		if (usual[i].bind)
			add_text(&new, &new.binds, &new.n_binds, &new.cap_binds,
				 usual[i].path, strlen(usual[i].path));
	}
	/* Home first: where it and the workspace share directories, it has the say. */
	place(&new, home, 0700, true);
	if (workspace)
		place(&new, workspace, 0755, false);
	for (size_t i = 0; i < shown->n; i++)
		place_parent(&new, shown->v[i].target);
	if (new.bad)
		return err_set(err, ERR_UNAVAILABLE, "plan", ENOMEM,
			       "layout of the sandbox");
	*l = new;
	memset(&new, 0, sizeof(new));
	return 0;
}

void layout_fini(struct layout *l)
{
	for (size_t i = 0; i < l->n_dirs; i++)
		free(l->dirs[i].path);
	for (size_t i = 0; i < l->n_binds; i++)
		free(l->binds[i]);
	for (size_t i = 0; i < l->n_tops; i++)
		free(l->tops[i]);
	free(l->dirs);
	free(l->binds);
	free(l->tops);
	memset(l, 0, sizeof(*l));
}

/* The triples of STEP_ROOT: their number stands before them. */
struct triples {
	struct buf text;
	uint32_t n;
};

static void triple(struct triples *t, const char *kind, const char *source,
		   const char *target)
{
	buf_add(&t->text, kind, strlen(kind) + 1);
	buf_add(&t->text, source, strlen(source) + 1);
	buf_add(&t->text, target, strlen(target) + 1);
	t->n++;
}

enum placed { SHOWN_NOT, SHOWN_BOUND, SHOWN_AS_LINK };

/* A link into another directory that is shown stays a link (/bin -> usr/bin). */
static enum placed system_dir(const struct profile *p, const char *path,
			      char text[PATH_MAX], char real[PATH_MAX])
{
	struct stat st;
	ssize_t n;

	if (lstat(path, &st) < 0 || !realpath(path, real) || stat(real, &st) < 0 ||
	    !S_ISDIR(st.st_mode))
		return SHOWN_NOT;
	n = readlink(path, text, PATH_MAX - 1);
	if (n <= 0 || !layout_is_system(p, real))
		return SHOWN_BOUND;
	text[n] = '\0';
	return SHOWN_AS_LINK;
}

static void add_system_dir(struct triples *t, const struct profile *p, const char *path)
{
	char text[PATH_MAX], real[PATH_MAX];

	switch (system_dir(p, path, text, real)) {
	case SHOWN_BOUND:
		triple(t, "bind", real, path);
		break;
	case SHOWN_AS_LINK:
		triple(t, "link", text, path);
		break;
	case SHOWN_NOT:
		break;
	}
}

static void add_file(struct triples *t, const char *content, const char *path)
{
	struct stat st;

	/* Bound over what is there: the directory above it is the host's. */
	if (content && stat(path, &st) == 0 && S_ISREG(st.st_mode))
		triple(t, "file", content, path);
}

static bool is_mount_point(const char *path)
{
	for (size_t i = 0; i < ARRAY_SIZE(mount_points); i++)
		if (strcmp(mount_points[i], path) == 0)
			return true;
	return false;
}

int layout_add_root(const struct layout *l, const char *passwd, const char *group,
		    struct plan_builder *b, struct err *err)
{
	struct triples t = { .n = 0 };
	struct step_root root = { .count = 0 };

	for (size_t i = 0; l->profile->top[i]; i++)
		add_system_dir(&t, l->profile, l->profile->top[i]);
	for (size_t i = 0; i < ARRAY_SIZE(mount_points); i++)
		triple(&t, "dir", "", mount_points[i]);
	for (size_t i = 0; i < l->n_tops; i++)
		if (!is_mount_point(l->tops[i]))
			triple(&t, "dir", "", l->tops[i]);
	for (size_t i = 0; i < ARRAY_SIZE(devices); i++)
		if (access(devices[i].path, F_OK) == 0)
			triple(&t, "dev", devices[i].path, devices[i].path);
	for (size_t i = 0; i < ARRAY_SIZE(dev_links); i++)
		triple(&t, "link", dev_links[i].text, dev_links[i].path);
	add_file(&t, passwd, "/etc/passwd");
	add_file(&t, group, "/etc/group");
	add_file(&t, HOSTS, "/etc/hosts");

	root.count = t.n;
	plan_add(b, STEP_ROOT, &root, sizeof(root));
	for (size_t at = 0; buf_ok(&t.text) && at < t.text.len;
	     at += strlen(t.text.data + at) + 1)
		plan_add_text(b, t.text.data + at);
	if (!buf_ok(&t.text)) {
		buf_fini(&t.text);
		return err_set(err, ERR_UNAVAILABLE, "plan", ENOMEM,
			       "root of the sandbox");
	}
	buf_fini(&t.text);
	return 0;
}

void layout_add_scratch(const struct layout *l, struct plan_builder *b)
{
	struct step_scratch scratch = {
		.size = profile_scratch_bytes(l->profile),
		.inodes = l->profile->scratch_inodes,
	};
	const struct step_bind bind = { .noexec = 0 };

	plan_add(b, STEP_SCRATCH, &scratch, sizeof(scratch));
	for (size_t i = 0; i < l->n_dirs; i++) {
		struct step_dir dir = { .mode = l->dirs[i].mode };

		plan_add(b, STEP_DIR, &dir, sizeof(dir));
		plan_add_text(b, l->dirs[i].path + 1);
	}
	for (size_t i = 0; i < l->n_binds; i++) {
		plan_add(b, STEP_BIND, &bind, sizeof(bind));
		plan_add_text(b, l->binds[i] + 1);
		plan_add_text(b, l->binds[i]);
	}
}

static void add_rule(struct plan_builder *b, enum landlock_kind kind, const char *path)
{
	const struct step_u32 step = { .v = kind };

	plan_add(b, STEP_LANDLOCK_RULE, &step, sizeof(step));
	plan_add_text(b, path);
}

void layout_add_rules(const struct profile *profile, const char *home,
		      const char *workspace, const struct shown_list *shown,
		      struct plan_builder *b)
{
	bool granted = workspace && path_within(home, workspace);

	add_rule(b, LANDLOCK_LIST, "/");
	for (size_t i = 0; profile->top[i]; i++) {
		char text[PATH_MAX], real[PATH_MAX];

		if (system_dir(profile, profile->top[i], text, real) == SHOWN_BOUND)
			add_rule(b, LANDLOCK_READ, profile->top[i]);
	}
	for (size_t i = 0; i < ARRAY_SIZE(usual); i++) {
		if (!usual[i].bind)
			continue;
		add_rule(b, LANDLOCK_WRITE, usual[i].path);
		granted = granted || path_within(home, usual[i].path);
	}
	/* A home below /var could be made a link by an earlier command of the sandbox. */
	if (!granted)
		add_rule(b, LANDLOCK_WRITE, home);
	if (workspace)
		add_rule(b, LANDLOCK_WRITE, workspace);
	for (size_t i = 0; i < shown->n; i++)
		add_rule(b, shown->v[i].write ? LANDLOCK_WRITE : LANDLOCK_READ,
			 shown->v[i].target);
	for (size_t i = 0; i < ARRAY_SIZE(devices); i++)
		add_rule(b, devices[i].kind, devices[i].path);
	add_rule(b, LANDLOCK_DEVICE, "/dev/pts");
	add_rule(b, LANDLOCK_PROC, "/proc");
}
