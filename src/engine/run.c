/* SPDX-License-Identifier: Apache-2.0 */

#include "run.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include "../base/cleanup.h"
#include "../base/dirs.h"
#include "../base/fd.h"
#include "../base/log.h"
#include "../core/boot.h"
#include "../core/profiles.h"
#include "engine.h"
#include "examine.h"
#include "link.h"
#include "peer.h"
#include "sandboxes.h"
#include "say.h"

#define LOCK_WAIT_SEC 3 /* for an engine that is just ending */
#define LOG_NAME "proctord.log"

/* --- what we stand on --- */

/* Variables that something below us reads; everything else goes. */
static void clean_environment(void)
{
	static const char *const kept[] = { "JOURNAL_STREAM",
					    "NOTIFY_SOCKET",
					    "WATCHDOG_USEC",
					    "WATCHDOG_PID",
					    "LISTEN_FDS",
					    "LISTEN_PID",
#ifdef PROCTOR_FAULT_INJECTION
					    "PROCTOR_FAULT",
					    "PROCTOR_BOOT_ID",
					    "PROCTOR_LANDLOCK_ABI",
					    "PROCTOR_LEAVE_OUT",
					    "PROCTOR_TEST_HOME",
					    "PROCTOR_KEEPER_PROTOCOL",
#endif
					    NULL };
	char *values[ARRAY_SIZE(kept)] = { NULL };

	for (size_t i = 0; kept[i]; i++) {
		const char *v = getenv(kept[i]);

		values[i] = v ? strdup(v) : NULL;
	}
	(void)clearenv();
	for (size_t i = 0; kept[i]; i++)
		if (values[i]) {
			(void)setenv(kept[i], values[i], 1);
			free(values[i]);
		}
}

/* A closed descriptor below 3 would be given to the next file that is opened. */
static int settle_stdio(struct err *err)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd < 0 || dup2(fd, STDIN_FILENO) < 0 || dup2(fd, STDOUT_FILENO) < 0)
		return err_set(err, ERR_UNAVAILABLE, NULL, errno, "/dev/null");
	(void)close(fd);
	return 0;
}

static int open_log(struct engine *e, struct err *err)
{
	CLEANUP(close) int fd = -1;

	if (e->opt.foreground)
		return 0;
	if (!e->ready)
		e->old_stderr = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
	fd = openat(e->state_fd, LOG_NAME,
		    O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0 || dup2(fd, STDERR_FILENO) < 0)
		return err_set(err, ERR_UNAVAILABLE, "log", errno, "open %s/" LOG_NAME,
			       e->opt.state);
	return 0;
}

static int open_below(struct engine *e, const char *name, int *ret, struct err *err)
{
	char path[PATH_MAX + 16];

	if (snprintf(path, sizeof(path), "%s/%s", e->opt.state, name) >= PATH_MAX)
		return err_set(err, ERR_INVALID_INPUT, "directory", ENAMETOOLONG,
			       "%.200s/%s", e->opt.state, name);
	return dirs_make(path, ret, err);
}

/* Without links, so that it can be compared with a workspace. */
static int real_path(char path[static PATH_MAX], struct err *err)
{
	char real[PATH_MAX];

	if (!realpath(path, real))
		return err_set(err, ERR_UNAVAILABLE, "directory", errno, "%.300s", path);
	memcpy(path, real, sizeof(real));
	return 0;
}

static int open_dirs(struct engine *e, struct err *err)
{
	int r = dirs_make(e->opt.state, &e->state_fd, err);

	if (r == 0)
		r = open_below(e, "boxes", &e->world.boxes_fd, err);
	if (r == 0)
		r = open_below(e, "keepers", &e->keepers_fd, err);
	if (r == 0)
		r = dirs_make(e->opt.runtime, &e->runtime_fd, err);
	if (r < 0)
		return r;
	r = real_path(e->opt.state, err);
	if (r == 0)
		r = real_path(e->opt.runtime, err);
	if (r < 0)
		return r;
	(void)snprintf(e->socket_path, sizeof(e->socket_path), "%s/" ENGINE_SOCKET,
		       e->opt.runtime);
	e->world.state_dir = e->opt.state;
	e->world.runtime_dir = e->opt.runtime;
	e->world.socket = e->socket_path;
	return 0;
}

static void on_alarm(int sig)
{
	(void)sig;
}

/* One that is ending gives it back soon; one that lives does not. */
static int wait_for_lock(int fd)
{
	const struct itimerval limit = { .it_value.tv_sec = LOCK_WAIT_SEC }, none = { 0 };
	const struct sigaction interrupt = { .sa_handler = on_alarm }, usual = { 0 };
	int r;

	if (flock(fd, LOCK_EX | LOCK_NB) == 0)
		return 0;
	if (errno != EWOULDBLOCK)
		return -errno;
	(void)sigaction(SIGALRM, &interrupt, NULL);
	(void)setitimer(ITIMER_REAL, &limit, NULL);
	r = flock(fd, LOCK_EX) < 0 ? -errno : 0;
	(void)setitimer(ITIMER_REAL, &none, NULL);
	(void)sigaction(SIGALRM, &usual, NULL);
	return r;
}

