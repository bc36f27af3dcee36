/* SPDX-License-Identifier: Apache-2.0 */

/*
 * bench-journal DIR COMMANDS - what the journal costs one command
 *
 * That is: its intent and the call's event, committed; its outcome and an event,
 * committed. Nothing is grouped, as if each command came alone. Checkpoints are
 * made by another process, as the engine has it ("bench-journal --checkpoint").
 */

#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../src/base/clock.h"
#include "../src/core/journal.h"
#include "measure.h"

#define SPEC                                                                             \
	"{\"argv\":[\"/bin/true\"],\"cwd\":\"/home/user/src/project\",\"profile\":"      \
	"\"default\",\"label\":\"benchmark\",\"capture\":\"separate\",\"ring_bytes\":"   \
	"1048576,\"timeout_ms\":30000,\"grace_ms\":5000,\"plan_hash\":"                  \
	"\"0123456789abcdef\"}"
#define OUTCOME "{\"spawn_ms\":1.2,\"cpu_ms\":0.8,\"max_rss_bytes\":1048576}"

extern char **environ;

static void must(int r, const struct err *err)
{
	if (r < 0)
		die("%s: %s", err->stage, err->msg);
}

static void note(struct journal *j, const char *kind, const char *subject,
		 struct err *err)
{
	const struct journal_event e = {
		.wall_ns = clock_wall(),
		.kind = kind,
		.actor = geteuid(),
		.operation = "process.run",
		.subject = subject,
		.decision = "allowed",
	};

	must(journal_event(j, &e, err), err);
}

static void one(struct journal *j, const struct id *boot_id)
{
	struct journal_process p = {
		.uid = geteuid(),
		.boot_id = *boot_id,
		.streams = 2,
		.ring_bytes = 1 << 20,
		.created_wall_ns = clock_wall(),
		.created_boot_ns = clock_boot(),
		.spec = SPEC,
		.exit_code = -1,
	};
	struct err err = { 0 };
	char text[ID_TEXT];

	if (id_new(&p.id) < 0)
		die("no random bytes");
	(void)id_format(&p.id, ID_PROCESS, text);
	must(journal_intent(j, &p, &err), &err);
	note(j, "call", text, &err);
	must(journal_commit(j, &err), &err);

	p.state = JOURNAL_GONE;
	p.ended_wall_ns = clock_wall();
	p.ended_boot_ns = clock_boot();
	p.outcome = OUTCOME;
	p.exit_code = 0;
	must(journal_outcome(j, &p, &err), &err);
	note(j, "outcome", text, &err);
	must(journal_commit(j, &err), &err);
}

static pid_t start_checkpoint(char *self, char *path)
{
	char option[] = "--checkpoint";
	char *const argv[] = { self, option, path, NULL };
	pid_t pid;

	if (posix_spawn(&pid, "/proc/self/exe", NULL, NULL, argv, environ) != 0)
		die("the checkpoint cannot be started");
	return pid;
}

int main(int argc, char **argv)
{
	const struct journal_options normal = { .full = false };
	struct samples samples = { 0 };
	struct journal *j = NULL;
	struct err err = { 0 };
	struct id boot_id;
	unsigned int n;
	pid_t checkpoint = 0;
	char path[4096];

	if (argc == 3 && strcmp(argv[1], "--checkpoint") == 0) {
		must(journal_checkpoint(argv[2], &err), &err);
		return 0;
	}
	if (argc != 3 ||
	    snprintf(path, sizeof(path), "%s/journal.db", argv[1]) >= (int)sizeof(path))
		die("usage: bench-journal DIR COMMANDS");
	n = count_arg(argv[2], 1000000);
	must(journal_open(&j, path, &normal, &err), &err);
	if (id_new(&boot_id) < 0)
		die("no random bytes");
	for (unsigned int i = 0; i < n; i++) {
		uint64_t t0 = clock_mono();

		one(j, &boot_id);
		samples_add(&samples, clock_mono() - t0);
		if (checkpoint > 0 && waitpid(checkpoint, NULL, WNOHANG) != 0)
			checkpoint = 0;
		if (checkpoint == 0 && journal_wal_pages(j) > JOURNAL_CHECKPOINT_PAGES)
			checkpoint = start_checkpoint(argv[0], path);
	}
	if (checkpoint > 0)
		(void)waitpid(checkpoint, NULL, 0);
	samples_print(&samples, "journal");
	samples_fini(&samples);
	journal_close(j);
	return 0;
}
