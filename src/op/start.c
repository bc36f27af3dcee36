/* SPDX-License-Identifier: Apache-2.0 */

#include "start.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "../base/cleanup.h"
#include "../base/clock.h"
#include "../base/fd.h"
#include "../core/compile.h"
#include "../wire/json.h"
#include "feed.h"
#include "record.h"
#include "target.h"

/* What is on its way; released if one of the steps fails. */
struct pending {
	const struct profile *profile;
	struct sandbox *sandbox; /* NULL = fresh */
	struct compiled compiled;
	struct id id;
	char trace_id[33];
	json_t *spec;
	struct keeper *spare; /* instead of box_fd and prepare_fd */
	int box_fd, prepare_fd, commit_fd, stdin_fd;
	int cgroup_fd[SLOT_CGROUPS];
};

#define PENDING_INIT                                                                     \
	{                                                                                \
		.box_fd = -1, .prepare_fd = -1, .commit_fd = -1, .stdin_fd = -1,         \
		.cgroup_fd = {                                                           \
			-1,                                                              \
			-1,                                                              \
			-1,                                                              \
			-1                                                               \
		}                                                                        \
	}

static void pending_fini_p(struct pending *p)
{
	int fds[] = { p->box_fd, p->prepare_fd, p->commit_fd, p->stdin_fd };

	compiled_fini(&p->compiled);
	json_decref(p->spec);
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		if (fds[i] >= 0)
			(void)close(fds[i]);
	for (size_t i = 0; i < SLOT_CGROUPS; i++)
		if (p->cgroup_fd[i] >= 0)
			(void)close(p->cgroup_fd[i]);
}

void start_limits(const struct limits_params *q, struct limits *ret)
{
	const struct {
		bool has;
		enum limit_id id;
		uint64_t v;
	} all[] = {
		{ q->has_cpu_seconds, LIMIT_CPU_SECONDS, q->cpu_seconds },
		{ q->has_open_files, LIMIT_OPEN_FILES, q->open_files },
		{ q->has_processes, LIMIT_PROCESSES, q->processes },
		{ q->has_file_bytes, LIMIT_FILE_BYTES, q->file_bytes },
		{ q->has_core_bytes, LIMIT_CORE_BYTES, q->core_bytes },
		{ q->has_output_bytes, LIMIT_OUTPUT_BYTES, q->output_bytes },
		{ q->has_lifetime_ms, LIMIT_LIFETIME_MS, q->lifetime_ms },
		{ q->has_idle_ms, LIMIT_IDLE_MS, q->idle_ms },
		{ q->has_memory_bytes, LIMIT_MEMORY_BYTES, q->memory_bytes },
	};

	memset(ret, 0, sizeof(*ret));
	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		if (all[i].has)
			limits_set(ret, all[i].id, all[i].v);
}

/* --- idempotency --- */

static int digest(const char *text, uint8_t ret[static JOURNAL_HASH], struct err *err)
{
	int r = sha256_of(text, strlen(text), ret);

	return r < 0 ? err_set(err, ERR_INTERNAL, NULL, -r, "SHA-256 of the request") : 0;
}

/* How long one waits for it does not make it another request. */
static int request_hash(const struct call *c, uint8_t ret[static JOURNAL_HASH],
			struct err *err)
{
	static const char *const skipped[] = { "idempotency_key", "wait_ms",
					       "max_output_bytes", "stream" };
	CLEANUP(json_decref) json_t *o = json_copy((json_t *)(uintptr_t)c->json);
	CLEANUP(buf_fini) struct buf b = { 0 };
	CLEANUP(free) char *text = NULL;

	for (size_t i = 0; o && i < ARRAY_SIZE(skipped); i++)
		(void)json_object_del(o, skipped[i]);
	text = o ? json_dumps(o, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
	if (text)
		buf_addf(&b, "%s %s %s", c->op->name,
			 c->session->ceiling.workspace.path ?
				 c->session->ceiling.workspace.path :
				 "",
			 "");
	if (text)
		buf_adds(&b, text);
	if (!text || !buf_ok(&b))
		return err_set(err, ERR_UNAVAILABLE, NULL, ENOMEM,
			       "cannot read the request");
	return digest(b.data, ret, err);
}

/* Also tells whether the key is new, in *ret_row. */
static int find_earlier(struct call *c, const char *key, struct journal_call *ret_row,
			struct process **ret, struct err *err)
{
	struct id id;
	bool found = false;
	int r;

