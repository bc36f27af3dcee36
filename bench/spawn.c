/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What launcher and keeper cost, without an engine and layer by layer:
 *
 *	bench-spawn [--rounds N] --state EMPTY-DIRECTORY CASE...
 *
 * CASE is "bare" (vfork, exec, wait), "host", "native" (the plans of the profiles
 * trusted-host and default, as the engine compiles them), "prepared" (native, the
 * sandbox made beforehand), "prepared_host", or native without a layer: "native-net",
 * "native-seccomp" and so on, see omit[]. "@FOLDER" behind it takes the keeper of
 * another build, to compare the two. A line has the time to the result, and one
 * with "+gone" that until the keeper has ended too.
 */

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../src/base/cleanup.h"
#include "../src/base/clock.h"
#include "../src/base/fd.h"
#include "../src/base/macro.h"
#include "../src/box/reader.h"
#include "../src/box/stock.h"
#include "../src/core/boot.h"
#include "../src/core/ceiling.h"
#include "../src/core/compile.h"
#include "../src/plan/plan.h"
#include "../src/plan/proto.h"
#include "measure.h"

#define PROGRAM "/bin/true"
#define WAIT_MS 20000
#define CASES_MAX 32
#define LAUNCHERS_MAX 4

/* A launcher per build of the keeper, each with a state directory of its own. */
struct launcher {
	char bin[PATH_MAX];
	char state[PATH_MAX];
	int boxes;
	int sock;
	pid_t pid;
};

struct world {
	const char *base;
	struct launcher launchers[LAUNCHERS_MAX];
	size_t n;
	struct principal *who;
	struct ceiling ceiling;
	struct id boot_id;
};

struct layer {
	const char *name;
	uint32_t ns;		     /* CLONE_NEW* to leave out */
	enum plan_step_type step[5]; /* steps to leave out */
};

static const struct layer omit[] = {
	{ "net", CLONE_NEWNET, { STEP_LOOPBACK } },
	{ "lo", 0, { STEP_LOOPBACK } },
	{ "ipc", CLONE_NEWIPC, { 0 } },
	{ "uts", CLONE_NEWUTS, { STEP_HOSTNAME } },
	{ "cgroup", CLONE_NEWCGROUP, { 0 } },
	{ "devpts", 0, { STEP_DEVPTS } },
	{ "proc", 0, { STEP_PROC } },
	{ "scratch", 0, { STEP_SCRATCH, STEP_DIR, STEP_BIND, STEP_MOUNT, STEP_CWD } },
	{ "binds", 0, { STEP_BIND, STEP_MOUNT, STEP_CWD } },
	{ "workspace", 0, { STEP_MOUNT, STEP_WORKSPACE, STEP_CWD } },
	{ "seccomp", 0, { STEP_SECCOMP } },
	{ "caps", 0, { STEP_DROP_CAPS } },
	{ "landlock", 0, { STEP_LANDLOCK_RULES, STEP_LANDLOCK_RULE, STEP_LANDLOCK } },
};

struct kind {
	const char *name;
	bool bare, prepared;
	const struct profile *profile;
	const struct layer *without;
	struct launcher *launcher;
	int prepare_fd; /* sealed once, as the engine does */
	struct samples result, gone;
};

static void make_dir(const char *base, const char *name, char *ret, size_t size)
{
	if (snprintf(ret, size, "%s/%s", base, name) >= (int)size || mkdir(ret, 0755) < 0)
		die("mkdir %s/%s: %s", base, name, strerror(errno));
}

static void start_launcher(struct launcher *l)
{
	char path[PATH_MAX + 32];
	int sv[2];

	(void)snprintf(path, sizeof(path), "%s/proctor-keeper", l->bin);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv) < 0)
		die("socketpair: %s", strerror(errno));
	l->pid = fork();
	if (l->pid == 0) {
		int fd = fcntl(sv[1], F_DUPFD, 10);

		(void)dup2(fd, 3);
		(void)execl(path, path, "launcher", l->state, (char *)NULL);
		_exit(127);
	}
	if (l->pid < 0)
		die("fork: %s", strerror(errno));
	(void)close(sv[1]);
	l->sock = sv[0];
}

