/* SPDX-License-Identifier: Apache-2.0 */

#include "launcher.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <linux/sched.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../base/fd.h"
#include "../base/log.h"
#include "../base/num.h"
#include "../plan/proto.h"
#include "../sys/spawn.h"
#include "given.h"
#include "keeper.h"
#include "netstock.h"
#include "pipes.h"
#include "zygote.h"

#define CHILDREN_MAX 8192
#define BUCKETS 1024

struct child {
	pid_t pid; /* 0 = free */
	char kind;
	struct id id;
	int next; /* in its bucket, or in the free list; -1 ends it */
};

/* One per process; static because a keeper starts as a copy of it. */
static struct launcher {
	int sock; /* -1 once the engine is gone */
	int sigfd;
	int keepers_fd;
	struct zygote zygote;
	struct err zygote_err;
	struct netstock nets;
	struct pipes_account *pipes;
	unsigned int version;
	struct child children[CHILDREN_MAX];
	int bucket[BUCKETS];
	int free;
	int n;
} launcher;

static int *bucket_of(pid_t pid)
{
	return &launcher.bucket[(unsigned int)pid % BUCKETS];
}

static void children_init(void)
{
	for (int i = 0; i < BUCKETS; i++)
		launcher.bucket[i] = -1;
	launcher.free = -1;
}

/* Never used entries lie behind n_used; entries given back are in the free list. */
static int child_slot(void)
{
	static int n_used;
	int i = launcher.free;

	if (i >= 0) {
		launcher.free = launcher.children[i].next;
		return i;
	}
	return n_used < CHILDREN_MAX ? n_used++ : -1;
}

static void child_add(int i, pid_t pid, char kind, const struct id *id)
{
	int *head = bucket_of(pid);

	launcher.children[i] = (struct child){ pid, kind, *id, *head };
	*head = i;
	launcher.n++;
}

static void child_give_back(int i)
{
	launcher.children[i].pid = 0;
	launcher.children[i].next = launcher.free;
	launcher.free = i;
}

static void socket_name(char *buf, size_t size, const struct id *id, char kind)
{
	char text[ID_TEXT];

	(void)snprintf(buf, size, "%s.sock", id_format(id, kind, text));
}

static void answer(const struct launch_answer *a, int fd)
{
	if (launcher.sock >= 0)
		(void)fd_send(launcher.sock, a, sizeof(*a), &fd, fd >= 0 ? 1 : 0, 0);
}

static void reap(void)
{
	struct signalfd_siginfo si;
	int status;
	pid_t pid;

	while (read(launcher.sigfd, &si, sizeof(si)) > 0)
		;
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		struct launch_answer a = { .type = REAPED, .pid = pid, .status = status };
		char name[ID_TEXT + 8];
		int *link = bucket_of(pid);

		while (*link >= 0 && launcher.children[*link].pid != pid)
			link = &launcher.children[*link].next;
		if (*link >= 0) {
			int i = *link;

			*link = launcher.children[i].next;
			a.id = launcher.children[i].id;
			socket_name(name, sizeof(name), &a.id, launcher.children[i].kind);
			(void)unlinkat(launcher.keepers_fd, name, 0);
			pipes_account_give_back(launcher.pipes, (size_t)i);
			child_give_back(i);
			launcher.n--;
			answer(&a, -1);
		}
	}
}

/*
 * Bound here, because only here the path can be reached; the keeper calls
 * listen(2) itself, so that SO_PEERCRED tells its own identity.
 */
static int bind_socket(const struct id *id, char kind, struct err *err)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	char name[ID_TEXT + 8];
	int fd;

	socket_name(name, sizeof(name), id, kind);
	(void)snprintf(addr.sun_path, sizeof(addr.sun_path), "/proc/self/fd/%d/%s",
		       launcher.keepers_fd, name);
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return err_set(err, ERR_UNAVAILABLE, "socket", errno, "socket");
	if (bind(fd, (const struct sockaddr *)&addr, sizeof(addr)) < 0) {
		int e = errno;

		(void)close(fd);
		return err_set(err, ERR_UNAVAILABLE, "socket", e,
			       "bind the keeper's socket");
	}
	return fd;
}