	*ret_row = (struct journal_call){
		.uid = c->session->who->uid,
		.key = key,
		.wall_ns = clock_wall(),
	};
	r = request_hash(c, ret_row->hash, err);
	if (r == 0)
		r = journal_call_find(c->world->journal, ret_row, &found, &id, err);
	if (r < 0 || !found)
		return r;
	*ret = process_find(&c->world->processes, &id);
	if (!*ret)
		return err_set(
			err, ERR_NOT_FOUND, "idempotency_key", 0,
			"this request was made before, and what it started is no longer "
			"remembered");
	return 0;
}

/* --- policy --- */

/* By its name: what a sandbox was made by may have been replaced since. */
static bool has_profile(const struct sandbox *s, const struct profile *p)
{
	return profile_index(s->profile) == profile_index(p);
}

/* The connection's own sandbox: made when the first command needs it. */
static int own_sandbox(struct call *c, const struct profile *profile,
		       struct sandbox **ret, struct err *err)
{
	struct session *s = c->session;
	const struct start_sandbox a = {
		.profile = profile,
		.workspace = &s->ceiling.workspace,
		.label = s->client,
		.own = true,
	};

	if (s->sandbox && has_profile(s->sandbox, profile) &&
	    (s->sandbox->state == SANDBOX_STARTING ||
	     s->sandbox->state == SANDBOX_RUNNING)) {
		*ret = s->sandbox;
		return 0;
	}
	if (s->sandbox && !has_profile(s->sandbox, profile) &&
	    s->sandbox->state == SANDBOX_RUNNING)
		return err_set(
			err, ERR_CONFLICT, "profile", 0,
			"the connection's sandbox has the profile %s: give \"sandbox\": "
			"\"new\" for another one",
			s->sandbox->profile->name);
	return start_sandbox(c, &a, ret, err) < 0 ? -err->code : (s->sandbox = *ret, 0);
}

/* A sandbox may not show what the connection's hello does not allow. */
static int check_workspace(struct call *c, const struct sandbox *s, struct err *err)
{
	__attribute__((cleanup(workspace_fini_p))) struct workspace ws = WORKSPACE_INIT;
	int r;

	if (!s->workspace.path)
		return 0;
	r = ceiling_workspace(&c->session->ceiling, c->session->who, s->workspace.path,
			      &ws, err);
	if (r == 0 && (ws.dev != s->workspace.dev || ws.ino != s->workspace.ino))
		r = -ERR_DENIED;
	return r < 0 ? err_set(err, ERR_DENIED, "sandbox", 0,
			       "the sandbox has another workspace than this connection") :
		       0;
}

/* Its commands have the profile that it was made by, as long as it lives. */
static int choose_sandbox(struct call *c, const struct start_params *q, bool may_make,
			  struct pending *p, struct err *err)
{
	const struct profile *now;
	int r;

	p->sandbox = NULL;
	if (q->sandbox && strcmp(q->sandbox, REQ_SANDBOX_NEW) == 0)
		return 0;
	if (!q->sandbox) {
		/* The host backend shares everything anyway. */
		if (!c->session->own || p->profile->backend == BACKEND_HOST || !may_make)
			return 0;
		r = own_sandbox(c, p->profile, &p->sandbox, err);
		if (r == 0)
			p->profile = p->sandbox->profile;
		return r;
	}
	r = target_find_sandbox(c, q->sandbox, ACCESS_TOUCH, &p->sandbox, err);
	if (r < 0)
		return r;
	c->subject[0] = '\0';
	if (p->sandbox->state != SANDBOX_STARTING && p->sandbox->state != SANDBOX_RUNNING)
		return err_set(err, ERR_CONFLICT, "sandbox", 0, "the sandbox has ended");
	if (q->profile && !has_profile(p->sandbox, p->profile))
		return err_set(
			err, ERR_INVALID_INPUT, "profile", 0,
			"the sandbox has the profile %s, and its commands have no other",
			p->sandbox->profile->name);
	r = check_workspace(c, p->sandbox, err);
	if (r < 0)
		return r;
	r = ceiling_profile(&c->session->ceiling, p->sandbox->profile->name, &now, err);
	if (r == 0)
		p->profile = p->sandbox->profile;
	return r;
}

/* --- the plan --- */

static int new_trace_id(char ret[static 33], struct err *err)
{
	struct id random;
	int r = id_new(&random);

	if (r < 0)
		return err_set(err, ERR_UNAVAILABLE, "trace_id", -r, "getrandom");
	for (size_t i = 0; i < ID_BYTES; i++)
		(void)snprintf(ret + 2 * i, 3, "%02x", random.b[i]);
	return 0;
}

static enum stdio_kind stdin_kind(const struct start_params *q)
{
	switch (q->stdin_spec.kind) {
	case STDIN_OPEN:
		return STDIO_PIPE;
	case STDIN_TEXT:
	case STDIN_FD:
		return STDIO_SLOT;
	case STDIN_NULL:
		break;
	}
	return STDIO_NULL;
}

static void fill_spec(const struct start_params *q, const char *trace_id,
		      struct command_spec *ret)
{
	/* Nobody would ever see what is discarded: no pipe is needed for it. */
	enum stdio_kind out = q->capture == REQ_CAPTURE_DISCARD && !q->has_pty ?
				      STDIO_NULL :
				      STDIO_PIPE;

