/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * opt - options of the command line, from one table
 *
 * A row belongs to groups, and a verb takes the groups it names: parsing, --help,
 * the manual's list and shell completion all come from the rows. Two rows may
 * have the same id, for a second name.
 *
 * Parsing knows "--name VALUE", "--name=VALUE", "-x VALUE", "-xVALUE", flags
 * together ("-it"), and "--". Values are judged here, by kind and bounds; texts
 * are borrowed from argv.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../base/err.h"

enum opt_id {
	OPT_HELP,
	OPT_JSON,
	OPT_DETACH,
	OPT_INTERACTIVE,
	OPT_TTY,
	OPT_RM,
	OPT_DETACH_KEYS,
	OPT_ENV,
	OPT_WORKDIR,
	OPT_TIMEOUT,
	OPT_GRACE,
	OPT_PROFILE,
	OPT_WORKSPACE,
	OPT_SANDBOX,
	OPT_LABEL,
	OPT_MEMORY,
	OPT_CPUS,
	OPT_PIDS,
	OPT_CPU_TIME,
	OPT_OPEN_FILES,
	OPT_FILE_SIZE,
	OPT_CORE_SIZE,
	OPT_OUTPUT_LIMIT,
	OPT_LIFETIME,
	OPT_IDLE,
	OPT_CAPTURE,
	OPT_RING,
	OPT_OVERFLOW,
	OPT_LEFTOVER,
	OPT_ON_DISCONNECT,
	OPT_CALL_ID,
	OPT_IDEMPOTENCY_KEY,
	OPT_TRACE_ID,
	OPT_SHELL,
	OPT_LOGIN,
	OPT_COMMAND,
	OPT_ALL,
	OPT_QUIET,
	OPT_FILTER,
	OPT_FOLLOW,
	OPT_SINCE,
	OPT_TAIL,
	OPT_STDOUT,
	OPT_STDERR,
	OPT_WATCH,
	OPT_INTERVAL,
	OPT_SIGNAL,
	OPT_SCOPE,
	OPT_DRY_RUN,
	OPT_REASON,
	OPT_FORCE,
	OPT_CLOSE,
	OPT_NEWLINE,
	OPT_NEW,
	OPT_FOR,
	OPT_KIND,
	OPT_LEVEL,
	OPT_KILL,
	OPT_OUTPUT,
	OPT_MAN,
	OPT_BASH,
	OPT_ZSH,
	OPT_FISH,
	OPT_MAX_,
};

enum opt_kind {
	OPT_IS_FLAG,
	OPT_IS_TEXT,
	OPT_IS_LIST, /* may be given several times */
	OPT_IS_CHOICE,
	OPT_IS_NUMBER,
	OPT_IS_MS,    /* 30s, 5m: milliseconds */
	OPT_IS_BYTES, /* 64k, 1g */
};

enum opt_group {
	OPT_G_ALL = 1 << 0, /* every verb */
	OPT_G_JSON = 1 << 1,
	OPT_G_CEILING = 1 << 2, /* workspace and profile */
	OPT_G_COMMAND = 1 << 3, /* how a command is run */
	OPT_G_SANDBOX = 1 << 4, /* in which sandbox */
	OPT_G_FRONT = 1 << 5,	/* in the foreground */
	OPT_G_SH = 1 << 6,
	OPT_G_PS = 1 << 7,
	OPT_G_LOGS = 1 << 8,
	OPT_G_STATS = 1 << 9,
	OPT_G_KILL = 1 << 10,
	OPT_G_SIGNAL = 1 << 11,
	OPT_G_RM = 1 << 12,
	OPT_G_WRITE = 1 << 13,
	OPT_G_ATTACH = 1 << 14,
	OPT_G_WAIT = 1 << 15,
	OPT_G_EVENTS = 1 << 16,
	OPT_G_STOP = 1 << 17, /* daemon stop, restart */
	OPT_G_BOX = 1 << 18,
	OPT_G_HELP = 1 << 19,
	OPT_G_NEW_SANDBOX = 1 << 20,
	OPT_G_QUIET = 1 << 21,
};

struct opt {
	enum opt_id id;
	const char *name;
	char letter;	 /* 0 = none */
	const char *arg; /* how its value is called; NULL for a flag */
	enum opt_kind kind;
	unsigned int groups; /* of enum opt_group */
	uint64_t min, max;   /* of a number, a time or bytes */
	const char *const *choices;
	const char *doc;
};

extern const struct opt opt_table[]; /* ends with name NULL */

#define OPT_ITEMS_MAX 512

struct opt_value {
	bool given;
	const char *text;
	uint64_t number;
};

/* One occurrence of an OPT_IS_LIST, in the order given. */
struct opt_item {
	enum opt_id id;
	const char *text;
};

struct opt_args {
	struct opt_value v[OPT_MAX_];
	struct opt_item items[OPT_ITEMS_MAX];
	size_t n_items;
	char **operands;
	int n_operands;
};

/*
 * How the words after the options are taken. MIXED: options may also follow
 * operands, which are moved to the front of argv.
 */
enum opt_order { OPT_STOP_AT_OPERAND, OPT_MIXED };

/*
 * Parses argv[0..argc), which begins behind the verb. signals: "-9" and "-TERM" are
 * OPT_SIGNAL. ERR_INVALID_INPUT with a message that suggests what may be meant.
 */
struct opt_spec {
	unsigned int groups;
	enum opt_order order;
	bool signals;
};

int opt_parse(const struct opt_spec *spec, int argc, char **argv, struct opt_args *ret,
	      struct err *err);

/* Insertions, removals and changes from one word to the other; SIZE_MAX for long ones. */
size_t opt_distance(const char *a, const char *b);
