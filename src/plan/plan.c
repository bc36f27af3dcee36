/* SPDX-License-Identifier: Apache-2.0 */

#include "plan.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../base/cleanup.h"
#include "../base/fd.h"
#include "../base/num.h"

/* clang-format off */
static const struct plan_step_info infos[STEP_MAX_] = {
	[STEP_NAMESPACES]   = { "namespaces",   PLAN_PREPARE, PLAN_LAUNCHER, sizeof(struct step_namespaces) },
	[STEP_JOIN]         = { "join",         PLAN_PREPARE, PLAN_LAUNCHER, sizeof(struct step_join) },
	[STEP_OWNER]        = { "owner",        PLAN_PREPARE, PLAN_LAUNCHER, sizeof(struct step_owner) },
	[STEP_ROOT]         = { "root",         PLAN_PREPARE, PLAN_LAUNCHER, sizeof(struct step_root) },
	[STEP_WORKSPACE]    = { "workspace",    PLAN_PREPARE, PLAN_LAUNCHER, sizeof(struct step_workspace) },
	[STEP_SHOW]         = { "show",         PLAN_PREPARE, PLAN_LAUNCHER, sizeof(struct step_show) },
	[STEP_IDMAP]        = { "idmap",        PLAN_PREPARE, PLAN_KEEPER,   sizeof(struct step_idmap) },
	[STEP_HOSTNAME]     = { "hostname",     PLAN_PREPARE, PLAN_KEEPER,   0 },
	[STEP_LOOPBACK]     = { "loopback",     PLAN_PREPARE, PLAN_KEEPER,   0 },
	[STEP_ATTACH]       = { "attach",       PLAN_PREPARE, PLAN_KEEPER,   0 },
	[STEP_SCRATCH]      = { "scratch",      PLAN_PREPARE, PLAN_KEEPER,   sizeof(struct step_scratch) },
	[STEP_DIR]          = { "dir",          PLAN_PREPARE, PLAN_KEEPER,   sizeof(struct step_dir) },
	[STEP_BIND]         = { "bind",         PLAN_PREPARE, PLAN_KEEPER,   sizeof(struct step_bind) },
	[STEP_MOUNT]        = { "mount",        PLAN_PREPARE, PLAN_KEEPER,   sizeof(struct step_mount) },
	[STEP_SHOWN]        = { "shown",        PLAN_PREPARE, PLAN_KEEPER,   sizeof(struct step_u32) },
	[STEP_DEVPTS]       = { "devpts",       PLAN_PREPARE, PLAN_KEEPER,   0 },
	[STEP_PROC]         = { "proc",         PLAN_PREPARE, PLAN_KEEPER,   0 },
	[STEP_MASK]         = { "mask",         PLAN_PREPARE, PLAN_KEEPER,   sizeof(struct step_mask) },
	[STEP_PIVOT]        = { "pivot",        PLAN_PREPARE, PLAN_KEEPER,   0 },
	[STEP_LANDLOCK_RULES] = { "landlock_rules", PLAN_PREPARE, PLAN_KEEPER, sizeof(struct step_u32) },
	[STEP_LANDLOCK_RULE] = { "landlock_rule", PLAN_PREPARE, PLAN_KEEPER,  sizeof(struct step_u32) },
	[STEP_RECORD]       = { "record",       PLAN_COMMIT,  PLAN_KEEPER,   sizeof(struct step_record) },
	[STEP_TIMERS]       = { "timers",       PLAN_COMMIT,  PLAN_KEEPER,   sizeof(struct step_timers) },
	[STEP_STDIO]        = { "stdio",        PLAN_COMMIT,  PLAN_KEEPER,   sizeof(struct step_stdio) },
	[STEP_CGROUP]       = { "cgroup",       PLAN_COMMIT,  PLAN_CHILD,    sizeof(struct step_cgroup) },
	[STEP_UMASK]        = { "umask",        PLAN_COMMIT,  PLAN_CHILD,    sizeof(struct step_u32) },
	[STEP_RLIMIT]       = { "rlimit",       PLAN_COMMIT,  PLAN_CHILD,    sizeof(struct step_rlimit) },
	[STEP_CWD]          = { "cwd",          PLAN_COMMIT,  PLAN_CHILD,    sizeof(struct step_cwd) },
	[STEP_NO_NEW_PRIVS] = { "no_new_privs", PLAN_COMMIT,  PLAN_CHILD,    0 },
	[STEP_DROP_CAPS]    = { "drop_caps",    PLAN_COMMIT,  PLAN_CHILD,    0 },
	[STEP_LANDLOCK]     = { "landlock",     PLAN_COMMIT,  PLAN_CHILD,    0 },
	[STEP_SECCOMP]      = { "seccomp",      PLAN_COMMIT,  PLAN_CHILD,    8 },
	[STEP_EXEC]         = { "exec",         PLAN_COMMIT,  PLAN_CHILD,    sizeof(struct step_exec) },
};
/* clang-format on */