	*ret = (struct command_spec){
		.command = q->command,
		.argv = q->argv.v,
		.argc = q->argv.n,
		.shell = q->shell,
		.login = q->login,
		.cwd = q->cwd,
		.env = q->env.v,
		.envc = q->env.n,
		.trace_id = trace_id,
		.stdio = { stdin_kind(q), out, out },
		.pty = q->has_pty,
		.cols = (uint16_t)q->pty.cols,
		.rows = (uint16_t)q->pty.rows,
		.timeout_ms = q->timeout_ms,
		.grace_ms = q->grace_ms,
		.capture = q->capture == REQ_CAPTURE_COMBINED ? BOX_CAPTURE_COMBINED :
			   q->capture == REQ_CAPTURE_DISCARD  ? BOX_CAPTURE_DISCARD :
								BOX_CAPTURE_SEPARATE,
		.overflow = q->overflow == REQ_BLOCK ? BOX_BLOCK : BOX_DROP_OLDEST,
		.ring_bytes = q->ring_bytes,
		.leftover_kill = q->leftover == REQ_LEFTOVER_KILL,
		.disconnect_kill = q->on_disconnect == REQ_DISCONNECT_KILL,
	};
	start_limits(&q->limits, &ret->limits);
}

/* Who will record it: a keeper that stands ready for it, or a box for a new one. */
static int find_recorder(struct call *c, const struct start_params *q, struct pending *p,
			 struct err *err)
{
	if (q->ring_bytes == BOX_RING_DEFAULT && !p->compiled.as_found)
		p->spare =
			world_spare(c->world, &p->compiled.prepare, p->sandbox, &p->id);
	if (p->spare)
		return 0;
	return world_box(c->world,
			 q->has_pty || q->capture != REQ_CAPTURE_SEPARATE ? 1 : 2,
			 q->ring_bytes, ID_PROCESS, &p->id, &p->box_fd, err);
}

/* dry: nothing is taken, and the id is none. */
static int make_plan(struct call *c, const struct start_params *q, bool dry,
		     struct pending *p, struct err *err)
{
	struct session *s = c->session;
	struct command_spec spec;
	struct compile_args a = {
		.who = s->who,
		.profile = p->profile,
		.workspace = p->sandbox ? &p->sandbox->workspace : &s->ceiling.workspace,
		.mode = p->sandbox ? COMPILE_JOIN : COMPILE_FRESH,
		.engine_uid = c->world->uid,
		.private_dirs = { c->world->state_dir, c->world->runtime_dir },
		.cgroups = &c->world->cgroups,
		.spec = &spec,
		.ceiling = &s->ceiling.limits,
		.id = &p->id,
		.boot_id = &c->world->boot_id,
		.path = p->profile->path_from_caller ? s->path : NULL,
	};
	int r;

