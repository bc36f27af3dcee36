/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * plan - what is to be done to start one command, as a flat list of steps
 *
 * The engine compiles profile and request into two plans, each a sealed memfd:
 * "prepare" (launch and sandbox steps: nothing that depends on the one call) and
 * "commit" (settings and process steps). Whoever a step belongs to executes it
 * when he comes to it, in order; the first failure stops everything and comes
 * back as a struct err with the step's name as its stage. One table (plan.c)
 * names each step, its owner and the least size of its payload.
 *
 *	launcher  which namespaces, which user, which root, which workspace
 *	keeper	  builds the sandbox from the inside, and the settings it runs by
 *	child	  between fork and exec, as the command's own process
 *
 * Layout: struct plan_head, then steps, each a struct plan_step_head followed by
 * its payload, padded to 8 bytes. Payload structs are followed by the strings
 * they count, each with its NUL. Numbers are native: a plan never leaves the
 * machine, and engine and keeper check each other's version.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../base/buf.h"
#include "../base/err.h"
#include "../base/id.h"

#define PLAN_MAGIC 0x6e6c5072u
#define PLAN_VERSION 3u
#define PLAN_MAX ((size_t)8 << 20)
#define PLAN_SHOW_MAX 128 /* STEP_SHOWs: each is a descriptor for a while */

enum plan_part { PLAN_PREPARE = 1, PLAN_COMMIT };
enum plan_owner { PLAN_LAUNCHER, PLAN_KEEPER, PLAN_CHILD };

enum plan_step_type {
	/* prepare, by the launcher */
	STEP_NAMESPACES = 1, /* struct step_namespaces */
	STEP_JOIN,	     /* struct step_join: fd slot SLOT_HOLDER */
	STEP_OWNER,	     /* struct step_owner */
	STEP_ROOT,	     /* struct step_root + triples of strings */
	STEP_WORKSPACE,	     /* struct step_workspace + path, target */
	STEP_SHOW,	     /* struct step_show + path: one thing more of the host */
	/* prepare, by the keeper */
	STEP_IDMAP,    /* struct step_idmap */
	STEP_HOSTNAME, /* string */
	STEP_LOOPBACK, /* no payload */
	STEP_ATTACH,   /* no payload: the root that STEP_ROOT made */
	STEP_SCRATCH,  /* struct step_scratch: one private tmpfs for what follows */
	STEP_DIR,      /* struct step_dir + string: a directory in the scratch */
	STEP_BIND,     /* struct step_bind + 2 strings: scratch directory -> target */
	STEP_MOUNT,    /* struct step_mount + string: the workspace -> target */
	STEP_SHOWN,    /* struct step_u32: the nth STEP_SHOW; + string: target */
	STEP_DEVPTS,   /* no payload */
	STEP_PROC,     /* no payload: a fresh /proc, the dangerous parts read-only */
	STEP_MASK,     /* struct step_mask + 2 strings: directory, path below it */
	STEP_PIVOT,    /* no payload */
	STEP_LANDLOCK_RULES, /* struct step_u32: ABI; a ruleset that grants nothing */
	STEP_LANDLOCK_RULE,  /* struct step_u32: enum landlock_kind; + string: path */
	/* commit, by the keeper */
	STEP_RECORD, /* struct step_record */
	STEP_TIMERS, /* struct step_timers */
	STEP_STDIO,  /* struct step_stdio */
	/* commit, by the child, in this order */
	STEP_CGROUP,	   /* struct step_cgroup: fd slots SLOT_CGROUP_... */
	STEP_UMASK,	   /* struct step_u32 */
	STEP_RLIMIT,	   /* struct step_rlimit */
	STEP_CWD,	   /* struct step_cwd + 2 strings: workspace, path below it */
	STEP_NO_NEW_PRIVS, /* no payload */
	STEP_DROP_CAPS,	   /* no payload: all five sets */
	STEP_LANDLOCK,	   /* no payload: what STEP_LANDLOCK_RULES began */
	STEP_SECCOMP,	   /* bytes: struct sock_filter[] */
	STEP_EXEC,	   /* struct step_exec + argv strings + environment strings */
	STEP_MAX_,
};

