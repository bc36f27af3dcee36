/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The launcher and keepers against plans made by hand, without an engine. The
 * program is found beside PROCTOR_BIN or in ../../bin of this test.
 */

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../src/base/cleanup.h"
#include "../../src/base/clock.h"
#include "../../src/base/fd.h"
#include "../../src/box/reader.h"
#include "../../src/box/stock.h"
#include "../../src/plan/plan.h"
#include "../../src/plan/proto.h"
#include "../../src/sys/landlock.h"

#define WAIT_MS 20000
#define ROOT_UID 60900

struct world {
	char dir[64];
	char work[80];
	int boxes;
	int launcher;
	pid_t pid;
	int log; /* the launcher's stderr, -1 = ours */
	bool no_unshare_net;
};

/* One command under test. */
struct cmd {
	struct id id;
	int control;
	int box;
	int keeper_pidfd;
	int main_pidfd;
	struct err failed;
	uint32_t seen; /* keeper messages, bit per type */
};

/* Takes unshare(CLONE_NEWNET) from this process, as a limit on their number would. */
static void forbid_unshare_net(void)
{
	struct sock_filter f[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_unshare, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
			 offsetof(struct seccomp_data, args[0])),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, CLONE_NEWNET, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSPC),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = { .len = sizeof(f) / sizeof(f[0]), .filter = f };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog) < 0)
		_exit(126);
}

static int start_launcher(struct world *w)
{
	const char *bin = getenv("PROCTOR_BIN");
	char path[PATH_MAX], self[PATH_MAX] = "";
	int sv[2];

	if (bin) {
		(void)snprintf(path, sizeof(path), "%s/proctor-keeper", bin);
	} else {
		assert_true(readlink("/proc/self/exe", self, sizeof(self) - 1) > 0);
		*strrchr(self, '/') = '\0';
		(void)snprintf(path, sizeof(path), "%.3000s/../../bin/proctor-keeper",
			       self);
	}
	if (access(path, X_OK) < 0)
		return -1;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv), 0);
	w->pid = fork();
	assert_true(w->pid >= 0);
	if (w->pid == 0) {
		/* Also right if sv[1] is the number already. */
		int fd = fcntl(sv[1], F_DUPFD, 10);

		if (w->log >= 0)
			(void)dup2(w->log, STDERR_FILENO);
		if (w->no_unshare_net)
			forbid_unshare_net();
		(void)dup2(fd, 3);
		(void)execl(path, path, "launcher", w->dir, (char *)NULL);
		_exit(127);
	}
	(void)close(sv[1]);
	w->launcher = sv[0];
	return 0;
}

static int setup_with(void **state, bool no_unshare_net)
{
	struct world *w = calloc(1, sizeof(*w));
	char path[128];

	assert_non_null(w);
	w->no_unshare_net = no_unshare_net;
	w->log = no_unshare_net ? memfd_create("log", MFD_CLOEXEC) : -1;
	(void)snprintf(w->dir, sizeof(w->dir), "/tmp/test-keeper.XXXXXX");
	assert_non_null(mkdtemp(w->dir));
	(void)snprintf(path, sizeof(path), "%s/keepers", w->dir);
	assert_int_equal(mkdir(path, 0700), 0);
	(void)snprintf(path, sizeof(path), "%s/boxes", w->dir);
	assert_int_equal(mkdir(path, 0700), 0);
	w->boxes = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	(void)snprintf(w->work, sizeof(w->work), "%s/work", w->dir);
	assert_int_equal(mkdir(w->work, 0755), 0);
	*state = w;
	return start_launcher(w);
}

static int setup(void **state)
{
	return setup_with(state, false);
}

static int setup_without_stock(void **state)
{
	return setup_with(state, true);
}

static int teardown(void **state)
{
	struct world *w = *state;
	char cmd[128];

	(void)close(w->launcher);
	/* It ends with its last keeper: every test has to have ended its own. */
	assert_int_equal(waitpid(w->pid, NULL, 0), w->pid);
	(void)close(w->boxes);
	if (w->log >= 0)
		(void)close(w->log);
	(void)snprintf(cmd, sizeof(cmd), "%s", w->dir);
	if (fork() == 0) {
		(void)execlp("rm", "rm", "-rf", cmd, (char *)NULL);
		_exit(127);
	}
	(void)wait(NULL);
	free(w);
	return 0;
}