struct detour {
	struct given *given;
	struct plan_step root, workspace; /* payload NULL = not in the plan */
	struct plan_step show[PLAN_SHOW_MAX];
	size_t slot;
	int net_fd; /* from the stock, -1 = clone makes one */
	pid_t pid;
	int pidfd;
	struct err err;
};

static int become_owner(const struct given *g, struct err *err)
{
	if (!g->has_owner || g->owner.uid == geteuid())
		return 0;
	if (setresgid(g->owner.gid, g->owner.gid, g->owner.gid) < 0 ||
	    setresuid(g->owner.uid, g->owner.uid, g->owner.uid) < 0)
		return err_set(err, ERR_UNSUPPORTED, "owner", errno,
			       "become uid %u gid %u", g->owner.uid, g->owner.gid);
	return 0;
}

/* In the child of clone3 this does not return. */
static int clone_keeper(struct detour *d, uint64_t flags, int exit_signal)
{
	d->pid = sys_clone3(flags, exit_signal, &d->pidfd);
	if (d->pid == 0) {
		pipes_use(launcher.pipes, d->slot);
		keeper_main(d->given);
	}
	if (d->pid < 0)
		return err_set(&d->err, ERR_UNSUPPORTED, "namespaces", -(int)d->pid,
			       "clone3 with flags 0x%llx", (unsigned long long)flags);
	return 0;
}

/* Into a named sandbox. */
static int detour_join(void *arg)
{
	struct detour *d = arg;
	struct given *g = d->given;

	if (setns(g->fd[SLOT_HOLDER], (int)g->join_flags) < 0)
		return err_set(&d->err, ERR_NOT_FOUND, "join", errno,
			       "enter the sandbox");
	if (become_owner(g, &d->err) < 0)
		return 0;
	return clone_keeper(d, g->ns_flags | CLONE_PARENT, 0);
}

/* The flags that are left for clone. */
static uint64_t enter_net(struct detour *d)
{
	uint64_t flags = d->given->ns_flags;

	if (d->net_fd < 0)
		return flags;
	if (setns(d->net_fd, CLONE_NEWNET) < 0) {
		(void)err_set(&d->err, ERR_UNSUPPORTED, "network", errno,
			      "enter the network namespace");
		return 0;
	}
	d->given->net_ready = true;
	return flags & ~(uint64_t)CLONE_NEWNET;
}

/* Into a fresh one, by way of the zygote. */
static int detour_fresh(void *arg)
{
	struct detour *d = arg;
	struct given *g = d->given;
	struct zygote *z = &launcher.zygote;
	uint64_t flags;

	if (zygote_enter(z, &d->err) < 0)
		return 0;
	if (d->workspace.payload && zygote_workspace(z, &d->workspace, &g->owner,
						     &g->fd[SLOT_WORKSPACE], &d->err) < 0)
		return 0;
	for (int i = 0; i < g->n_shown; i++)
		if (zygote_show(z, &d->show[i], &g->owner, &g->shown[i], &d->err) < 0)
			return 0;
	/* Before we leave what shows it. */
	g->fd[SLOT_PROC] = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (d->root.payload && zygote_root(z, &d->root, &d->err) < 0)
		return 0;
	g->root_ready = d->root.payload != NULL;
	flags = enter_net(d);
	if (!flags || become_owner(g, &d->err) < 0)
		return 0;
	return clone_keeper(d, flags | CLONE_PARENT, 0);
}