struct plan_head {
	uint32_t magic;
	uint32_t version;
	uint32_t part; /* enum plan_part */
	uint32_t size; /* of all, with this head */
};

struct plan_step_head {
	uint32_t type;
	uint32_t size; /* of the payload, without padding */
};

struct step_namespaces {
	uint32_t flags; /* CLONE_NEW*; 0 = host backend */
	uint32_t pad;
};
struct step_join {
	uint32_t flags; /* CLONE_NEW* to take from the holder behind SLOT_HOLDER */
	uint32_t pad;
};
/* Host ids that keeper and command run as. An ordinary user's are his own. */
struct step_owner {
	uint32_t uid;
	uint32_t gid;
};
/*
 * The read-only part of the root, kept ready and shared by all plans with the
 * same payload. Then `count` triples of strings: kind, source, target.
 *	"bind" host path, target   recursive, read-only, nosuid; skipped if absent
 *	"link" text, target        symbolic link
 *	"dir"  "", target          empty directory, a mount point
 *	"file" content, target     small file, bound over what is there
 *	"dev"  host path, target   device node, bound
 */
struct step_root {
	uint32_t count;
	uint32_t pad;
};
/* The launcher opens path as uid/gid and refuses another dev/ino than these. */
struct step_workspace {
	uint64_t dev;
	uint64_t ino;
	uint32_t disk_uid, disk_gid; /* owner on disk, shown as STEP_OWNER's ids ... */
	uint32_t idmap;		     /* ... if this is 1 */
	uint32_t read_only;
};
/*
 * A directory or regular file. The launcher opens it as STEP_OWNER's ids, following no
 * link; what is not there, or not for them, is left out.
 */
struct step_show {
	uint32_t read_only;
	uint32_t privileged; /* opened with the launcher's own rights: principal root */
	uint32_t idmap;	     /* its owner is shown as STEP_OWNER's ids */
	uint32_t trusted;    /* left out unless a directory that only ... */
	uint32_t uid;	     /* ... this one and root can write to */
	uint32_t pad;
};
struct step_idmap {
	uint32_t uid; /* inside = outside */
	uint32_t gid;
};
struct step_scratch {
	uint64_t size;
	uint64_t inodes;
};
struct step_dir {
	uint32_t mode;
	uint32_t pad;
};
struct step_bind {
	uint32_t noexec;
	uint32_t pad;
};
/*
 * Every directory on the way below the first one becomes a mount too, so that none can be
 * renamed with the mask in it. What is not there, and a link, is left alone; of a file on
 * the way that file is masked.
 */
struct step_mask {
	uint32_t hide; /* empty; else read-only */
	uint32_t pad;
};
struct step_mount {
	uint32_t pad[2];
};
struct step_record {
	struct id id;
	struct id boot_id;
	uint64_t ring_size;
	uint32_t capture;  /* enum box_capture */
	uint32_t overflow; /* enum box_overflow */
	uint32_t leftover_kill;
	uint32_t disconnect_kill; /* informative: the engine acts on it */
};
/* Nanoseconds, CLOCK_MONOTONIC; 0 = none. */
struct step_timers {
	uint64_t timeout;      /* ends the command, from exec on */
	uint64_t grace;	       /* between the first signal and SIGKILL */
	uint64_t lifetime;     /* ends the tree */
	uint64_t idle;	       /* no output, no input */
	uint64_t drain;	       /* after exit, for pipes that are still open */
	uint64_t block;	       /* overflow: block without its consumer */
	uint64_t output_limit; /* bytes of both streams; 0 = none */
};
enum stdio_kind { STDIO_NULL, STDIO_PIPE, STDIO_SLOT, STDIO_PTY };
struct step_stdio {
	uint32_t kind[3]; /* enum stdio_kind; SLOT: SLOT_STDIN + i */
	uint16_t cols, rows;
};
struct step_u32 {
	uint32_t v;
	uint32_t pad;
};
struct step_rlimit {
	uint32_t resource; /* RLIMIT_* */
	uint32_t pad;
	uint64_t soft, hard; /* clipped to the hard limit in force */
};
/* Resolved beneath the workspace with openat2(2), then checked to be a directory. */
struct step_cwd {
	uint64_t dev, ino; /* of the workspace; 0 = not checked */
};
/*
 * The limits in force are the group's, set by the engine; these are told for the
 * record. The child enters each hierarchy that it has a slot of, before all else, so
 * that nothing of the command is charged to anybody but its own group.
 */
