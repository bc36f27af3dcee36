/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * sandboxes - the life of named sandboxes: their timers, orders and end
 *
 *	STARTING  the holder is ordered; commands wait in `orders`
 *	RUNNING	  commands join
 *	ENDING	  commands are killed; when the last tree is empty, so is the holder
 *	GONE	  told to those who wait, then dropped
 *	LOST	  the holder died: nobody can join, what runs there runs on
 */

struct engine;
struct sandbox;

/* At the end of a turn: tells news, drops what is gone. True if there were any. */
void sandboxes_tell(struct engine *e);
void sandboxes_save(struct engine *e);
void sandboxes_stop(struct engine *e); /* frees timers; nothing is ended */
