/* SPDX-License-Identifier: Apache-2.0 */

#include "profiles.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../base/buf.h"
#include "../base/cleanup.h"
#include "../base/fd.h"
#include "profile-builtin.h"
#include "profile-file.h"
#include "yaml.h"

#define SUFFIX ".yaml"

/* What is known of a name. It keeps its place. */
struct entry {
	char name[PROFILE_NAME_MAX + 1]; /* "" = free */
	const struct profile *now;	 /* NULL = none, or a bad one */
	const struct profile *last;	 /* that was ever in force */
	struct err why;			 /* of a bad one */
	bool seen;			 /* by the load that is under way */
};

static struct entry entries[PROFILES_MAX];
static bool loaded;

/* --- names --- */

static bool is_name(const char *name, size_t len)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyz0123456789-_";

	return len > 0 && len <= PROFILE_NAME_MAX && strspn(name, allowed) >= len;
}

static struct entry *find(const char *name)
{
	for (size_t i = 0; i < PROFILES_MAX; i++)
		if (entries[i].name[0] && strcmp(entries[i].name, name) == 0)
			return &entries[i];
	return NULL;
}

static struct entry *find_or_add(const char *name, size_t len)
{
	char text[PROFILE_NAME_MAX + 1];
	struct entry *e;

	(void)snprintf(text, sizeof(text), "%.*s", (int)len, name);
	e = find(text);
	for (size_t i = 0; !e && i < PROFILES_MAX; i++)
		if (!entries[i].name[0]) {
			e = &entries[i];
			memcpy(e->name, text, sizeof(text));
		}
	return e;
}

/* --- one file --- */

struct load {
	void (*report)(const struct err *bad, void *data);
	void *data;
};

static void bad(const struct load *l, struct entry *e, const struct err *why)
{
	if (l->report)
		l->report(why, l->data);
	if (e && !e->now)
		e->why = *why;
}

static void take(const struct load *l, struct entry *e, const char *origin,
		 const char *text, size_t len)
{
	struct profile *p;
	struct err err;

	e->seen = true;
	if (e->now && strcmp(e->now->origin, origin) == 0 &&
	    strlen(e->now->text) == len && memcmp(e->now->text, text, len) == 0)
		return;
	if (profile_parse(e->name, origin, text, len, &p, &err) < 0) {
		bad(l, e, &err);
		return;
	}
	p->index = (unsigned int)(e - entries);
	p->before = e->last;
	e->now = e->last = p;
}

static int check_owner(const char *path, const struct stat *st, struct err *err)
{
	if (st->st_uid != 0 && st->st_uid != geteuid())
		return err_set(err, ERR_UNAVAILABLE, "profile", 0,
			       "%s belongs to uid %u; allowed are root and the engine's "
			       "user",
			       path, (unsigned int)st->st_uid);
	if (st->st_mode & (S_IWGRP | S_IWOTH))
		return err_set(
			err, ERR_UNAVAILABLE, "profile", 0,
			"%s can be written by others than its owner: chmod go-w %s", path,
			path);
	return 0;
}

static int read_file(int dir, const char *name, const char *path, struct buf *ret,
		     struct err *err)
{
	CLEANUP(close) int fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat st;
	char *to;
	int r;

	if (fd < 0 || fstat(fd, &st) < 0)
		return err_set(err, ERR_UNAVAILABLE, "profile", errno, "%s", path);
	if (!S_ISREG(st.st_mode))
		return err_set(err, ERR_UNAVAILABLE, "profile", 0, "%s is no file", path);
	r = check_owner(path, &st, err);
	if (r < 0)
		return r;
	if (st.st_size > (off_t)YAML_BYTES_MAX)
		return err_set(err, ERR_INVALID_INPUT, "profile", 0,
			       "%s has %lld bytes; allowed are %zu", path,
			       (long long)st.st_size, YAML_BYTES_MAX);
	to = buf_reserve(ret, (size_t)st.st_size + 1);
	if (!to)
		return err_set(err, ERR_UNAVAILABLE, "profile", ENOMEM, "%s", path);
	r = fd_pread_all(fd, to, (size_t)st.st_size, 0);
	if (r < 0)
		return err_set(err, ERR_UNAVAILABLE, "profile", -r, "read %s", path);
	ret->len = (size_t)st.st_size;
	return 0;
}

static void load_file(const struct load *l, int dir, const char *dir_path,
		      const char *file)
{
	size_t len = strlen(file) - strlen(SUFFIX);
	CLEANUP(buf_fini) struct buf path = { 0 }, text = { 0 };
	struct entry *e = NULL;
	struct err err;

	buf_addf(&path, "%s/%s", dir_path, file);
	if (!buf_ok(&path))
		return;
	if (is_name(file, len))
		e = find_or_add(file, len);
	if (e && e->seen) /* an earlier directory has it */
		return;
	if (!is_name(file, len))
		(void)err_set(
			&err, ERR_INVALID_INPUT, "profile", 0,
			"%s: the name of a profile has 1 to %d of a-z, 0-9, - and _",
			path.data, PROFILE_NAME_MAX);
	else if (!e)
		(void)err_set(&err, ERR_INVALID_INPUT, "profile", 0,
			      "%s: there are %u profiles already", path.data,
			      PROFILES_MAX);
	else if (read_file(dir, file, path.data, &text, &err) == 0) {
		take(l, e, path.data, text.data, text.len);
		return;
	}
	if (e)
		e->seen = true;
	bad(l, e, &err);
}