static struct launcher *launcher_of(struct world *w, const char *bin)
{
	char name[32], path[PATH_MAX];
	struct launcher *l;

	for (size_t i = 0; i < w->n; i++)
		if (strcmp(w->launchers[i].bin, bin) == 0)
			return &w->launchers[i];
	if (w->n == LAUNCHERS_MAX)
		die("at most %d builds", LAUNCHERS_MAX);
	l = &w->launchers[w->n];
	(void)snprintf(name, sizeof(name), "state%zu", w->n++);
	(void)snprintf(l->bin, sizeof(l->bin), "%s", bin);
	make_dir(w->base, name, l->state, sizeof(l->state));
	make_dir(l->state, "keepers", path, sizeof(path));
	make_dir(l->state, "boxes", path, sizeof(path));
	l->boxes = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	start_launcher(l);
	return l;
}

static void open_world(struct world *w)
{
	char *profiles[] = { strdup("default"), strdup("trusted-host") };
	struct ceiling_request req = { .profiles = profiles,
				       .n_profiles = ARRAY_SIZE(profiles) };
	char path[PATH_MAX];
	struct err err = { 0 };

	make_dir(w->base, "work", path, sizeof(path));
	req.workspace = path;
	if (boot_id_get(&w->boot_id, &err) < 0 ||
	    principal_new(&w->who, geteuid(), getegid(), &err) < 0 ||
	    ceiling_open(&w->ceiling, w->who, &req, &err) < 0)
		die("%s: %s", err.stage, err.msg);
	for (size_t i = 0; i < ARRAY_SIZE(profiles); i++)
		free(profiles[i]);
}

static bool left_out(const struct layer *l, enum plan_step_type type)
{
	for (size_t i = 0; l && i < ARRAY_SIZE(l->step); i++)
		if (type != 0 && l->step[i] == type)
			return true;
	return false;
}

/* The same plan without a layer. */
static void filter(const struct plan_builder *from, const struct layer *l,
		   struct plan_builder *ret)
{
	size_t at = sizeof(struct plan_head);

	while (at + sizeof(struct plan_step_head) <= from->buf.len) {
		struct plan_step_head h;
		const char *payload = from->buf.data + at + sizeof(h);
		struct step_namespaces ns;

		memcpy(&h, from->buf.data + at, sizeof(h));
		at += sizeof(h) + (h.size + 7) / 8 * 8;
		if (left_out(l, (enum plan_step_type)h.type))
			continue;
		if (h.type == STEP_NAMESPACES && l) {
			memcpy(&ns, payload, sizeof(ns));
			ns.flags &= ~l->ns;
			plan_add(ret, STEP_NAMESPACES, &ns, sizeof(ns));
		} else {
			plan_add(ret, (enum plan_step_type)h.type, payload, h.size);
		}
	}
}

static int seal(const struct plan_builder *from, const struct layer *l)
{
	struct plan_builder b = { .part = from->part };
	struct err err = { 0 };
	int fd = -1;

	filter(from, l, &b);
	if (plan_seal(&b, &fd, &err) < 0)
		die("seal: %s", err.msg);
	plan_builder_fini(&b);
	return fd;
}

static struct compile_args args_of(struct world *w, const struct kind *k,
				   const struct command_spec *spec, const struct id *id)
{
	return (struct compile_args){
		.who = w->who,
		.profile = k->profile,
		.workspace = &w->ceiling.workspace,
		.mode = COMPILE_FRESH,
		.engine_uid = geteuid(),
		.spec = spec,
		.id = id,
		.boot_id = &w->boot_id,
	};
}

static int prepare_plan(struct world *w, const struct kind *k)
{
	struct compile_args a = args_of(w, k, NULL, NULL);
	struct compiled c = { 0 };
	struct err err = { 0 };
	int fd;

	if (compile_prepare(&a, &c, &err) < 0)
		die("%s: %s", err.stage, err.msg);
	fd = seal(&c.prepare, k->without);
	compiled_fini(&c);
	return fd;
}