static int read_steps(struct detour *d)
{
	struct given *g = d->given;
	struct plan_step s;

	for (size_t at = 0; plan_next(&g->prepare, &at, &s) > 0;) {
		if (s.type == STEP_NAMESPACES) {
			g->ns_flags = ((const struct step_namespaces *)s.payload)->flags;
		} else if (s.type == STEP_JOIN) {
			g->join_flags = ((const struct step_join *)s.payload)->flags;
		} else if (s.type == STEP_OWNER) {
			g->owner = *(const struct step_owner *)s.payload;
			g->has_owner = true;
		} else if (s.type == STEP_ROOT) {
			d->root = s;
		} else if (s.type == STEP_WORKSPACE) {
			d->workspace = s;
		} else if (s.type == STEP_SHOW) {
			if (g->n_shown == PLAN_SHOW_MAX)
				return err_set(&d->err, ERR_UNSUPPORTED, "show", 0,
					       "the profile shows more than %d things",
					       PLAN_SHOW_MAX);
			d->show[g->n_shown] = s;
			g->shown[g->n_shown++] = -1;
		}
	}
	return 0;
}

static int start_keeper(struct detour *d)
{
	struct given *g = d->given;
	int r;

	r = plan_map(g->fd[SLOT_PREPARE], PLAN_PREPARE, &g->prepare, &d->err);
	if (r < 0)
		return r;
	r = read_steps(d);
	if (r < 0)
		return r;
	g->fd[SLOT_LISTEN] = bind_socket(
		&g->msg.id, g->msg.mode == LAUNCH_HOLDER ? 's' : 'p', &d->err);
	if (g->fd[SLOT_LISTEN] < 0)
		return -d->err.code;

	if (g->join_flags && g->fd[SLOT_HOLDER] < 0)
		return err_set(&d->err, ERR_INTERNAL, "join", 0, "no holder was given");
	if (!g->join_flags && g->ns_flags && !launcher.zygote.ready) {
		d->err = launcher.zygote_err;
		return -d->err.code;
	}
	if (!g->join_flags && g->ns_flags & CLONE_NEWNET)
		d->net_fd = netstock_take(&launcher.nets);
	if (!g->ns_flags)
		r = clone_keeper(d, 0, SIGCHLD);
	else
		r = sys_run_vm(g->join_flags ? detour_join : detour_fresh, d);
	/* Used once, whatever has become of the keeper. */
	if (d->net_fd >= 0)
		(void)close(d->net_fd);
	if (r < 0 && !d->err.code)
		return err_set(&d->err, ERR_UNAVAILABLE, "clone", -r, "clone");
	return d->err.code ? -d->err.code : 0;
}

static void launch(const struct launch_msg *msg, const int *fds, size_t n)
{
	struct given given = { .msg = *msg, .version = launcher.version };
	struct detour d = { .given = &given, .net_fd = -1, .pidfd = -1 };
	struct launch_answer a = { .type = LAUNCHED, .id = msg->id };
	char kind = msg->mode == LAUNCH_HOLDER ? 's' : 'p';
	size_t next = 0;
	int slot;

	for (int i = 0; i < SLOT_MAX_; i++)
		given.fd[i] = i < SLOT_SENT_ && msg->slots & (1u << i) && next < n ?
				      fds[next++] :
				      -1;
	while (next < n)
		(void)close(fds[next++]);
	slot = child_slot();
	d.slot = (size_t)slot;
	if (slot < 0)
		(void)err_set(&d.err, ERR_QUOTA, "launch", 0, "%d keepers live already",
			      CHILDREN_MAX);
	else if (given.fd[SLOT_PREPARE] < 0 || given.fd[SLOT_BOX] < 0 ||
		 given.fd[SLOT_CONTROL] < 0)
		(void)err_set(&d.err, ERR_INTERNAL, "launch", 0,
			      "a descriptor is missing");
	else
		(void)start_keeper(&d);

	if (d.err.code) {
		char name[ID_TEXT + 8];

		a.type = LAUNCH_FAILED;
		a.err = d.err;
		socket_name(name, sizeof(name), &msg->id, kind);
		(void)unlinkat(launcher.keepers_fd, name, 0);
		if (slot >= 0)
			child_give_back(slot);
	} else {
		a.pid = d.pid;
		child_add(slot, d.pid, kind, &msg->id);
	}
	/* Before the control socket closes: why comes before that. */
	answer(&a, d.pidfd);
	plan_unmap(&given.prepare);
	for (int i = 0; i < SLOT_MAX_; i++)
		if (given.fd[i] >= 0)
			(void)close(given.fd[i]);
	for (int i = 0; i < given.n_shown; i++)
		if (given.shown[i] >= 0)
			(void)close(given.shown[i]);
	if (d.pidfd >= 0)
		(void)close(d.pidfd);
}