static void host_prepare(struct plan_builder *b)
{
	struct step_namespaces ns = { 0 };

	plan_add(b, STEP_NAMESPACES, &ns, sizeof(ns));
}

static void text_step(struct plan_builder *b, enum plan_step_type type, const void *fixed,
		      size_t len, const char *a, const char *c)
{
	plan_add(b, type, fixed, len);
	plan_add_text(b, a);
	if (c)
		plan_add_text(b, c);
}

static void native_prepare(struct plan_builder *b, const struct world *w)
{
	static const char *const root[] = {
		"bind", "/usr",	     "/usr",	 "bind", "/etc",      "/etc",
		"link", "usr/bin",   "bin",	 "link", "usr/lib",   "lib",
		"link", "usr/lib64", "lib64",	 "dir",	 "",	      "/proc",
		"dir",	"",	     "/tmp",	 "dir",	 "",	      "/dev/pts",
		"dev",	"/dev/null", "dev/null", "dev",	 "/dev/zero", "dev/zero",
		"link", "pts/ptmx",  "dev/ptmx", "dir",	 "",	      "/run",
	};
	uid_t uid = geteuid() ? geteuid() : ROOT_UID;
	gid_t gid = geteuid() ? getegid() : ROOT_UID;
	struct step_namespaces ns = { .flags = CLONE_NEWUSER | CLONE_NEWNS |
					       CLONE_NEWPID | CLONE_NEWIPC |
					       CLONE_NEWUTS | CLONE_NEWNET |
					       CLONE_NEWCGROUP };
	struct step_owner owner = { uid, gid };
	struct step_root r = { .count = sizeof(root) / sizeof(root[0]) / 3 };
	struct step_workspace ws = { .idmap = geteuid() == 0 };
	struct step_idmap map = { uid, gid };
	struct step_scratch scratch = { 64 << 20, 10000 };
	struct step_dir d = { .mode = 01777 };
	struct step_bind none = { 0 };
	struct step_mount mount = { { 0, 0 } };
	char inner[128];
	struct stat st;

	assert_int_equal(stat(w->work, &st), 0);
	ws.dev = st.st_dev;
	ws.ino = st.st_ino;
	ws.disk_uid = st.st_uid;
	ws.disk_gid = st.st_gid;
	plan_add(b, STEP_NAMESPACES, &ns, sizeof(ns));
	plan_add(b, STEP_OWNER, &owner, sizeof(owner));
	plan_add(b, STEP_ROOT, &r, sizeof(r));
	for (size_t i = 0; i < sizeof(root) / sizeof(root[0]); i++)
		plan_add_text(b, root[i]);
	text_step(b, STEP_WORKSPACE, &ws, sizeof(ws), w->work, w->work);
	plan_add(b, STEP_IDMAP, &map, sizeof(map));
	text_step(b, STEP_HOSTNAME, NULL, 0, "proctor", NULL);
	plan_add(b, STEP_LOOPBACK, NULL, 0);
	plan_add(b, STEP_ATTACH, NULL, 0);
	plan_add(b, STEP_SCRATCH, &scratch, sizeof(scratch));
	text_step(b, STEP_DIR, &d, sizeof(d), "tmp", NULL);
	(void)snprintf(inner, sizeof(inner), "%s", w->work + 1);
	text_step(b, STEP_DIR, &d, sizeof(d), inner, NULL);
	text_step(b, STEP_BIND, &none, sizeof(none), "tmp", "/tmp");
	text_step(b, STEP_MOUNT, &mount, sizeof(mount), w->work, NULL);
	plan_add(b, STEP_DEVPTS, NULL, 0);
	plan_add(b, STEP_PROC, NULL, 0);
	plan_add(b, STEP_PIVOT, NULL, 0);
}

enum wall { NO_WALL, WALL, WALL_WITHOUT_RULES, WALL_OF_NO_KIND };