const struct plan_step_info *plan_step_info(uint32_t type)
{
	if (type == 0 || type >= STEP_MAX_)
		return NULL;
	return &infos[type];
}

void plan_builder_fini(struct plan_builder *b)
{
	buf_fini(&b->buf);
}

static void pad(struct buf *b)
{
	static const char zero[8];

	buf_add(b, zero, num_align(b->len, 8) - b->len);
}

void plan_add(struct plan_builder *b, enum plan_step_type type, const void *fixed,
	      size_t len)
{
	struct plan_step_head h = { .type = type, .size = (uint32_t)len };
	struct plan_head head = { PLAN_MAGIC, PLAN_VERSION, b->part, 0 };

	if (b->buf.len == 0)
		buf_add(&b->buf, &head, sizeof(head));
	pad(&b->buf);
	b->last = b->buf.len;
	buf_add(&b->buf, &h, sizeof(h));
	buf_add(&b->buf, fixed, len);
}

void plan_add_text(struct plan_builder *b, const char *text)
{
	struct plan_step_head h;

	buf_add(&b->buf, text, strlen(text) + 1);
	if (!buf_ok(&b->buf))
		return;
	h = *(const struct plan_step_head *)(const void *)(b->buf.data + b->last);
	h.size = (uint32_t)(b->buf.len - b->last - sizeof(h));
	memcpy(b->buf.data + b->last, &h, sizeof(h));
}

uint64_t plan_hash(const struct plan_builder *b)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325);

	for (size_t i = sizeof(struct plan_head); i < b->buf.len; i++)
		h = (h ^ (unsigned char)b->buf.data[i]) * UINT64_C(0x100000001b3);
	return h;
}

void plan_finish(struct plan_builder *b)
{
	struct plan_head head = { PLAN_MAGIC, PLAN_VERSION, b->part, 0 };

	if (b->buf.len == 0)
		buf_add(&b->buf, &head, sizeof(head));
	pad(&b->buf);
	if (!buf_ok(&b->buf) || b->buf.len > PLAN_MAX)
		return;
	head.size = (uint32_t)b->buf.len;
	memcpy(b->buf.data, &head, sizeof(head));
}