struct step_cgroup {
	uint64_t memory_bytes; /* 0 = none */
	uint64_t processes;    /* 0 = none */
};
/* argv[0] without '/' is looked up in the PATH of the environment given. */
struct step_exec {
	uint32_t argc;
	uint32_t envc;
};

/* Descriptors that a keeper is given, by slot; their numbers in the keeper are fixed. */
enum plan_slot {
	SLOT_PREPARE, /* the prepare plan */
	SLOT_BOX,     /* the locked black box */
	SLOT_CONTROL, /* socket to the engine that started it */
	SLOT_COMMIT,  /* the commit plan, if it is known already */
	SLOT_STDIN,   /* given by the caller */
	SLOT_STDOUT,
	SLOT_STDERR,
	SLOT_HOLDER, /* pidfd of the sandbox's holder; the launcher keeps it */
	/* The command's groups (sys/cgroup.h), with the commit plan. */
	SLOT_CGROUP_MEMORY, /* the file `tasks` of each hierarchy, for the child */
	SLOT_CGROUP_PIDS,
	SLOT_CGROUP_EVENTS, /* how many were killed for want of memory, for the keeper */
	SLOT_CGROUP_PEAK,   /* most memory that was used */
	SLOT_SENT_,	    /* those above travel from the engine; those below are made */
	SLOT_LISTEN = SLOT_SENT_, /* for the next engine */
	SLOT_PROC,		  /* O_PATH of the host's /proc, for the id maps */
	SLOT_WORKSPACE,		  /* detached mount */
	SLOT_MAX_,
};

#define SLOT_CGROUP SLOT_CGROUP_MEMORY
#define SLOT_CGROUPS (SLOT_CGROUP_PEAK - SLOT_CGROUP_MEMORY + 1)

struct plan_step_info {
	const char *name; /* the stage in errors */
	enum plan_part part;
	enum plan_owner owner;
	size_t least; /* size of the payload's fixed part */
};
/* NULL for a type that is none. */
const struct plan_step_info *plan_step_info(uint32_t type);

/* Building (the engine). A zeroed builder with part set is an empty plan. */
struct plan_builder {
	enum plan_part part;
	struct buf buf;
	size_t last; /* where the last step begins */
};
void plan_builder_fini(struct plan_builder *b);
/* Appends a step with its fixed part; strings follow by plan_add_text(). */
void plan_add(struct plan_builder *b, enum plan_step_type type, const void *fixed,
	      size_t len);
void plan_add_text(struct plan_builder *b, const char *text);
/* Nothing more is added: equal plans are now equal bytes. */
void plan_finish(struct plan_builder *b);
/* Finished if it was not yet. A sealed memfd with the whole plan. ERR_INVALID_INPUT if it
 * is larger than PLAN_MAX. */
int plan_seal(struct plan_builder *b, int *ret_fd, struct err *err);
/* FNV-1a of the steps, for isolation.plan_hash and to recognise equal plans. */
uint64_t plan_hash(const struct plan_builder *b);

/* Reading (launcher, keeper). The plan is mapped read-only. */
struct plan {
	const unsigned char *data;
	size_t len;
};
struct plan_step {
	enum plan_step_type type;
	const struct plan_step_info *info;
	const void *payload;
	size_t size;
};
/* Checks head, every step's type, part and sizes before anything is used. */
int plan_map(int fd, enum plan_part part, struct plan *ret, struct err *err);
void plan_unmap(struct plan *p);
/* *cursor is 0 at first. 1 and a step, or 0 at the end. */
int plan_next(const struct plan *p, size_t *cursor, struct plan_step *ret);
/* The nth string behind the fixed part, or NULL if there are not so many. */
const char *plan_text(const struct plan_step *s, size_t n);