	if (q->trace_id)
		memcpy(p->trace_id, q->trace_id, sizeof(p->trace_id) - 1);
	else if ((r = new_trace_id(p->trace_id, err)) < 0)
		return r;
	fill_spec(q, p->trace_id, &spec);
	r = compile_prepare(&a, &p->compiled, err);
	if (r == 0 && !dry)
		r = find_recorder(c, q, p, err);
	return r < 0 ? r : compile_commit(&a, &p->compiled, err);
}

int start_check(struct call *c, const struct start_params *q,
		const struct profile **ret_profile, struct compiled *ret, struct err *err)
{
	__attribute__((cleanup(pending_fini_p))) struct pending p = PENDING_INIT;
	int r;

	r = ceiling_profile(&c->session->ceiling, q->profile, &p.profile, err);
	if (r == 0)
		r = choose_sandbox(c, q, false, &p, err);
	if (r == 0)
		r = registry_admit(&c->world->processes, err);
	if (r == 0)
		r = make_plan(c, q, true, &p, err);
	if (r < 0)
		return r;
	*ret_profile = p.profile;
	*ret = p.compiled;
	memset(&p.compiled, 0, sizeof(p.compiled));
	return 0;
}

/* --- standard input --- */

static bool is_devnull(const struct stat *st)
{
	return S_ISCHR(st->st_mode) && st->st_rdev == makedev(1, 3);
}

static int take_stdin_fd(struct call *c, int *ret, struct err *err)
{
	struct statfs fs;
	struct stat st;
	int flags;

	if (c->n_fds == 0 || c->fds[0] < 0)
		return err_set(
			err, ERR_INVALID_INPUT, "stdin", 0,
			"stdin is {\"fd\": true}, but no descriptor came with the call");
	flags = fcntl(c->fds[0], F_GETFL);
	if (flags < 0 || fstat(c->fds[0], &st) < 0 || fstatfs(c->fds[0], &fs) < 0)
		return err_set(err, ERR_INVALID_INPUT, "stdin", errno,
			       "stdin's descriptor");
	if (flags & O_PATH || (flags & O_ACCMODE) == O_WRONLY)
		return err_set(
			err, ERR_INVALID_INPUT, "stdin", 0,
			"stdin's descriptor cannot be read from; allowed: one that can");
	/* An eventfd and the like call themselves regular files (Linux 6.16). */
	if ((!S_ISFIFO(st.st_mode) && !S_ISREG(st.st_mode) && !S_ISSOCK(st.st_mode) &&
	     !is_devnull(&st)) ||
	    fs.f_type == ANON_INODE_FS_MAGIC)
		return err_set(
			err, ERR_INVALID_INPUT, "stdin", 0,
			"stdin's descriptor is %s; allowed: a pipe, a socket, a regular "
			"file, /dev/null",
			isatty(c->fds[0]) ? "a terminal" : "something else");
	*ret = TAKE_FD(c->fds[0]);
	return 0;
}

static int text_fd(const struct stdin_spec *s, int *ret, struct err *err)
{
	CLEANUP(close) int fd = memfd_create("stdin", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	int r;

	if (fd < 0)
		return err_set(err, ERR_UNAVAILABLE, "stdin", errno, "memfd_create");
	r = fd_pwrite_all(fd, s->bytes, s->len, 0);
	if (r < 0)
		return err_set(err, ERR_UNAVAILABLE, "stdin", -r, "keep stdin");
	if (fcntl(fd, F_ADD_SEALS,
		  F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0)
		return err_set(err, ERR_UNAVAILABLE, "stdin", errno, "seal stdin");
	*ret = TAKE_FD(fd);
	return 0;
}

static int make_stdin(struct call *c, const struct start_params *q, int *ret,
		      struct err *err)
{
	if (q->stdin_spec.kind == STDIN_FD)
		return take_stdin_fd(c, ret, err);
	if (c->n_fds > 0)
		return err_set(err, ERR_INVALID_INPUT, "stdin", 0,
			       "a descriptor came with the call, but stdin is not "
			       "{\"fd\": true}");
	if (q->stdin_spec.kind == STDIN_TEXT && !q->has_pty)
		return text_fd(&q->stdin_spec, ret, err);
	return 0;
}

/* On a terminal the text is typed, and then the end of input. */
static void type_text(struct process *p, struct start_params *q)
{
	struct feed *f;
	struct err ignored;

	if (!q->has_pty || q->stdin_spec.kind != STDIN_TEXT)
		return;
	if (feed_start(p, q->stdin_spec.bytes, q->stdin_spec.len, true, NULL, NULL, &f,
		       &ignored) == 0)
		feed_forget(f);
	q->stdin_spec.bytes = NULL;
	q->stdin_spec.len = 0;
}

/* --- the process --- */

static int write_intent(struct call *c, const struct process *p,
			const struct journal_call *key, struct err *err)
{
	struct journal *j = c->world->journal;
	const struct journal_process row = {
		.id = p->id,
		.uid = p->owner->uid,
		.sandbox = p->sandbox_id,
		.boot_id = p->boot_id,
		.streams = p->streams,
		.ring_bytes = p->ring_bytes,
		.created_wall_ns = p->created_wall_ns,
		.created_boot_ns = p->created_boot_ns,
		.spec = p->spec,
	};
	int r;

	r = journal_principal(j, p->owner, p->created_wall_ns, err);
	if (r == 0)
		r = journal_intent(j, &row, err);
	if (r == 0 && key->key) {
		struct journal_call k = *key;

		k.process = p->id;
		r = journal_call_add(j, &k, err);
	}
	return r;
}

static int make_process(struct call *c, const struct start_params *q, struct pending *n,
			struct process **ret, struct err *err)
{
	const struct process_args a = {
		.id = n->id,
		.owner = c->session->who,
		.boot_id = c->world->boot_id,
		.created_wall_ns = clock_wall(),
		.created_boot_ns = clock_boot(),
	};
	struct process *p;
	int r;

	r = process_new(&c->world->processes, &a, &p, err);
	if (r < 0)
		return r;
	r = record_begin(p, TAKE_PTR(n->spec), err);
	if (r < 0) {
		process_forget(p);
		return r;
	}
	p->ring_bytes = q->ring_bytes;
	p->connection = p->disconnect_kill ? c->session->number : 0;
	if (n->sandbox) {
		p->sandbox = n->sandbox;
		p->sandbox_id = n->sandbox->id;
		list_append(&n->sandbox->commands, &p->siblings);
		n->sandbox->n_live++;
		sandbox_step(c->world, n->sandbox);
	}
	*ret = p;
	return 0;
}

static void forget(struct call *c, struct process *p)
{
	struct sandbox *s = p->sandbox;

	if (s) {
		list_remove(&p->siblings);
		s->n_live--;
		p->sandbox = NULL;
	}
	process_forget(p);
	if (s)
		sandbox_step(c->world, s);
}

static int seal(struct pending *p, struct err *err)
{
	int r = p->spare ? 0 : plan_seal(&p->compiled.prepare, &p->prepare_fd, err);

	return r < 0 ? r : plan_seal(&p->compiled.commit, &p->commit_fd, err);
}

static const struct id *sandbox_of(const struct pending *p)
{
	return p->sandbox ? &p->sandbox->id : NULL;
}

static int prepare(struct call *c, struct start_params *q, struct pending *p,
		   struct err *err)
{
	int r;

	r = ceiling_profile(&c->session->ceiling, q->profile, &p->profile, err);
	if (r == 0)
		r = choose_sandbox(c, q, true, p, err);
	if (r == 0)
		r = registry_admit(&c->world->processes, err);
	if (r == 0)
		r = make_stdin(c, q, &p->stdin_fd, err);
	if (r == 0)
		r = make_plan(c, q, false, p, err);
	if (r == 0)
		r = seal(p, err);
	if (r == 0)
		r = world_group(c->world, &p->id, sandbox_of(p), &p->compiled,
				p->cgroup_fd, err);
	if (r < 0)
		return r;
	p->spec = record_spec(q, &p->compiled, p->profile, p->trace_id);
	if (!p->spec)
		return err_set(err, ERR_UNAVAILABLE, NULL, ENOMEM,
			       "cannot keep the request");
	return 0;
}

int start_command(struct call *c, struct start_params *q, struct process **ret,
		  bool *ret_repeated, struct err *err)
{
	__attribute__((cleanup(pending_fini_p))) struct pending n = PENDING_INIT;
	struct journal_call key = { 0 };
	struct process *p = NULL;
	int r;

	*ret_repeated = false;
	if (q->idempotency_key) {
		r = find_earlier(c, q->idempotency_key, &key, &p, err);
		if (r < 0)
			return r;
		if (p) {
			*ret_repeated = true;
			*ret = p;
			return 0;
		}
	}
	r = prepare(c, q, &n, err);
	if (r == 0)
		r = make_process(c, q, &n, &p, err);
	if (r == 0) {
		r = write_intent(c, p, &key, err);
		if (r < 0)
			forget(c, p);
		/* Its id may have come to be known. */
		if (r < 0 && n.spare)
			world_spare_drop(c->world, n.spare);
	}
	if (r < 0) {
		if (n.compiled.cgroup_path)
			world_group_drop(c->world, &n.id, sandbox_of(&n));
		if (n.box_fd >= 0)
			world_box_drop(c->world, &n.id, ID_PROCESS, TAKE_FD(n.box_fd));
		return r;
	}
	target_note(c, &p->id, ID_PROCESS);
	world_launch(c->world, &(struct launch_order){
				       .process = p,
				       .sandbox = n.sandbox,
				       .spare = n.spare,
				       .prepare_fd = TAKE_FD(n.prepare_fd),
				       .commit_fd = TAKE_FD(n.commit_fd),
				       .box_fd = TAKE_FD(n.box_fd),
				       .stdin_fd = TAKE_FD(n.stdin_fd),
				       .cgroup_fds = n.cgroup_fd,
			       });
	for (size_t i = 0; i < SLOT_CGROUPS; i++)
		n.cgroup_fd[i] = -1;
	type_text(p, q);
	*ret = p;
	return 0;
}
