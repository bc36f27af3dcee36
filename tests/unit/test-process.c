/* SPDX-License-Identifier: Apache-2.0 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../src/base/macro.h"
#include "../../src/core/process.h"
#include "../../src/core/sandbox.h"

struct fixture {
	struct registry registry;
	struct principal *owner;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	registry_init(&f->registry, -1);
	assert_int_equal(principal_new(&f->owner, getuid(), getgid(), NULL), 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	registry_fini(&f->registry);
	principal_unref(f->owner);
	free(f);
	return 0;
}

static struct process *make(struct fixture *f, uint64_t wall_ns)
{
	struct process_args a = { .owner = f->owner,
				  .created_wall_ns = wall_ns,
				  .spec = "{}" };
	struct process *p = NULL;

	assert_int_equal(id_new(&a.id), 0);
	assert_int_equal(process_new(&f->registry, &a, &p, NULL), 0);
	return p;
}

static void test_each_process_is_found_by_its_id_and_pid(void **state)
{
	struct fixture *f = *state;
	struct process *all[500];

	for (int i = 0; i < 500; i++) {
		all[i] = make(f, (uint64_t)i);
		/* Some share a bucket. */
		process_set_pid(all[i], (int32_t)(i % 10 + 1 + i / 10 * 4096));
	}
	for (int i = 0; i < 500; i++) {
		assert_ptr_equal(process_find(&f->registry, &all[i]->id), all[i]);
		assert_ptr_equal(process_find_pid(&f->registry, all[i]->pid), all[i]);
	}
	assert_null(process_find_pid(&f->registry, 4000));
	assert_null(process_find_pid(&f->registry, 0));
	assert_null(process_find_pid(&f->registry, -1));

	for (int i = 0; i < 500; i += 2) {
		int32_t pid = all[i]->pid;
		struct id id = all[i]->id;

		process_forget(all[i]);
		assert_null(process_find(&f->registry, &id));
		assert_null(process_find_pid(&f->registry, pid));
	}
	for (int i = 1; i < 500; i += 2)
		assert_ptr_equal(process_find(&f->registry, &all[i]->id), all[i]);
}

static void test_an_id_is_used_once(void **state)
{
	struct fixture *f = *state;
	struct process *p = make(f, 1), *untouched = p;
	struct process_args a = { .id = p->id, .owner = f->owner, .spec = "{}" };
	struct err err;

	assert_int_equal(process_new(&f->registry, &a, &untouched, &err), -ERR_CONFLICT);
	assert_ptr_equal(untouched, p);
}

static void test_a_pid_means_nobody_once_the_command_is_gone(void **state)
{
	struct fixture *f = *state;
	struct process *p = make(f, 1), *next = make(f, 2);

	process_set_pid(p, 77);
	process_set_ended(p, 5);
	assert_null(process_find_pid(&f->registry, 77));
	process_set_pid(next, 77);
	assert_ptr_equal(process_find_pid(&f->registry, 77), next);
}

static void test_the_list_is_in_order_though_the_clock_was_set_back(void **state)
{
	static const uint64_t times[] = { 5, 7, 3, 9, 4, 4, 1 };
	struct fixture *f = *state;
	uint64_t last = 0;
	size_t n = 0;

	for (size_t i = 0; i < ARRAY_SIZE(times); i++)
		(void)make(f, times[i]);
	LIST_EACH (&f->registry.all, it) {
		struct process *p = container_of(it, struct process, all);

		assert_true(p->created_wall_ns >= last);
		last = p->created_wall_ns;
		n++;
	}
	assert_int_equal(n, ARRAY_SIZE(times));
}

static void test_no_more_live_than_the_ceiling_and_the_ended_make_room(void **state)
{
	struct fixture *f = *state;
	struct process *first = make(f, 0);
	struct err err;

	while (registry_admit(&f->registry, NULL) == 0)
		(void)make(f, 1);
	assert_int_equal(f->registry.n_live, PROCESS_LIVE_MAX);
	assert_int_equal(registry_admit(&f->registry, &err), -ERR_QUOTA);

	process_set_ended(first, 1);
	process_set_ended(first, 2); /* counted once */
	assert_int_equal(f->registry.n_live, PROCESS_LIVE_MAX - 1);
	assert_int_equal(f->registry.n_ended, 1);
	assert_int_equal(registry_admit(&f->registry, NULL), 0);
}

