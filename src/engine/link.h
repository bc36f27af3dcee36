/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * link - the engine's end of a keeper's control socket
 *
 * One per process or sandbox whose keeper may live. All that a keeper sends is
 * hostile: sizes, types and the order of states are checked; a bad message ends
 * the link, not the engine. Facts about a command come from its black box.
 *
 *	state \ gets	LAUNCHED READY	  STARTED  FAILED EXITED CLOSED EMPTY end of
 *socket ORDERED		SENT	 -	  -	   -	  -	 - -     judged
 *	SENT		SENT	 PREPARED STARTED  FAILED -	 -	-     judged
 *	PREPARED	PREPARED -	  STARTED  FAILED -	 -	-     judged
 *	STARTED		-	 -	  -	   -	  EXITED STARTED -    judged
 *	FAILED		-	 -	  -	   -	  FAILED -	gone  judged
 *	EXITED		-	 -	  -	   -	  -	 EXITED gone  judged
 *	ADOPTING	- (HELLO tells in which state it is) -		      judged
 *
 * "Judged": if the record in the box is final it counts. Else, if nobody holds
 * the box's lock, the keeper died: lost. Else the keeper lives, and the link is
 * made anew through its socket in the state directory, a bounded number of times.
 */

#include <stdbool.h>
#include <stdint.h>

#include "../base/err.h"
#include "../base/list.h"
#include "../op/call.h"
#include "loop.h"

enum link_state {
	LINK_ORDERED,
	LINK_SENT,
	LINK_PREPARED,
	LINK_STARTED,
	LINK_FAILED,
	LINK_EXITED,
	LINK_ADOPTING, /* connected, or trying to be */
	LINK_GONE,
};

#define LINK_OUTBOX_MAX 256 /* messages that wait for a slow keeper */

struct engine;

struct keeper {
	struct list all;
	struct list launch; /* in the engine's orders, or the launcher's lists */
	struct engine *e;
	struct process *process; /* one of the two, or none of a spare */
	struct sandbox *sandbox;
	bool spare;	     /* spares.h */
	struct shelf *shelf; /* where it stands, unless it was dismissed */
	struct list shelved;
	struct id id;
	char kind; /* ID_PROCESS, ID_SANDBOX */
	enum link_state state;
	bool connected; /* of ADOPTING: says hello */
	bool counted;	/* recovery waits for it */
	unsigned int tries;

	int sock;
	struct watch watch;
	int32_t pid;	    /* the keeper's, 0 = not known */
	int pidfd;	    /* of the keeper, where signals may be needed; -1 */
	struct timer timer; /* deadline, or next try */
	bool warned;	    /* the deadline has sent SIGCONT */

	uint32_t seq;
	struct list asks;
	struct list outbox;
	size_t n_outbox;
	bool watching;
	uint64_t watch_at[BOX_STREAMS];

	/* Until it is launched; of a spare that was taken, until it is committed. */
	bool held; /* messages wait for the commit */
	int prepare_fd, commit_fd, box_fd, stdin_fd, far_fd;
	int cgroup_fd[SLOT_CGROUPS];
	struct sandbox *join;
};

/* The launcher's answers. pidfd is taken. */
void link_launched(struct keeper *k, int32_t pid, int pidfd);
void link_launch_failed(struct keeper *k, const struct err *why);
/* The launcher died without an answer. */
void link_orphaned(struct keeper *k);
/* The order cannot be given: its process ends as start_failed. */
void link_fail(struct keeper *k, const struct err *why);
/* The descriptors of the order are with the launcher now. */
void link_sent(struct keeper *k);

/*
 * One ahead of need (spares.h), or NULL. The descriptors of o are taken. It stands
 * once launcher and keeper have said so; link_commit() makes it the command's that
 * world_launch() gave it to. link_dismiss(): it is told to end, and does; false: it
 * was not there yet, and there is nothing to wait for.
 */
struct keeper *link_spare(struct engine *e, const struct id *id,
			  const struct launch_order *o);
bool link_stands(const struct keeper *k);
/* Its socket has ended, which is about to be noticed. */
bool link_is_gone(const struct keeper *k);
void link_commit(struct keeper *k);
bool link_dismiss(struct keeper *k);

/* Asks a holder to end; what becomes of it comes as for any keeper. */
void link_end_holder(struct sandbox *s);

/* Looks for the keeper of a process or sandbox that another engine started. */
int link_adopt(struct engine *e, struct process *p, struct sandbox *s, struct err *err);

/* Unlinks it from its object; freed at the end of the turn. */
void link_end(struct keeper *k);
void links_reap(struct engine *e);