static int commit_plan(struct world *w, const struct kind *k, const struct id *id)
{
	static char *const argv[] = { (char *)(uintptr_t)PROGRAM };
	const struct command_spec spec = {
		.argv = argv,
		.argc = 1,
		.stdio = { STDIO_NULL, STDIO_PIPE, STDIO_PIPE },
		.grace_ms = 1000,
	};
	struct compile_args a = args_of(w, k, &spec, id);
	struct compiled c = { 0 };
	struct err err = { 0 };
	int fd;

	if (compile_commit(&a, &c, &err) < 0)
		die("%s: %s", err.stage, err.msg);
	fd = seal(&c.commit, k->without);
	compiled_fini(&c);
	return fd;
}

static void await_readable(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	if (poll(&p, 1, WAIT_MS) != 1)
		die("no answer within %d s", WAIT_MS / 1000);
}

/* Waits for `type` or, with which all is over, for KEEPER_EMPTY; says which it was. */
static uint32_t expect(int control, uint32_t type)
{
	struct {
		struct keeper_msg m;
		char data[KEEPER_DATA_MAX];
	} p;

	do {
		int fds[4];
		size_t n = 0;

		if (fd_recv(control, &p, sizeof(p), fds, 4, &n, 0) <= 0)
			die("the keeper is gone");
		for (size_t i = 0; i < n; i++)
			(void)close(fds[i]);
		if (p.m.type == KEEPER_FAILED)
			die("start failed: %s",
			    ((const struct err *)(const void *)p.data)->msg);
	} while (p.m.type != type && p.m.type != KEEPER_EMPTY);
	return p.m.type;
}

static int take_launched(int sock)
{
	struct launch_answer a;
	int got[2];
	size_t n;

	do {
		await_readable(sock);
		if (fd_recv(sock, &a, sizeof(a), got, 2, &n, 0) != (ssize_t)sizeof(a))
			die("the launcher is gone");
	} while (a.type == REAPED);
	if (a.type != LAUNCHED || n != 1)
		die("launch: %s: %s", a.err.stage, a.err.msg);
	return got[0];
}

static void send_commit(int control, int plan)
{
	struct keeper_msg m = { .type = KEEPER_COMMIT, .a = 1u << SLOT_COMMIT };

	if (fd_send(control, &m, sizeof(m), &plan, 1, 0) != (ssize_t)sizeof(m))
		die("commit: %s", strerror(errno));
}

static void check_record(int box)
{
	struct box_record r;
	struct err err;

	if (box_read_record(box, &r, &err) < 0 || r.reason != BOX_REASON_EXITED ||
	    r.exit_code != 0)
		die("the command did not end well");
}

static void spawn(struct world *w, struct kind *k)
{
	struct launch_msg m = { .version = LAUNCH_VERSION,
				.mode = LAUNCH_COMMAND,
				.slots = 1u << SLOT_PREPARE | 1u << SLOT_BOX |
					 1u << SLOT_CONTROL };
	CLEANUP(close) int box = -1, commit = -1, pidfd = -1;
	const struct launcher *l = k->launcher;
	int fds[4], sv[2];
	struct err err = { 0 };
	uint32_t said;
	uint64_t t0;

	/* Made ahead of need: it belongs to no call. */
	if (id_new(&m.id) < 0 || box_create(l->boxes, &m.id, ID_PROCESS, 2,
					    BOX_RING_DEFAULT, &fds[1], &err) < 0)
		die("box: %s", err.msg);
	if (box_open(l->boxes, &m.id, ID_PROCESS, &box, &err) < 0)
		die("box: %s", err.msg);
	fds[0] = k->prepare_fd;

	t0 = clock_mono();
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv) < 0)
		die("socketpair: %s", strerror(errno));
	fds[2] = sv[1];
	if (!k->prepared) {
		fds[3] = commit = commit_plan(w, k, &m.id);
		m.slots |= 1u << SLOT_COMMIT;
	}
	if (fd_send(l->sock, &m, sizeof(m), fds, k->prepared ? 3 : 4, 0) !=
	    (ssize_t)sizeof(m))
		die("launch: %s", strerror(errno));
	(void)close(sv[1]);
	(void)close(fds[1]);
	pidfd = take_launched(l->sock);
	if (k->prepared) {
		(void)expect(sv[0], KEEPER_READY);
		t0 = clock_mono();
		commit = commit_plan(w, k, &m.id);
		send_commit(sv[0], commit);
	}
	said = expect(sv[0], KEEPER_EXITED);
	samples_add(&k->result, clock_mono() - t0);
	if (said != KEEPER_EMPTY)
		(void)expect(sv[0], KEEPER_EMPTY);
	await_readable(pidfd);
	samples_add(&k->gone, clock_mono() - t0);
	(void)close(sv[0]);
	check_record(box);
	(void)box_unlink(l->boxes, &m.id, ID_PROCESS);
}