static int take_lock(struct engine *e, struct err *err)
{
	char pid[32] = "";
	int r;

	e->lock_fd = openat(e->state_fd, "engine.lock",
			    O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (e->lock_fd < 0)
		return err_set(err, ERR_UNAVAILABLE, "lock", errno, "open %s/engine.lock",
			       e->opt.state);
	r = wait_for_lock(e->lock_fd);
	if (r == -EINTR) {
		(void)!pread(e->lock_fd, pid, sizeof(pid) - 1, 0);
		pid[strcspn(pid, "\n")] = '\0';
		return err_set(err, ERR_CONFLICT, "lock", 0,
			       "another engine (pid %.20s) uses %s",
			       *pid ? pid : "unknown", e->opt.state);
	}
	if (r < 0)
		return err_set(err, ERR_UNAVAILABLE, "lock", -r, "lock %s/engine.lock",
			       e->opt.state);
	(void)snprintf(pid, sizeof(pid), "%d\n", (int)getpid());
	/* For people only: a full disk must not keep the engine from starting. */
	if (ftruncate(e->lock_fd, 0) < 0 ||
	    fd_pwrite_all(e->lock_fd, pid, strlen(pid), 0) < 0)
		log_warning("the pid is not noted in engine.lock: %s",
			    strerrordesc_np(errno));
	return 0;
}

static bool is_program(char path[static PATH_MAX], const char *dir, const char *below)
{
	int n = snprintf(path, PATH_MAX, "%s%s/proctor-keeper", dir, below);

	return n > 0 && n < PATH_MAX && access(path, X_OK) == 0;
}

static int find_programs(struct engine *e, struct err *err)
{
	char here[PATH_MAX];
	int r = dirs_program(here);

	if (r < 0)
		return err_set(err, ERR_UNAVAILABLE, "keeper", -r, "read /proc/self/exe");
	/* By its file, which an upgrade may unlink, as long as this process lives. */
	memcpy(e->self_path, "/proc/self/exe", sizeof("/proc/self/exe"));
	if (is_program(e->keeper_path, here, "") ||
	    is_program(e->keeper_path, here, "/../libexec/proctor") ||
	    is_program(e->keeper_path, PROCTOR_LIBEXECDIR, ""))
		return 0;
	return err_set(
		err, ERR_UNAVAILABLE, "keeper", 0,
		"no proctor-keeper in %s, %s/../libexec/proctor or " PROCTOR_LIBEXECDIR,
		here, here);
}

/* --- profiles --- */

static int find_config(struct engine *e, struct err *err)
{
	char dir[PATH_MAX];
	int r = dirs_config(dir, err);

	if (r < 0)
		return r;
	if (*dir && snprintf(e->config, sizeof(e->config), "%s/profiles", dir) >=
			    (int)sizeof(e->config))
		return err_set(err, ERR_INVALID_INPUT, "directory", ENAMETOOLONG,
			       "%.200s/profiles", dir);
	return 0;
}

static void on_bad_profile(const struct err *bad, void *data)
{
	(void)data;
	say(LOG_LEVEL_ERROR, "%s", bad->msg);
}

static int load_profiles(const struct engine *e, struct err *err)
{
	const struct profile_dirs dirs = {
		.user = *e->config ? e->config : NULL,
		.site = PROCTOR_SYSCONFDIR "/profiles",
	};

	return profiles_load(&dirs, on_bad_profile, NULL, err);
}

static void reload(struct engine *e)
{
	struct err err;

	if (open_log(e, &err) < 0)
		say(LOG_LEVEL_WARNING, "the log stays as it is: %s", err.msg);
	if (load_profiles(e, &err) < 0)
		say(LOG_LEVEL_ERROR, "the profiles stay as they are: %s", err.msg);
	else
		say(LOG_LEVEL_INFO, "profiles read anew");
}

/* Each command needs some descriptors: as many as the hard limit allows. */
static void raise_files(void)
{
	struct rlimit l;

	if (getrlimit(RLIMIT_NOFILE, &l) < 0)
		return;
	l.rlim_cur = l.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &l);
}

/* --- signals --- */

static void on_signal(struct watch *w, short what)
{
	struct engine *e = container_of(w, struct engine, signal_watch);
	struct signalfd_siginfo si;

	(void)what;
	while (read(e->signal_fd, &si, sizeof(si)) == (ssize_t)sizeof(si)) {
		if (si.ssi_signo == SIGHUP) {
			reload(e);
			continue;
		}
		log_info("told to end; commands run on");
		e->loop.stop = true;
	}
}

static int open_signals(struct engine *e, struct err *err)
{
	sigset_t set;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGTERM);
	(void)sigaddset(&set, SIGINT);
	(void)sigaddset(&set, SIGHUP);
	(void)sigprocmask(SIG_BLOCK, &set, NULL);
	(void)signal(SIGPIPE, SIG_IGN);
	e->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (e->signal_fd < 0 || watch_init(&e->signal_watch, &e->loop, e->signal_fd,
					   WATCH_READ, on_signal) < 0)
		return err_set(err, ERR_UNAVAILABLE, "signals", errno, "signalfd");
	return 0;
}