struct wish {
	bool native;
	enum wall wall; /* Landlock: all may be read, nothing written */
	const char *script;
	const char *const *argv; /* instead of script */
	const char *cwd;
	uint64_t timeout_ms, grace_ms, ring, lifetime_ms;
	bool pty, block, leftover_kill, in_open;
	struct step_cgroup cgroup;
};

static void wall_prepare(struct plan_builder *b, enum wall wall)
{
	struct step_u32 abi = { .v = LANDLOCK_ABI_LEAST };
	struct step_u32 kind = { .v = wall == WALL ? LANDLOCK_READ : LANDLOCK_KINDS_ };

	plan_add(b, STEP_LANDLOCK_RULES, &abi, sizeof(abi));
	text_step(b, STEP_LANDLOCK_RULE, &kind, sizeof(kind), "/", NULL);
	text_step(b, STEP_LANDLOCK_RULE, &kind, sizeof(kind), "/no/such/path", NULL);
}

static void commit(struct plan_builder *b, const struct wish *q, const struct world *w,
		   const struct id *id)
{
	struct step_record rec = { .id = *id,
				   .ring_size = q->ring ? q->ring : 65536,
				   .capture = q->pty ? BOX_CAPTURE_PTY :
						       BOX_CAPTURE_SEPARATE,
				   .overflow = q->block ? BOX_BLOCK : BOX_DROP_OLDEST,
				   .leftover_kill = q->leftover_kill };
	struct step_timers t = { .timeout = q->timeout_ms * NS_PER_MS,
				 .grace = (q->grace_ms ? q->grace_ms : 200) * NS_PER_MS,
				 .lifetime = q->lifetime_ms * NS_PER_MS,
				 .drain = 50 * NS_PER_MS,
				 .block = 300 * NS_PER_MS };
	struct step_stdio io = { .kind = { STDIO_NULL, STDIO_PIPE, STDIO_PIPE },
				 .cols = 80,
				 .rows = 24 };
	struct step_cwd cwd = { 0 };
	const char *const sh[] = { "/bin/sh", "-c", q->script, NULL };
	const char *const *argv = q->argv ? q->argv : sh;
	struct step_exec ex = { .envc = 1 };

	if (q->pty)
		io.kind[0] = io.kind[1] = io.kind[2] = STDIO_PTY;
	if (q->in_open)
		io.kind[0] = STDIO_PIPE;
	while (argv[ex.argc])
		ex.argc++;
	plan_add(b, STEP_RECORD, &rec, sizeof(rec));
	plan_add(b, STEP_TIMERS, &t, sizeof(t));
	plan_add(b, STEP_STDIO, &io, sizeof(io));
	if (q->cgroup.memory_bytes || q->cgroup.processes)
		plan_add(b, STEP_CGROUP, &q->cgroup, sizeof(q->cgroup));
	text_step(b, STEP_CWD, &cwd, sizeof(cwd), w->work, q->cwd ? q->cwd : "");
	plan_add(b, STEP_NO_NEW_PRIVS, NULL, 0);
	if (q->native)
		plan_add(b, STEP_DROP_CAPS, NULL, 0);
	if (q->wall)
		plan_add(b, STEP_LANDLOCK, NULL, 0);
	plan_add(b, STEP_EXEC, &ex, sizeof(ex));
	for (uint32_t i = 0; i < ex.argc; i++)
		plan_add_text(b, argv[i]);
	plan_add_text(b, "PATH=/usr/bin:/bin");
}

static void await_readable(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	assert_int_equal(poll(&p, 1, WAIT_MS), 1);
}

/* Takes messages until one of `types` came. */
static void expect(struct cmd *c, uint32_t types)
{
	while (!(c->seen & types)) {
		struct {
			struct keeper_msg m;
			char data[KEEPER_DATA_MAX];
		} p;
		int fds[4];
		size_t n = 0;
		ssize_t r;

		await_readable(c->control);
		r = fd_recv(c->control, &p, sizeof(p), fds, 4, &n, 0);
		if (r <= 0)
			fail_msg("keeper gone; seen 0x%x wanted 0x%x: %s", c->seen, types,
				 c->failed.msg);
		c->seen |= 1u << p.m.type;
		if (p.m.type == KEEPER_FAILED)
			memcpy(&c->failed, p.data, sizeof(c->failed));
		if (p.m.type == KEEPER_FAILED)
			print_message("start failed: %s: %s\n", c->failed.stage,
				      c->failed.msg);
		if (n > 0)
			c->main_pidfd = fds[0];
	}
}