static void test_an_ended_process_is_kept_for_its_time_and_not_longer(void **state)
{
	struct fixture *f = *state;
	struct process *a = make(f, 1), *b = make(f, 2);
	uint64_t t = 1000;

	process_set_ended(a, t);
	process_set_ended(b, t + 10);
	assert_null(registry_expired(&f->registry, t + PROCESS_RETAIN_NS - 1));
	assert_ptr_equal(registry_expired(&f->registry, t + PROCESS_RETAIN_NS), a);
	process_release(a);
	assert_null(registry_expired(&f->registry, t + PROCESS_RETAIN_NS));
	assert_ptr_equal(registry_expired(&f->registry, t + 10 + PROCESS_RETAIN_NS), b);
}

static void test_the_number_of_ended_ones_is_bounded(void **state)
{
	struct fixture *f = *state;

	for (unsigned int i = 0; i <= PROCESS_ENDED_MAX; i++)
		process_set_ended(make(f, i), 1);
	assert_non_null(registry_expired(&f->registry, 2));
	process_release(registry_expired(&f->registry, 2));
	assert_null(registry_expired(&f->registry, 2));
}

struct listener {
	struct waiter w;
	unsigned int told, news;
	struct listener *removes; /* when it is told */
	struct process *comes_back;
};

static void on_news(struct waiter *w, struct process *p, unsigned int news)
{
	struct listener *l = container_of(w, struct listener, w);

	l->told++;
	l->news |= news;
	if (l->removes)
		waiter_remove(&l->removes->w);
	if (l->comes_back) {
		waiter_remove(w);
		process_wait(p, w, on_news);
	}
}

static void test_who_is_waited_for_is_not_forgotten(void **state)
{
	struct fixture *f = *state;
	struct process *p = make(f, 1);
	struct listener l = { 0 };

	process_wait(p, &l.w, on_news);
	process_set_ended(p, 1);
	assert_null(registry_expired(&f->registry, 1 + PROCESS_RETAIN_NS));
	waiter_remove(&l.w);
	assert_ptr_equal(registry_expired(&f->registry, 1 + PROCESS_RETAIN_NS), p);
}

static void test_each_waiter_is_told_once_whatever_the_others_do(void **state)
{
	struct fixture *f = *state;
	struct process *p = make(f, 1);
	struct listener l[5] = { 0 };

	for (int i = 0; i < 5; i++)
		process_wait(p, &l[i].w, on_news);
	l[0].removes = &l[0]; /* itself */
	l[1].removes = &l[3]; /* one that was not told yet */
	l[2].removes = &l[1]; /* one that was */
	l[4].comes_back = p;
	process_tell(p, NEWS_OUTPUT);
	assert_int_equal(l[0].told, 1);
	assert_int_equal(l[1].told, 1);
	assert_int_equal(l[2].told, 1);
	assert_int_equal(l[3].told, 0);
	assert_int_equal(l[4].told, 1);

	process_tell(p, NEWS_EXITED);
	assert_int_equal(l[0].told, 1);
	assert_int_equal(l[1].told, 1);
	assert_int_equal(l[2].told, 2);
	assert_int_equal(l[4].told, 2);
	assert_int_equal(l[4].news, NEWS_OUTPUT | NEWS_EXITED);
	waiter_remove(&l[2].w);
	waiter_remove(&l[4].w);
}

static void test_waiters_hear_of_a_release_and_are_unlinked(void **state)
{
	struct fixture *f = *state;
	struct process *p = make(f, 1);
	struct listener l = { 0 };

	process_wait(p, &l.w, on_news);
	process_set_ended(p, 1);
	process_release(p);
	assert_int_equal(l.news, NEWS_RELEASED);
	assert_null(l.w.process);
	waiter_remove(&l.w); /* again does no harm */
}

static void test_news_are_told_only_after_they_were_ready(void **state)
{
	struct fixture *f = *state;
	struct registry *r = &f->registry;
	struct process *p = make(f, 1), *q = make(f, 2);
	unsigned int news = 0;

	process_note(p, NEWS_STARTED);
	process_note(p, NEWS_OUTPUT);
	process_note(q, NEWS_EXITED);
	assert_null(registry_take_ready(r, &news));

	assert_ptr_equal(registry_next_news(r), p);
	assert_ptr_equal(registry_next_news(r), q);
	assert_null(registry_next_news(r));
	/* What comes while others are told waits for the next journal. */
	assert_ptr_equal(registry_take_ready(r, &news), p);
	assert_int_equal(news, NEWS_STARTED | NEWS_OUTPUT);
	process_note(q, NEWS_EMPTY);
	assert_ptr_equal(registry_take_ready(r, &news), q);
	assert_int_equal(news, NEWS_EXITED);
	assert_null(registry_take_ready(r, &news));
	assert_ptr_equal(registry_next_news(r), q);
	assert_ptr_equal(registry_take_ready(r, &news), q);
	assert_int_equal(news, NEWS_EMPTY);
}

