/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * list - a doubly linked ring of nodes embedded in their objects
 *
 * A head is initialised with list_init(); an unlinked node points to itself, so
 * list_remove() may be called twice. LIST_EACH_SAFE lets the body remove the
 * node it is at.
 */

#include <stdbool.h>

#include "macro.h"

struct list {
	struct list *next;
	struct list *prev;
};

static inline void list_init(struct list *l)
{
	l->next = l->prev = l;
}

static inline bool list_empty(const struct list *l)
{
	return l->next == l;
}

static inline void list_append(struct list *head, struct list *node)
{
	node->prev = head->prev;
	node->next = head;
	head->prev->next = node;
	head->prev = node;
}

static inline void list_remove(struct list *node)
{
	node->prev->next = node->next;
	node->next->prev = node->prev;
	list_init(node);
}

#define LIST_EACH(head, it)                                                              \
	for (struct list *it = (head)->next; it != (head); it = it->next)
#define LIST_EACH_SAFE(head, it)                                                         \
	for (struct list *it = (head)->next, *it##_next = it->next; it != (head);        \
	     it = it##_next, it##_next = it->next)