#define MSG(t) (1u << KEEPER_##t)

static void launch(struct world *w, const struct wish *q, struct cmd *c)
{
	struct plan_builder prep = { .part = PLAN_PREPARE },
			    com = { .part = PLAN_COMMIT };
	struct launch_msg m = { .version = LAUNCH_VERSION,
				.mode = LAUNCH_COMMAND,
				.slots = 1u << SLOT_PREPARE | 1u << SLOT_BOX |
					 1u << SLOT_CONTROL | 1u << SLOT_COMMIT };
	struct launch_answer a;
	struct err err = { 0 };
	int fds[4], sv[2], got[2];
	size_t n = 0;

	memset(c, 0, sizeof(*c));
	c->main_pidfd = -1;
	assert_int_equal(id_new(&c->id), 0);
	m.id = c->id;
	if (q->native)
		native_prepare(&prep, w);
	else
		host_prepare(&prep);
	if (q->wall == WALL || q->wall == WALL_OF_NO_KIND)
		wall_prepare(&prep, q->wall);
	commit(&com, q, w, &c->id);
	assert_int_equal(plan_seal(&prep, &fds[0], &err), 0);
	assert_int_equal(plan_seal(&com, &fds[3], &err), 0);
	assert_int_equal(box_create(w->boxes, &c->id, ID_PROCESS, q->pty ? 1 : 2,
				    q->ring ? q->ring : 65536, &fds[1], &err),
			 0);
	assert_int_equal(box_open(w->boxes, &c->id, ID_PROCESS, &c->box, &err), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv), 0);
	fds[2] = sv[1];
	c->control = sv[0];
	assert_int_equal(fd_send(w->launcher, &m, sizeof(m), fds, 4, 0), sizeof(m));
	for (int i = 0; i < 4; i++)
		(void)close(fds[i]);
	plan_builder_fini(&prep);
	plan_builder_fini(&com);
	do {
		await_readable(w->launcher);
		assert_int_equal(fd_recv(w->launcher, &a, sizeof(a), got, 2, &n, 0),
				 sizeof(a));
	} while (a.type == REAPED);
	if (a.type != LAUNCHED)
		fail_msg("launch: %s: %s", a.err.stage, a.err.msg);
	assert_int_equal(n, 1);
	c->keeper_pidfd = got[0];
}

static void finish(struct cmd *c)
{
	expect(c, MSG(EMPTY));
	await_readable(c->keeper_pidfd); /* the keeper is gone */
	(void)close(c->keeper_pidfd);
	if (c->main_pidfd >= 0)
		(void)close(c->main_pidfd);
	(void)close(c->control);
}

static struct box_record record(const struct cmd *c)
{
	struct box_record r = { 0 };
	struct err err;

	assert_int_equal(box_read_record(c->box, &r, &err), 0);
	return r;
}

static const char *output(const struct cmd *c, int stream)
{
	static char buf[4096];
	struct box_chunk chunk = { 0 };
	struct box_extent x;
	struct err err;

	assert_int_equal(box_read_extent(c->box, stream, &x, &err), 0);
	assert_int_equal(
		box_read(c->box, stream, x.start, buf, sizeof(buf) - 1, &chunk, &err), 0);
	buf[chunk.len] = '\0';
	return buf;
}

static void send_kill(struct cmd *c, int sig, uint64_t grace_ms)
{
	struct keeper_msg m = { .type = KEEPER_KILL,
				.seq = 7,
				.a = (uint64_t)sig,
				.b = grace_ms * NS_PER_MS,
				.c = BOX_REASON_KILLED };

	assert_int_equal(fd_send(c->control, &m, sizeof(m), NULL, 0, 0), sizeof(m));
}

static bool native_possible(void)
{
	pid_t pid = fork();
	int st = 0;

	if (pid == 0)
		_exit(unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0 ? 0 : 1);
	(void)waitpid(pid, &st, 0);
	return st == 0;
}