/* One message. False once the engine is gone. */
static bool receive(void)
{
	struct launch_msg msg;
	int fds[FD_PASS_MAX];
	size_t n = 0;
	ssize_t r = fd_recv(launcher.sock, &msg, sizeof(msg), fds, FD_PASS_MAX, &n,
			    MSG_DONTWAIT);

	if (r == -EAGAIN)
		return true;
	if (r == -EMSGSIZE)
		return true;
	if (r <= 0)
		return false;
	if (r != (ssize_t)sizeof(msg) || msg.version != LAUNCH_VERSION) {
		for (size_t i = 0; i < n; i++)
			(void)close(fds[i]);
		return true;
	}
	launch(&msg, fds, n);
	return true;
}

/*
 * All blocked, and none ignored or handled: keepers and commands inherit that, so
 * that no child has to undo anything but the mask.
 */
static int open_signals(void)
{
	struct sigaction dfl = { .sa_handler = SIG_DFL };
	sigset_t all, chld;

	for (int sig = 1; sig <= SIGRTMAX; sig++)
		(void)sigaction(sig, &dfl, NULL);

	(void)sigfillset(&all);
	(void)sigprocmask(SIG_BLOCK, &all, NULL);
	(void)sigemptyset(&chld);
	(void)sigaddset(&chld, SIGCHLD);
	launcher.sigfd = signalfd(-1, &chld, SFD_CLOEXEC | SFD_NONBLOCK);
	return launcher.sigfd;
}

static unsigned int keeper_version(void)
{
#ifdef PROCTOR_FAULT_INJECTION
	const char *text = getenv("PROCTOR_KEEPER_PROTOCOL");
	uint64_t v;

	if (text && num_parse_u64(text, KEEPER_VERSION_LEAST, KEEPER_VERSION, &v) == 0)
		return (unsigned int)v;
#endif
	return KEEPER_VERSION;
}

int launcher_main(const char *state_dir)
{
	char stage[PATH_MAX];

	launcher.sock = LAUNCHER_FD;
	(void)fd_set_cloexec(launcher.sock, true);
	(void)close_range(LAUNCHER_FD + 1, ~0U, 0);
	(void)umask(077);
	children_init();
	launcher.version = keeper_version();
	if (snprintf(stage, sizeof(stage), "%s/keepers", state_dir) >=
	    (int)sizeof(stage)) {
		log_error("the state directory's path is too long");
		return 1;
	}
	launcher.keepers_fd = open(stage, O_PATH | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	launcher.pipes = pipes_account_new(CHILDREN_MAX);
	if (launcher.keepers_fd < 0 || !launcher.pipes || open_signals() < 0) {
		log_error("launcher: %s: %s", stage, strerrordesc_np(errno));
		return 1;
	}
	if (geteuid() == 0)
		(void)setgroups(0, NULL);
	(void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	if (zygote_open(&launcher.zygote, stage, &launcher.zygote_err) < 0)
		log_warning("native isolation cannot be had: %s",
			    launcher.zygote_err.msg);

	while (launcher.sock >= 0 || launcher.n > 0) {
		struct pollfd p[2] = {
			{ .fd = launcher.sigfd, .events = POLLIN },
			{ .fd = launcher.sock, .events = POLLIN },
		};

		bool idle = launcher.sock >= 0 && launcher.zygote.ready &&
			    netstock_wants(&launcher.nets);
		int r = poll(p, 2, idle ? 0 : -1);

		if (r < 0 && errno != EINTR)
			return 1;
		if (r == 0)
			netstock_add(&launcher.nets, &launcher.zygote);
		if (p[0].revents)
			reap();
		if (p[1].revents && !receive()) {
			(void)close(launcher.sock);
			launcher.sock = -1;
			netstock_fini(&launcher.nets);
		}
	}
	return 0;
}
