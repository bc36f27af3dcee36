/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * link-parts - what the files of link share with each other, and nobody else
 *
 *	link.c		birth, judgement and adoption, deadlines, death
 *	link-launch.c	orders, the launcher's answers, spares
 *	link-send.c	what is told and asked
 *	link-receive.c	what is heard
 */

#include "link.h"

/* A message that waits for a slow keeper. */
struct packet {
	struct list node;
	size_t len;
	struct keeper_msg msg;
	unsigned char data[];
};

struct keeper *link_new(struct engine *e, const struct id *id, char kind);
/* It is this process's or this sandbox's keeper. */
void link_bind(struct keeper *k, struct process *p, struct sandbox *s);
/* Makes sense of an error that came from outside; where the machine lacks something, says
 * who knows more. */
void link_check_err(struct err *e);
/* The descriptors of its order are of no more use. */
void link_close_order(struct keeper *k);

const char *link_name(const struct keeper *k, char buf[static ID_TEXT]);

/* Closes the socket; whoever waits for an answer gets ESRCH. */
void link_hang_up(struct keeper *k);
/* The socket has ended: finds out what that means (link.h). */
void link_judge(struct keeper *k);
/* If the record says that all is over, it counts, and the link is gone. */
bool link_take_final(struct keeper *k);
/* Nobody can know how it ended. The link is gone. */
void link_lost(struct keeper *k, const char *why);
void link_holder_gone(struct keeper *k, const struct err *why);
/* It holds its namespaces, and the engine knows who it is. */
void link_holder_ready(struct keeper *k);

void link_arm_deadline(struct keeper *k, uint64_t after_ns);
void link_wake(struct keeper *k, int sig);

/* Sends what waits. -errno. */
int link_flush(struct keeper *k);
void link_on_readable(struct watch *w, short what);