static void each_backend(struct world *w, void (*fn)(struct world *w, bool native))
{
	fn(w, false);
	if (native_possible())
		fn(w, true);
	else
		print_message("[  SKIPPED ] native half: no user namespaces\n");
}

static void exit_and_output(struct world *w, bool native)
{
	struct wish q = { .native = native, .script = "echo out; echo err >&2; exit 3" };
	struct box_record r;
	struct cmd c;

	launch(w, &q, &c);
	finish(&c);
	r = record(&c);
	assert_string_equal(output(&c, 0), "out\n");
	assert_string_equal(output(&c, 1), "err\n");
	assert_int_equal(r.exit_code, 3);
	assert_int_equal(r.reason, BOX_REASON_EXITED);
	assert_int_equal(
		r.flags & (BOX_HAS_EXITED | BOX_HAS_CLOSED | BOX_IS_EMPTY | BOX_IS_FINAL),
		BOX_HAS_EXITED | BOX_HAS_CLOSED | BOX_IS_EMPTY | BOX_IS_FINAL);
	assert_true(c.seen & MSG(STARTED));
}

static void test_exit_and_output_are_recorded(void **state)
{
	each_backend(*state, exit_and_output);
}

static void leftover(struct world *w, bool native)
{
	struct wish q = { .native = native, .script = "sleep 1000 & echo started" };
	uint64_t t0 = clock_mono();
	struct cmd c;

	launch(w, &q, &c);
	expect(&c, MSG(EXITED));
	assert_true(clock_mono() - t0 < 2 * NS_PER_SEC);
	assert_int_equal(record(&c).live, 1);
	assert_false(c.seen & (MSG(CLOSED) | MSG(EMPTY)));
	send_kill(&c, SIGTERM, 5000);
	finish(&c);
	assert_int_equal(record(&c).reason, BOX_REASON_EXITED);
	assert_int_equal(record(&c).live, 0);
}

static void test_a_background_child_does_not_hold_the_result(void **state)
{
	each_backend(*state, leftover);
}

static void leftover_killed(struct world *w, bool native)
{
	struct wish q = { .native = native,
			  .script = "sleep 1000 & sleep 1000 & exit 5",
			  .leftover_kill = true };
	struct cmd c;

	launch(w, &q, &c);
	expect(&c, MSG(EXITED) | MSG(EMPTY));
	assert_int_equal(record(&c).live, 0);
	assert_int_equal(record(&c).exit_code, 5);
	finish(&c);
}

static void test_leftovers_are_gone_before_the_result_if_asked(void **state)
{
	each_backend(*state, leftover_killed);
}

static void timeout(struct world *w, bool native)
{
	struct wish q = {
		.native = native,
		.timeout_ms = 150,
		.grace_ms = 100,
		.script = "trap '' TERM; (trap '' TERM; setsid sh -c \"trap '' TERM; "
			  "sleep 1000; sleep 1000\" & sleep 1000; sleep 1000) & "
			  "echo up; sleep 1000; sleep 1000"
	};
	struct cmd c;

	launch(w, &q, &c);
	expect(&c, MSG(EXITED) | MSG(EMPTY));
	assert_int_equal(record(&c).live, 0);
	finish(&c);
	assert_int_equal(record(&c).reason, BOX_REASON_TIMEOUT);
	assert_string_equal(output(&c, 0), "up\n");
}

static void test_a_timeout_ends_the_whole_tree(void **state)
{
	each_backend(*state, timeout);
}

