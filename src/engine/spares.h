/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * spares - keepers made ahead of need
 *
 * A keeper that has executed its prepare plan waits for a commit. Which command
 * it is for does not matter, as long as that command's prepare plan is the same
 * to the byte: same user, same profile, same workspace, and the same sandbox if it
 * joins one. A plan that comes a second time gets keepers on its shelf, made while
 * nothing else is to be launched, and commands take them from there.
 *
 *	state \ event	launched, READY	  its socket ends   taken	  dismissed
 *	on its way	stands		  shelf goes	    -		  leaving
 *	stands		-		  shelf goes	    a command's	  leaving
 *	leaving		-		  gone		    -		  -
 *
 * A shelf that nobody used for SPARES_KEEP_NS goes, and its keepers leave, as does
 * one whose keepers cannot be made: the next command then goes the long way and is
 * told why if that fails too. No journal knows a spare. What an engine leaves behind
 * ends with its connection, and recovery unlinks the box.
 */

#include <stdbool.h>
#include <stdint.h>

#include "../base/clock.h"
#include "../op/call.h"

#define SPARES_PER_PLAN 2u
#define SPARES_MAX 8u	   /* in all */
#define SPARES_SHELVES 16u /* plans that are remembered */
#define SPARES_KEEP_NS (60 * NS_PER_SEC)
#define SPARES_YIELD_NS                                                                  \
	(5 * NS_PER_SEC) /* one used since then makes no room for others */

struct engine;
struct keeper;
struct shelf;

struct spares {
	struct list shelves; /* the one used last is first */
	struct list leaving; /* struct keeper.shelved */
	unsigned int n;	     /* keepers on their way, standing or leaving */
	unsigned int n_shelves;
};

void spares_init(struct spares *s);
/* Waits for none of them: they end when their connections do. */
void spares_fini(struct engine *e);
/*
 * Makes one more where there are less than so many, if the launcher has nothing else
 * to do: 1 at once, so that what comes without a pause finds one; SPARES_PER_PLAN when
 * there is time, since what is made then takes no processor from a command's start.
 */
void spares_fill(struct engine *e, unsigned int least);
/* Dismisses what is old. In how many ns there is more to do; UINT64_MAX: never. */
uint64_t spares_trim(struct engine *e);
/* Dismisses all, or those that joined a sandbox. */
void spares_drop(struct engine *e, const struct sandbox *only);
/* Whether one is in this sandbox, though it may be leaving. */
bool spares_join(const struct engine *e, const struct sandbox *s);

unsigned int spares_standing(const struct engine *e);

/* It is a command's now. */
void spares_taken(struct keeper *k);
/* It is gone, expected or not. */
void spares_lost(struct keeper *k);