static void test_output_is_wanted_from_the_least_offset_on(void **state)
{
	struct fixture *f = *state;
	struct process *p = make(f, 1);
	struct listener a = { 0 }, b = { 0 };
	uint64_t past[BOX_STREAMS];

	process_wait(p, &a.w, on_news);
	assert_false(process_wants_output(p, past));
	a.w.past[0] = 100;
	process_wait(p, &b.w, on_news);
	b.w.past[0] = 7;
	assert_true(process_wants_output(p, past));
	assert_int_equal(past[0], 7);
	assert_true(past[1] == WAITER_NO_OUTPUT);
	waiter_remove(&a.w);
	waiter_remove(&b.w);
}

static void test_a_write_id_is_remembered_among_the_last_ones(void **state)
{
	struct fixture *f = *state;
	struct process *p = make(f, 1);
	struct process_write *w;
	char id[16];

	assert_false(process_write_seen(p, "first", &w));
	w->taken = 5;
	w->done = true;
	assert_true(process_write_seen(p, "first", &w));
	assert_int_equal(w->taken, 5);
	assert_true(w->done);
	for (int i = 0; i < PROCESS_WRITE_IDS; i++) {
		(void)snprintf(id, sizeof(id), "w%d", i);
		assert_false(process_write_seen(p, id, &w));
	}
	assert_false(process_write_seen(p, "first", &w));
}

static void test_one_word_tells_how_it_ended(void **state)
{
	static const struct {
		uint32_t reason;
		int32_t code;
		const char *word;
	} ends[] = {
		{ BOX_REASON_EXITED, 0, "ok" },
		{ BOX_REASON_EXITED, 3, "error" },
		{ BOX_REASON_SIGNALED, -1, "error" },
		{ BOX_REASON_TIMEOUT, -1, "timeout" },
		{ BOX_REASON_KILLED, -1, "killed" },
		{ BOX_REASON_CANCELLED, 0, "cancelled" },
		{ BOX_REASON_LIFETIME, -1, "timeout" },
		{ BOX_REASON_START_FAILED, -1, "error" },
		{ 4711, -1, "error" },
	};
	struct fixture *f = *state;
	struct process *p = make(f, 1);

	assert_string_equal(process_status(p), "running");
	p->exited = true;
	p->state = PROCESS_EXITED;
	for (size_t i = 0; i < ARRAY_SIZE(ends); i++) {
		p->record.reason = ends[i].reason;
		p->record.exit_code = ends[i].code;
		assert_string_equal(process_status(p), ends[i].word);
	}
	p->state = PROCESS_LOST;
	assert_string_equal(process_status(p), "lost");
}

static void test_sandboxes_are_found_and_bounded(void **state)
{
	struct fixture *f = *state;
	struct sandbox_args a = { .owner = f->owner, .label = "x", .spec = "{}" };
	struct sandboxes l;
	struct sandbox *s = NULL, *first = NULL;
	struct err err;

	sandboxes_init(&l);
	for (unsigned int i = 0; i < SANDBOXES_MAX; i++) {
		assert_int_equal(id_new(&a.id), 0);
		assert_int_equal(sandbox_new(&l, &a, &s, &err), 0);
		first = first ? first : s;
		assert_ptr_equal(sandbox_find(&l, &a.id), s);
	}
	assert_int_equal(id_new(&a.id), 0);
	assert_int_equal(sandbox_new(&l, &a, &s, &err), -ERR_QUOTA);
	assert_null(sandbox_find(&l, &a.id));
	a.id = first->id;
	sandbox_drop(&l, first);
	assert_null(sandbox_find(&l, &a.id));
	sandboxes_reap(&l);
	assert_int_equal(sandbox_new(&l, &a, &s, &err), 0);
	sandboxes_fini(&l);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_each_process_is_found_by_its_id_and_pid),
		TEST(test_an_id_is_used_once),
		TEST(test_a_pid_means_nobody_once_the_command_is_gone),
		TEST(test_the_list_is_in_order_though_the_clock_was_set_back),
		TEST(test_no_more_live_than_the_ceiling_and_the_ended_make_room),
		TEST(test_an_ended_process_is_kept_for_its_time_and_not_longer),
		TEST(test_the_number_of_ended_ones_is_bounded),
		TEST(test_who_is_waited_for_is_not_forgotten),
		TEST(test_each_waiter_is_told_once_whatever_the_others_do),
		TEST(test_waiters_hear_of_a_release_and_are_unlinked),
		TEST(test_news_are_told_only_after_they_were_ready),
		TEST(test_output_is_wanted_from_the_least_offset_on),
		TEST(test_a_write_id_is_remembered_among_the_last_ones),
		TEST(test_one_word_tells_how_it_ended),
		TEST(test_sandboxes_are_found_and_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