static void start_errors(struct world *w, bool native)
{
	static const struct {
		const char *const argv[3];
		const char *cwd, *stage;
		int error;
	} cases[] = {
		{ { "no-such-program", NULL }, NULL, "exec", ENOENT },
		{ { "/etc/passwd", NULL }, NULL, "exec", EACCES },
		{ { "/usr", NULL }, NULL, "exec", EACCES },
		{ { "./bad", NULL }, NULL, "interpreter", ENOENT },
		{ { "/bin/true", NULL }, "missing", "cwd", ENOENT },
		{ { "/bin/true", NULL }, "../..", "cwd", EXDEV },
		{ { "/bin/true", NULL }, "out", "cwd", EXDEV },
	};
	char path[128];
	int fd;

	(void)snprintf(path, sizeof(path), "%s/bad", w->work);
	fd = open(path, O_CREAT | O_WRONLY | O_TRUNC | O_CLOEXEC, 0755);
	assert_int_equal(fd_write_all(fd, "#!/no/such\n", 11), 0);
	(void)close(fd);
	(void)snprintf(path, sizeof(path), "%s/out", w->work);
	if (symlink("/", path) < 0)
		assert_int_equal(errno, EEXIST);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct wish q = { .native = native,
				  .argv = cases[i].argv,
				  .cwd = cases[i].cwd };
		struct box_record r;
		struct cmd c;

		launch(w, &q, &c);
		finish(&c);
		r = record(&c);
		assert_int_equal(r.reason, BOX_REASON_START_FAILED);
		assert_string_equal(r.start_stage, cases[i].stage);
		assert_int_equal(r.start_errno, cases[i].error);
		assert_false(c.seen & MSG(STARTED));
		assert_true(c.seen & MSG(FAILED));
	}
}

static void test_start_errors_are_told_apart(void **state)
{
	each_backend(*state, start_errors);
}

static void walled(struct world *w, bool native)
{
	static const struct {
		enum wall wall;
		const char *stage; /* "": it runs */
	} cases[] = {
		{ WALL, "" },
		{ WALL_WITHOUT_RULES, "landlock" },
		{ WALL_OF_NO_KIND, "landlock_rule" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct wish q = { .native = native,
				  .wall = cases[i].wall,
				  .script = "(echo x >x) 2>&1; ls -l /proc/self/fd" };
		struct box_record r;
		struct cmd c;

		launch(w, &q, &c);
		finish(&c);
		r = record(&c);
		assert_string_equal(r.start_stage, cases[i].stage);
		if (cases[i].stage[0]) {
			assert_int_equal(r.reason, BOX_REASON_START_FAILED);
			assert_int_equal(r.start_errno, EINVAL);
			assert_string_equal(output(&c, 0), "");
			continue;
		}
		assert_int_equal(r.reason, BOX_REASON_EXITED);
		assert_non_null(strstr(output(&c, 0), "Permission denied"));
		assert_null(strstr(output(&c, 0), "landlock"));
	}
}

static void test_a_ruleset_is_taken_or_nothing_runs(void **state)
{
	if (landlock_abi() < 0) {
		print_message("skip: no Landlock\n");
		skip();
	}
	each_backend(*state, walled);
}

static void ungrouped(struct world *w, bool native)
{
	static const struct step_cgroup limits[] = { { .memory_bytes = 1 << 30 },
						     { .processes = 10 } };

	for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
		struct wish q = { .native = native,
				  .cgroup = limits[i],
				  .script = "echo ran" };
		struct box_record r;
		struct cmd c;

		launch(w, &q, &c);
		finish(&c);
		r = record(&c);
		assert_int_equal(r.reason, BOX_REASON_START_FAILED);
		assert_string_equal(r.start_stage, "cgroup");
		assert_int_equal(r.start_errno, EBADF);
		assert_string_equal(output(&c, 0), "");
	}
}

static void test_a_limit_without_its_group_runs_nothing(void **state)
{
	each_backend(*state, ungrouped);
}

static void terminal(struct world *w, bool native)
{
	struct wish q = { .native = native,
			  .pty = true,
			  .script = "tty >/dev/null && stty size" };
	struct cmd c;

	launch(w, &q, &c);
	finish(&c);
	assert_string_equal(output(&c, 0), "24 80\r\n");
	assert_int_equal(record(&c).exit_code, 0);
}

static void test_a_terminal_has_its_size(void **state)
{
	each_backend(*state, terminal);
}