/* --- all --- */

static int ends_in_suffix(const struct dirent *d)
{
	size_t n = strlen(d->d_name), s = strlen(SUFFIX);

	return d->d_name[0] != '.' && n > s && strcmp(d->d_name + n - s, SUFFIX) == 0;
}

/* *ret_fd is -1 if there is no such directory. */
static int open_dir(const char *path, int *ret_fd, struct err *err)
{
	CLEANUP(close) int fd = -1;
	struct stat st;
	int r;

	*ret_fd = -1;
	if (!path)
		return 0;
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT)
		return 0;
	if (fd < 0 || fstat(fd, &st) < 0)
		return err_set(err, ERR_UNAVAILABLE, "profile", errno, "%s", path);
	r = check_owner(path, &st, err);
	if (r == 0)
		*ret_fd = TAKE_FD(fd);
	return r;
}

static void load_dir(const struct load *l, int fd, const char *path)
{
	struct dirent **names;
	struct err err;
	int n;

	if (fd < 0)
		return;
	n = scandirat(fd, ".", &names, ends_in_suffix, alphasort);
	if (n < 0) {
		(void)err_set(&err, ERR_UNAVAILABLE, "profile", errno, "%s", path);
		bad(l, NULL, &err);
		return;
	}
	for (int i = 0; i < n; i++) {
		load_file(l, fd, path, names[i]->d_name);
		free(names[i]);
	}
	free(names);
}

static_assert(ARRAY_SIZE(profiles_builtin) <= PROFILES_MAX, "they always have a place");

static struct entry *builtin(size_t i)
{
	const char *name = profiles_builtin[i].name;

	return find_or_add(name, strlen(name));
}

static void load_builtin(const struct load *l)
{
	for (size_t i = 0; i < ARRAY_SIZE(profiles_builtin); i++) {
		struct entry *e = builtin(i);

		if (!e->seen)
			take(l, e, "built in", profiles_builtin[i].text,
			     strlen(profiles_builtin[i].text));
	}
}

int profiles_load(const struct profile_dirs *dirs,
		  void (*report)(const struct err *bad, void *data), void *data,
		  struct err *err)
{
	const struct load l = { report, data };
	CLEANUP(close) int user = -1, site = -1;
	int r;

	r = open_dir(dirs->user, &user, err);
	if (r == 0)
		r = open_dir(dirs->site, &site, err);
	if (r < 0)
		return r;
	/* They have their places before others can take them all. */
	for (size_t i = 0; !loaded && i < ARRAY_SIZE(profiles_builtin); i++)
		(void)builtin(i);
	loaded = true;
	for (size_t i = 0; i < PROFILES_MAX; i++)
		entries[i].seen = false;
	load_dir(&l, user, dirs->user);
	load_dir(&l, site, dirs->site);
	load_builtin(&l);
	for (size_t i = 0; i < PROFILES_MAX; i++)
		if (!entries[i].seen) {
			entries[i].now = NULL;
			entries[i].why = (struct err){ 0 };
		}
	return 0;
}

static void need_builtin(void)
{
	const struct profile_dirs none = { NULL, NULL };

	if (!loaded)
		(void)profiles_load(&none, NULL, NULL, NULL);
}

const struct profile *profile_at(size_t n)
{
	need_builtin();
	return n < PROFILES_MAX ? entries[n].now : NULL;
}

bool profile_may(uint32_t set, const char *name)
{
	const struct entry *e;

	need_builtin();
	e = find(name);
	return e && (set >> (e - entries) & 1) != 0;
}

const struct profile *profile_find(const char *name)
{
	const struct entry *e;

	need_builtin();
	e = find(name);
	return e ? e->now : NULL;
}

const struct profile *profile_of_old(const char *name)
{
	static const char text[] = "doc: The profile is not there any more.\n"
				   "backend: native\nnetwork: {mode: none}\n";
	struct entry *e = NULL;
	struct profile *p;

	need_builtin();
	if (is_name(name, strlen(name)))
		e = find_or_add(name, strlen(name));
	if (!e || e->last)
		return e ? e->last : NULL;
	if (profile_parse(e->name, "not there", text, strlen(text), &p, NULL) < 0)
		return NULL;
	p->index = (unsigned int)(e - entries);
	e->last = p;
	return p;
}

int profile_get(const char *name, const struct profile **ret, struct err *err)
{
	const struct entry *e;

	need_builtin();
	e = find(name);
	if (e && e->now) {
		*ret = e->now;
		return 0;
	}
	if (e && e->why.code)
		return err_set(err, ERR_UNAVAILABLE, "profile", 0,
			       "profile \"%s\" cannot be used: %s", name, e->why.msg);
	return err_set(err, ERR_NOT_FOUND, "profile", 0, "there is no profile \"%.64s\"",
		       name);
}