int plan_seal(struct plan_builder *b, int *ret_fd, struct err *err)
{
	CLEANUP(close) int fd = -1;
	int r;

	plan_finish(b);
	if (!buf_ok(&b->buf))
		return err_set(err, ERR_UNAVAILABLE, "plan", ENOMEM,
			       "cannot build the plan");
	if (b->buf.len > PLAN_MAX)
		return err_set(
			err, ERR_INVALID_INPUT, "plan", 0,
			"the command, its arguments and its environment take %zu bytes; "
			"allowed are %zu",
			b->buf.len, PLAN_MAX);
	fd = memfd_create("plan", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return err_set(err, ERR_UNAVAILABLE, "plan", errno, "memfd_create");
	r = fd_write_all(fd, b->buf.data, b->buf.len);
	if (r < 0)
		return err_set(err, ERR_UNAVAILABLE, "plan", -r, "write the plan");
	if (fcntl(fd, F_ADD_SEALS,
		  F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0)
		return err_set(err, ERR_UNAVAILABLE, "plan", errno, "seal the plan");
	*ret_fd = TAKE_FD(fd);
	return 0;
}

static int bad(struct err *err, const char *what)
{
	return err_set(err, ERR_INTERNAL, "plan", 0, "malformed plan: %s", what);
}

static int check(const struct plan *p, enum plan_part part, struct err *err)
{
	struct plan_head head;
	size_t at = sizeof(head);

	memcpy(&head, p->data, sizeof(head));
	if (head.magic != PLAN_MAGIC || head.version != PLAN_VERSION)
		return bad(err, "another version");
	if (head.part != part || head.size != p->len)
		return bad(err, "wrong part or size");
	while (at < p->len) {
		const struct plan_step_info *info;
		struct plan_step_head h;

		if (p->len - at < sizeof(h))
			return bad(err, "cut step");
		memcpy(&h, p->data + at, sizeof(h));
		info = plan_step_info(h.type);
		if (!info || info->part != part || h.size < info->least)
			return bad(err, "unknown or short step");
		if (h.size > p->len - at - sizeof(h))
			return bad(err, "step beyond the end");
		at += num_align(sizeof(h) + h.size, 8);
	}
	return 0;
}

int plan_map(int fd, enum plan_part part, struct plan *ret, struct err *err)
{
	struct plan p = { 0 };
	struct stat st;
	int seals, r;
	void *map;

	seals = fcntl(fd, F_GET_SEALS);
	if (seals < 0 ||
	    (seals & (F_SEAL_SHRINK | F_SEAL_WRITE)) != (F_SEAL_SHRINK | F_SEAL_WRITE))
		return bad(err, "not sealed");
	if (fstat(fd, &st) < 0)
		return err_set(err, ERR_INTERNAL, "plan", errno, "fstat");
	if (st.st_size < (off_t)sizeof(struct plan_head) || st.st_size > (off_t)PLAN_MAX)
		return bad(err, "size out of range");
	p.len = (size_t)st.st_size;
	map = mmap(NULL, p.len, PROT_READ, MAP_PRIVATE, fd, 0);
	if (map == MAP_FAILED)
		return err_set(err, ERR_INTERNAL, "plan", errno, "mmap");
	p.data = map;
	r = check(&p, part, err);
	if (r < 0) {
		plan_unmap(&p);
		return r;
	}
	*ret = p;
	return 0;
}

void plan_unmap(struct plan *p)
{
	if (p->data)
		(void)munmap((void *)(uintptr_t)p->data, p->len);
	memset(p, 0, sizeof(*p));
}

int plan_next(const struct plan *p, size_t *cursor, struct plan_step *ret)
{
	struct plan_step_head h;
	size_t at = *cursor ? *cursor : sizeof(struct plan_head);

	if (at >= p->len)
		return 0;
	memcpy(&h, p->data + at, sizeof(h));
	ret->type = (enum plan_step_type)h.type;
	ret->info = &infos[h.type];
	ret->payload = p->data + at + sizeof(h);
	ret->size = h.size;
	*cursor = at + num_align(sizeof(h) + h.size, 8);
	return 1;
}

const char *plan_text(const struct plan_step *s, size_t n)
{
	const char *p = (const char *)s->payload + s->info->least;
	const char *end = (const char *)s->payload + s->size;

	for (;; n--) {
		const char *nul = p < end ? memchr(p, 0, (size_t)(end - p)) : NULL;

		if (!nul)
			return NULL;
		if (n == 0)
			return p;
		p = nul + 1;
	}
}