static void blocking(struct world *w, bool native)
{
	struct wish q = { .native = native,
			  .block = true,
			  .ring = 4096,
			  .script = "head -c 200000 /dev/zero; echo end" };
	struct keeper_msg on = { .type = KEEPER_CONSUMER, .a = 1 };
	uint64_t at = 0;
	char buf[4096];
	struct cmd c;

	launch(w, &q, &c);
	assert_int_equal(fd_send(c.control, &on, sizeof(on), NULL, 0, 0), sizeof(on));
	for (;;) {
		struct keeper_msg watch = { .type = KEEPER_WATCH, .a = at };
		struct keeper_msg ack = { .type = KEEPER_ACK, .a = 0 };
		struct box_chunk chunk = { 0 };
		struct err err;

		c.seen &= ~MSG(OUTPUT);
		/* It may be gone by now: then the box has all, and EMPTY lies ready. */
		(void)fd_send(c.control, &watch, sizeof(watch), NULL, 0, 0);
		expect(&c, MSG(OUTPUT) | MSG(EMPTY));
		assert_int_equal(box_read(c.box, 0, at, buf, sizeof(buf), &chunk, &err),
				 0);
		assert_int_equal(chunk.lost, 0);
		at = ack.b = chunk.next;
		if (chunk.at_end)
			break;
		(void)fd_send(c.control, &ack, sizeof(ack), NULL, 0, 0);
	}
	assert_int_equal(at, 200004);
	finish(&c);
}

static void test_blocking_overflow_loses_nothing(void **state)
{
	each_backend(*state, blocking);
}

static void orphaned(struct world *w, bool native)
{
	struct wish q = { .native = native,
			  .block = true,
			  .ring = 4096,
			  .script = "head -c 200000 /dev/zero; echo end" };
	struct cmd c;

	launch(w, &q, &c);
	finish(&c);
	assert_true(record(&c).flags & BOX_BLOCK_LAPSED);
}

static void test_blocking_ends_when_nobody_consumes(void **state)
{
	each_backend(*state, orphaned);
}

static void adoption(struct world *w, bool native)
{
	struct wish q = { .native = native,
			  .in_open = true,
			  .script = "read x; echo got $x; exit 4" };
	struct {
		struct keeper_msg m;
		char data[16];
	} wr = { .m = { .type = KEEPER_WRITE, .seq = 9, .a = 1, .len = 3 },
		 .data = "hi\n" };
	struct keeper_msg hello = { .type = KEEPER_HELLO, .a = KEEPER_VERSION };
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	char text[ID_TEXT];
	struct cmd c;

	launch(w, &q, &c);
	expect(&c, MSG(STARTED));
	(void)close(c.control);
	c.seen = 0;
	c.control = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	(void)snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/keepers/%s.sock", w->dir,
		       id_format(&c.id, ID_PROCESS, text));
	assert_int_equal(connect(c.control, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(fd_send(c.control, &hello, sizeof(hello), NULL, 0, 0),
			 sizeof(hello));
	expect(&c, MSG(HELLO));
	expect(&c, MSG(STARTED));
	assert_int_equal(fd_send(c.control, &wr, sizeof(wr.m) + 3, NULL, 0, 0),
			 sizeof(wr.m) + 3);
	finish(&c);
	assert_string_equal(output(&c, 0), "got hi\n");
	assert_int_equal(record(&c).exit_code, 4);
}

static void test_the_next_engine_takes_over(void **state)
{
	each_backend(*state, adoption);
}

static void test_a_native_command_is_alone(void **state)
{
	struct wish q = {
		.native = true,
		.script = "id -u; hostname; ls /; touch file; test $(ls -d /proc/[0-9]* "
			  "| wc -l) -lt 8 && echo few; ls -n file | cut -d' ' -f3; grep "
			  "-c : /proc/net/dev; "
			  "echo x > /proc/sys/kernel/hostname; touch /usr/x; "
			  "grep Cap /proc/self/status | grep -vc 0000000000000000"
	};
	struct world *w = *state;
	char want[256], path[128];
	struct stat st;
	struct cmd c;
	unsigned int uid = geteuid() ? geteuid() : ROOT_UID;

	if (!native_possible()) {
		skip();
		return;
	}
	launch(w, &q, &c);
	finish(&c);
	(void)snprintf(
		want, sizeof(want),
		"%u\nproctor\nbin\ndev\netc\nlib\nlib64\nproc\nrun\ntmp\nusr\nfew\n%"
		"u\n1\n0\n",
		uid, uid);
	assert_string_equal(output(&c, 0), want);
	assert_non_null(strstr(output(&c, 1), "/proc/sys/kernel/hostname: Read-only"));
	assert_non_null(strstr(output(&c, 1), "'/usr/x': Read-only"));
	(void)snprintf(path, sizeof(path), "%s/file", w->work);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_uid, geteuid());
}

