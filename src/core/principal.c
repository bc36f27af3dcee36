/* SPDX-License-Identifier: Apache-2.0 */

#include "principal.h"

#include <assert.h>
#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../base/macro.h"

/* A name service may hold long entries; this is far beyond any real one. */
#define ENTRY_MAX ((size_t)1 << 20)

/*
 * 1 and *ret (pointing into *ret_buf), 0 if there is no such user. A database
 * that cannot be asked counts as one without the user: not being able to look up
 * a name is no reason to refuse somebody whom the kernel vouches for.
 */
static int look_up(uid_t uid, struct passwd *ret, char **ret_buf)
{
	long hint = sysconf(_SC_GETPW_R_SIZE_MAX);
	size_t size = hint > 0 ? (size_t)hint : 1024;
	struct passwd *found = NULL;
	int r;

	for (; size <= ENTRY_MAX; size *= 2) {
		CLEANUP(free) char *buf = malloc(size);

		if (!buf)
			return -ENOMEM;
		r = getpwuid_r(uid, ret, buf, size, &found);
		if (r == ENOMEM)
			return -ENOMEM;
		if (r == ERANGE)
			continue;
		if (r != 0 || !found)
			return 0;
		*ret_buf = TAKE_PTR(buf);
		return 1;
	}
	return 0;
}

static char *dup_home(const char *home)
{
	size_t len;

#ifdef PROCTOR_FAULT_INJECTION
	const char *other = getenv("PROCTOR_TEST_HOME");

	home = other ? other : home;
#endif
	if (!home || home[0] != '/')
		home = "/";
	len = strlen(home);
	while (len > 1 && home[len - 1] == '/')
		len--;
	return strndup(home, len);
}

int principal_new(struct principal **ret, uid_t uid, gid_t gid, struct err *err)
{
	CLEANUP(principal_unref) struct principal *p = NULL;
	CLEANUP(free) char *buf = NULL;
	struct passwd pw = { .pw_gid = gid };
	char number[24];
	int r;

	r = look_up(uid, &pw, &buf);
	if (r < 0)
		return err_set(err, ERR_UNAVAILABLE, NULL, -r, "look up user %u",
			       (unsigned int)uid);
	if (r == 0)
		pw = (struct passwd){ .pw_gid = gid };
	(void)snprintf(number, sizeof(number), "#%u", (unsigned int)uid);

	p = calloc(1, sizeof(*p));
	if (!p)
		return err_set(err, ERR_UNAVAILABLE, NULL, ENOMEM, "principal");
	p->refs = 1;
	p->uid = uid;
	p->gid = pw.pw_gid;
	p->name = strdup(pw.pw_name && pw.pw_name[0] ? pw.pw_name : number);
	p->home = dup_home(pw.pw_dir);
	p->shell = strdup(pw.pw_shell && pw.pw_shell[0] == '/' ? pw.pw_shell : "/bin/sh");
	if (!p->name || !p->home || !p->shell)
		return err_set(err, ERR_UNAVAILABLE, NULL, ENOMEM, "principal");
	*ret = TAKE_PTR(p);
	return 0;
}

struct principal *principal_ref(struct principal *p)
{
	assert(p->refs > 0);
	p->refs++;
	return p;
}

void principal_unref(struct principal *p)
{
	if (!p)
		return;
	assert(p->refs > 0);
	if (--p->refs > 0)
		return;
	free(p->name);
	free(p->home);
	free(p->shell);
	free(p);
}

/* Two objects of one uid are one principal: each connection makes its own. */
bool principal_may(const struct principal *who, enum access what,
		   const struct principal *owner)
{
	switch (what) {
	case ACCESS_SEE:
	case ACCESS_TOUCH:
		return who->uid == owner->uid;
	}
	return false;
}