/* --- the engine --- */

static void init(struct engine *e, const struct options *o)
{
	e->opt = *o;
	e->state_fd = e->keepers_fd = e->runtime_fd = e->lock_fd = -1;
	e->listen_fd = e->signal_fd = e->world.boxes_fd = e->old_stderr = -1;
	e->launcher.sock = e->launcher.pidfd = e->checkpoint_pidfd = -1;
	e->world.uid = geteuid();
	e->world.started_wall_ns = clock_wall();
	e->world.started_boot_ns = clock_boot();
	list_init(&e->world.watchers);
	list_init(&e->launcher.queue);
	list_init(&e->launcher.out);
	list_init(&e->orders);
	list_init(&e->links);
	list_init(&e->dead_links);
	list_init(&e->peers);
	list_init(&e->dead_peers);
	spares_init(&e->spares);
}

static int open_journal(struct engine *e, struct err *err)
{
	const struct journal_options opt = { .full = e->opt.journal_full };
	char path[PATH_MAX + 16];

	(void)snprintf(path, sizeof(path), "%s/journal.db", e->opt.state);
	return journal_open(&e->world.journal, path, &opt, err);
}

static void tell_ready(struct engine *e)
{
	if (e->opt.ready_fd >= 0) {
		(void)fd_write_all(e->opt.ready_fd, "1\n", 2);
		(void)close(e->opt.ready_fd);
		e->opt.ready_fd = -1;
	}
	notify_send("READY=1");
	if (e->old_stderr >= 0)
		(void)close(e->old_stderr);
	e->old_stderr = -1;
	e->ready = true;
	log_info("listening at %s (version " PROCTOR_VERSION ", pid %d)", e->socket_path,
		 (int)getpid());
}

static int start(struct engine *e, struct err *err)
{
	int r;

	r = open_dirs(e, err);
	if (r == 0)
		r = take_lock(e, err);
	if (r == 0)
		r = open_log(e, err);
	if (r == 0)
		r = find_programs(e, err);
	if (r == 0)
		r = find_config(e, err);
	if (r == 0)
		r = launcher_start(e, err);
	if (r == 0)
		r = load_profiles(e, err);
	if (r < 0)
		return r;
	raise_files();
	clean_environment();
	r = loop_init(&e->loop, err);
	if (r < 0)
		return r;
	launcher_watch(e);
	registry_init(&e->world.processes, e->world.boxes_fd);
	sandboxes_init(&e->world.sandboxes);
	say_to(&e->world);
	r = open_signals(e, err);
	if (r == 0)
		r = boot_id_get(&e->world.boot_id, err);
	if (r == 0) {
		groups_init(e);
		r = open_journal(e, err);
	}
	if (r == 0)
		r = chores_init(e, err);
	if (r == 0)
		r = recover(e, err);
	if (r == 0 && !e->loop.stop)
		r = listener_open(e, err);
	return r;
}

static void close_links(struct engine *e)
{
	while (!list_empty(&e->links))
		link_end(container_of(e->links.next, struct keeper, all));
	links_reap(e);
}

static void stop(struct engine *e)
{
	struct err err;

	notify_send("STOPPING=1");
	say_to(NULL);
	listener_close(e);
	if (e->loop.base && e->world.journal) {
		peers_shutdown(e);
		peers_reap(e);
		if (journal_commit(e->world.journal, &err) < 0)
			log_error("the journal cannot be written: %s", err.msg);
		examine_fini(e);
		spares_fini(e);
		close_links(e);
		chores_fini(e);
		groups_fini(e);
		sandboxes_stop(e);
		registry_fini(&e->world.processes);
		sandboxes_fini(&e->world.sandboxes);
	}
	journal_close(e->world.journal);
	launcher_fini(e);
	watch_fini(&e->signal_watch);
	loop_fini(&e->loop);
	for (size_t i = 0; i < 6; i++) {
		int fd =
			(const int[]){ e->signal_fd,  e->world.boxes_fd, e->keepers_fd,
				       e->runtime_fd, e->lock_fd,	 e->state_fd }[i];

		if (fd >= 0)
			(void)close(fd);
	}
}

int engine_run(const struct options *o, struct err *err)
{
	CLEANUP(free) struct engine *e = calloc(1, sizeof(*e));
	int r;

	if (!e)
		return err_set(err, ERR_UNAVAILABLE, NULL, ENOMEM, "no memory");
	init(e, o);
	(void)umask(077);
	r = settle_stdio(err);
	if (r < 0)
		return r;
	r = start(e, err);
	if (r == 0 && !e->loop.stop) {
		tell_ready(e);
		loop_run(&e->loop, turn_end, e);
	}
	stop(e);
	/* Who started it is told as well, not only the log. */
	if (r < 0 && e->old_stderr >= 0) {
		log_error("%s", err->msg);
		(void)dup2(e->old_stderr, STDERR_FILENO);
		(void)close(e->old_stderr);
	}
	return r;
}