static void test_without_a_prepared_network_it_makes_its_own(void **state)
{
	struct wish q = { .native = true,
			  .script = "readlink /proc/self/ns/net; grep -q 127.0.0.1 "
				    "/proc/net/fib_trie && echo up" };
	struct world *w = *state;
	char own[64] = "", log[4096] = "";
	const char *line;

	if (!native_possible()) {
		skip();
		return;
	}
	assert_true(readlink("/proc/self/ns/net", own, sizeof(own) - 1) > 0);
	for (int i = 0; i < 2; i++) {
		const char *out;
		struct cmd c;

		launch(w, &q, &c);
		finish(&c);
		out = output(&c, 0);
		assert_memory_equal(out, "net:[", 5);
		assert_int_not_equal(strncmp(out, own, strlen(own)), 0);
		assert_string_equal(strchr(out, '\n'), "\nup\n");
	}
	/* Said, and said once. */
	assert_true(pread(w->log, log, sizeof(log) - 1, 0) > 0);
	line = strstr(log, "warning: no network namespaces can be made ahead of need");
	assert_non_null(line);
	assert_null(strstr(strchr(line, '\n'), "ahead of need"));
}

static void test_a_damaged_plan_starts_nothing(void **state)
{
	(void)state;
	for (size_t cut = 0; cut < 56; cut += 4) {
		struct plan_builder b = { .part = PLAN_PREPARE };
		struct step_namespaces ns = { 0 };
		struct plan p = { 0 };
		struct err err;
		CLEANUP(close) int fd = -1;

		plan_add(&b, STEP_NAMESPACES, &ns, sizeof(ns));
		text_step(&b, STEP_HOSTNAME, NULL, 0, "some-name", NULL);
		assert_int_equal(plan_seal(&b, &fd, &err), 0);
		assert_true(cut < b.buf.len);
		assert_int_equal(plan_map(fd, PLAN_PREPARE, &p, &err), 0);
		plan_unmap(&p);
		assert_true(plan_map(fd, PLAN_COMMIT, &p, &err) < 0);
		(void)close(TAKE_FD(fd));

		fd = memfd_create("bad", MFD_CLOEXEC | MFD_ALLOW_SEALING);
		assert_int_equal(fd_write_all(fd, b.buf.data, cut), 0);
		assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_WRITE), 0);
		assert_true(plan_map(fd, PLAN_PREPARE, &p, &err) < 0);
		plan_builder_fini(&b);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_exit_and_output_are_recorded, setup,
						teardown),
		cmocka_unit_test_setup_teardown(
			test_a_background_child_does_not_hold_the_result, setup,
			teardown),
		cmocka_unit_test_setup_teardown(
			test_leftovers_are_gone_before_the_result_if_asked, setup,
			teardown),
		cmocka_unit_test_setup_teardown(test_a_timeout_ends_the_whole_tree, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_start_errors_are_told_apart, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_a_ruleset_is_taken_or_nothing_runs,
						setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_a_limit_without_its_group_runs_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_terminal_has_its_size, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_blocking_overflow_loses_nothing,
						setup, teardown),
		cmocka_unit_test_setup_teardown(test_blocking_ends_when_nobody_consumes,
						setup, teardown),
		cmocka_unit_test_setup_teardown(test_the_next_engine_takes_over, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_a_native_command_is_alone, setup,
						teardown),
		cmocka_unit_test_setup_teardown(
			test_without_a_prepared_network_it_makes_its_own,
			setup_without_stock, teardown),
		cmocka_unit_test(test_a_damaged_plan_starts_nothing),
	};

	if (getenv("CMOCKA_TEST_FILTER"))
		cmocka_set_test_filter(getenv("CMOCKA_TEST_FILTER"));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