/* NAME[-LAYER][@FOLDER] */
static void find_kind(struct kind *k, const char *name)
{
	const char *at = strchrnul(name, '@');
	const char *dash = memchr(name, '-', (size_t)(at - name));
	size_t len = (size_t)((dash ? dash : at) - name);

	*k = (struct kind){ .name = name, .prepare_fd = -1 };
	k->bare = len == 4 && strncmp(name, "bare", len) == 0;
	k->prepared = (len == 8 && strncmp(name, "prepared", len) == 0) ||
		      (len == 13 && strncmp(name, "prepared_host", len) == 0);
	if ((len == 4 && strncmp(name, "host", len) == 0) || (k->prepared && len == 13))
		k->profile = profile_find("trusted-host");
	else if (k->prepared || (len == 6 && strncmp(name, "native", len) == 0))
		k->profile = profile_find("default");
	else if (!k->bare)
		die("no case '%s'", name);
	for (size_t i = 0; dash && i < ARRAY_SIZE(omit); i++)
		if (strlen(omit[i].name) == (size_t)(at - dash) - 1 &&
		    strncmp(omit[i].name, dash + 1, (size_t)(at - dash) - 1) == 0)
			k->without = &omit[i];
	if (dash && !k->without)
		die("no layer '%s'", dash + 1);
}

static void open_kind(struct world *w, struct kind *k)
{
	const char *at = strchr(k->name, '@');
	const char *bin = at ? at + 1 : getenv("PROCTOR_BIN");

	if (k->bare)
		return;
	if (!bin)
		die("PROCTOR_BIN names the folder of the programs");
	k->launcher = launcher_of(w, bin);
	k->prepare_fd = prepare_plan(w, k);
}

static void report(struct kind *k)
{
	char name[PATH_MAX];

	samples_print(&k->result, k->name);
	(void)snprintf(name, sizeof(name), "%s+gone", k->name);
	if (!k->bare)
		samples_print(&k->gone, name);
	samples_fini(&k->result);
	samples_fini(&k->gone);
	if (k->prepare_fd >= 0)
		(void)close(k->prepare_fd);
}

static void close_world(struct world *w)
{
	for (size_t i = 0; i < w->n; i++) {
		(void)close(w->launchers[i].sock);
		(void)waitpid(w->launchers[i].pid, NULL, 0);
		(void)close(w->launchers[i].boxes);
	}
	ceiling_fini(&w->ceiling);
	principal_unref(w->who);
}

int main(int argc, char **argv)
{
	static struct world w = { .ceiling = CEILING_INIT };
	static struct kind kinds[CASES_MAX];
	unsigned int rounds = 200;
	size_t n = 0;

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--rounds") == 0)
			rounds = count_arg(argv[++i], 100000);
		else if (strcmp(argv[i], "--state") == 0)
			w.base = argv[++i];
		else if (n < CASES_MAX)
			find_kind(&kinds[n++], argv[i]);
	}
	if (!w.base || n == 0)
		die("usage: bench-spawn [--rounds N] --state EMPTY-DIRECTORY CASE...");

	open_world(&w);
	for (size_t i = 0; i < n; i++)
		open_kind(&w, &kinds[i]);
	for (unsigned int r = 0; r < rounds; r++)
		for (size_t i = 0; i < n; i++) {
			if (kinds[i].bare)
				samples_add(&kinds[i].result, bare_spawn(PROGRAM));
			else
				spawn(&w, &kinds[i]);
		}
	for (size_t i = 0; i < n; i++)
		report(&kinds[i]);
	close_world(&w);
	return 0;
}
