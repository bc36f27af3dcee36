/* SPDX-License-Identifier: Apache-2.0 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "box-tools.h"

/* One writer, ten readers, each at a speed of its own. */
#define READERS 10

struct race {
	struct box_writer w;
	int fd;
	uint64_t length; /* of the stream */
	uint64_t ring_size;
	bool block;
	uint64_t acked;
	pthread_barrier_t start;
};

struct racer {
	struct race *race;
	pthread_t thread;
	int number;
	uint64_t seed;
	uint64_t got, lost, chunks;
	char why[160];
};

static void idle(uint64_t *seed, uint64_t most)
{
	for (uint64_t n = most ? below(seed, most) : 0; n > 0; n--)
		(void)sched_yield();
}

static bool chunk_is_right(struct racer *r, uint64_t asked, const struct box_chunk *c,
			   const unsigned char *buf, size_t len)
{
	bool ok = c->len <= len && c->offset >= asked && c->lost == c->offset - asked &&
		  c->next == c->offset + c->len &&
		  bytes_are_right(buf, c->offset, c->len);

	if (!ok)
		(void)snprintf(r->why, sizeof(r->why),
			       "asked %llu: offset %llu len %zu lost %llu next %llu",
			       (unsigned long long)asked, (unsigned long long)c->offset,
			       c->len, (unsigned long long)c->lost,
			       (unsigned long long)c->next);
	return ok;
}

static void *read_all(void *arg)
{
	struct racer *r = arg;
	struct race *race = r->race;
	uint64_t slowness = (uint64_t)r->number * (uint64_t)r->number;
	size_t size = (size_t)below(&r->seed, race->ring_size * 2) + 1;
	unsigned char *buf = malloc(size);
	struct box_chunk chunk = { 0 };
	struct err err = { 0 };
	uint64_t offset = 0;

	(void)pthread_barrier_wait(&race->start);
	while (buf && !chunk.at_end) {
		size_t len = (size_t)below(&r->seed, size) + 1;

		if (box_read(race->fd, 0, offset, buf, len, &chunk, &err) < 0) {
			(void)snprintf(r->why, sizeof(r->why), "box_read: %.100s",
				       err.msg);
			break;
		}
		if (!chunk_is_right(r, offset, &chunk, buf, len))
			break;
		offset = chunk.next;
		r->got += chunk.len;
		r->lost += chunk.lost;
		r->chunks++;
		if (race->block && r->number == 0)
			__atomic_store_n(&race->acked, offset, __ATOMIC_RELEASE);
		idle(&r->seed, chunk.len ? slowness : 2);
	}
	free(buf);
	return NULL;
}

static void write_all(struct race *race, uint64_t *seed)
{
	uint64_t written = 0;

	while (written < race->length) {
		uint64_t want = below(seed, 4) ? below(seed, race->ring_size) : 1;
		size_t n =
			put(&race->w, 0, (size_t)MIN(want + 1, race->length - written));

		written += n;
		if (race->block)
			box_writer_ack(&race->w, 0,
				       __atomic_load_n(&race->acked, __ATOMIC_ACQUIRE));
		idle(seed, n ? 3 : 1);
		if (n == 0)
			(void)sched_yield();
	}
	box_writer_end(&race->w, 0);
}

static void run_race(uint64_t ring_size, bool block, int disk_full_at, uint64_t *seed)
{
	struct race race = { .ring_size = ring_size, .length = 40 * ring_size + 12345 };
	struct box_writer_args args = args_for(1, ring_size);
	struct racer racers[READERS];
	struct err err = { 0 };
	uint64_t lost = 0;

	race.block = block;
	args.overflow = block ? BOX_BLOCK : BOX_DROP_OLDEST;
	race.fd = untaken_box(1, ring_size);
	assert_int_equal(box_writer_init(&race.w, race.fd, &args, &err), 0);
	assert_int_equal(pthread_barrier_init(&race.start, NULL, READERS + 1), 0);
	disk_fails_from(disk_full_at, ENOSPC);
	for (int i = 0; i < READERS; i++) {
		racers[i] = (struct racer){ .race = &race,
					    .number = i,
					    .seed = next_random(seed) | 1 };
		assert_int_equal(
			pthread_create(&racers[i].thread, NULL, read_all, &racers[i]), 0);
	}
	(void)pthread_barrier_wait(&race.start);
	write_all(&race, seed);
	for (int i = 0; i < READERS; i++)
		assert_int_equal(pthread_join(racers[i].thread, NULL), 0);
	disk_fails_from(0, 0);
	(void)pthread_barrier_destroy(&race.start);

	for (int i = 0; i < READERS; i++) {
		assert_string_equal(racers[i].why, "");
		assert_int_equal(racers[i].got + racers[i].lost, race.length);
		assert_true(racers[i].got > 0 && racers[i].chunks > 0);
		lost += racers[i].lost;
	}
	if (block)
		assert_int_equal(racers[0].lost, 0);
	assert_int_equal(extent_of(race.fd, 0).total, race.length);
	assert_int_equal(extent_of(race.fd, 0).disk_full, disk_full_at > 0);
	print_message("  ring %llu %s%s: lost %llu%% over all readers\n",
		      (unsigned long long)ring_size, block ? "block" : "drop_oldest",
		      disk_full_at ? ", full disk" : "",
		      (unsigned long long)(lost * 100 / (race.length * READERS)));
	box_writer_fini(&race.w);
	(void)close(race.fd);
}

static void test_ten_readers_account_for_every_byte(void **state)
{
	uint64_t seed = new_seed(__func__);

	(void)state;
	for (int i = 0; i < 4; i++)
		run_race(4096, false, 0, &seed);
	run_race(12288, false, 0, &seed);
	run_race(20 * 4096, false, 0, &seed);
	run_race(256 * KIB, false, 0, &seed);
}

static void test_block_loses_nothing_for_its_consumer(void **state)
{
	uint64_t seed = new_seed(__func__);

	(void)state;
	run_race(4096, true, 0, &seed);
	run_race(12288, true, 0, &seed);
	run_race(100 * KIB, true, 0, &seed);
}

static void test_readers_account_for_every_byte_when_the_ring_shrinks(void **state)
{
	uint64_t seed = new_seed(__func__);

	(void)state;
	/* memfd: the second call is the first step, 64 KiB; each later one doubles. */
	run_race(256 * KIB, false, 2, &seed);
	run_race(256 * KIB, false, 3, &seed);
	run_race(256 * KIB, true, 2, &seed);
}

static void *store_for_ever(void *arg)
{
	struct race *race = arg;

	(void)pthread_barrier_wait(&race->start);
	while (!__atomic_load_n(&race->acked, __ATOMIC_RELAXED)) {
		race->w.record.sandbox_pid =
			(int32_t)(race->w.record.generation % 1000000);
		memset(race->w.record.start_msg,
		       'a' + (int)(race->w.record.generation % 26), 60);
		box_writer_store(&race->w);
	}
	return NULL;
}

static void test_record_is_never_read_half_written(void **state)
{
	struct race race = { 0 };
	struct box_record rec;
	struct err err = { 0 };
	pthread_t writer;
	uint64_t last = 0;

	(void)state;
	race.fd = taken_box(&race.w, 1, 4096);
	assert_int_equal(pthread_barrier_init(&race.start, NULL, 2), 0);
	assert_int_equal(pthread_create(&writer, NULL, store_for_ever, &race), 0);
	(void)pthread_barrier_wait(&race.start);
	for (int i = 0; i < 20000; i++) {
		if (box_read_record(race.fd, &rec, &err) < 0) {
			/* A writer this fast may beat every try: said, never made up. */
			assert_non_null(strstr(err.msg, "checksums"));
			continue;
		}
		assert_true(rec.generation >= last);
		last = rec.generation;
		if (rec.generation == 1)
			continue;
		assert_int_equal(rec.sandbox_pid, (rec.generation - 1) % 1000000);
		for (int k = 0; k < 60; k++)
			assert_int_equal(rec.start_msg[k],
					 'a' + (rec.generation - 1) % 26);
	}
	__atomic_store_n(&race.acked, 1, __ATOMIC_RELAXED);
	assert_int_equal(pthread_join(writer, NULL), 0);
	assert_true(last > 1);
	(void)pthread_barrier_destroy(&race.start);
	box_writer_fini(&race.w);
	(void)close(race.fd);
}

struct vandal {
	int fd;
	uint64_t seed;
	int stop;
	const unsigned char *image;
	size_t len;
};

/* Keeps the head mostly right, so that readers get far enough to be hurt. */
static void *vandalise(void *arg)
{
	struct vandal *v = arg;

	while (!__atomic_load_n(&v->stop, __ATOMIC_RELAXED)) {
		uint64_t junk = below(&v->seed, 3) ? below(&v->seed, 20000) :
						     next_random(&v->seed);
		off_t at = (off_t)(below(&v->seed, 2) ? 3072 + 8 * below(&v->seed, 5) :
							below(&v->seed, v->len));

		(void)!pwrite(v->fd, &junk, 8, at);
		if (below(&v->seed, 8) == 0)
			(void)!ftruncate(v->fd, (off_t)below(&v->seed, v->len));
		if (below(&v->seed, 3) == 0)
			(void)!pwrite(v->fd, v->image, v->len, 0);
	}
	return NULL;
}

static void test_vandal_harms_no_reader(void **state)
{
	static unsigned char image[BOX_RINGS_AT + 4096];
	struct vandal v = { .image = image, .len = sample(image, sizeof(image)) };
	unsigned char *buf = malloc(3000);
	int reads = 0, refused = 0;
	pthread_t thread;
	uint64_t seed;

	(void)state;
	assert_non_null(buf);
	seed = v.seed = new_seed(__func__);
	v.fd = memfd_create("vandal", MFD_CLOEXEC);
	poke(v.fd, 0, image, v.len);
	assert_int_equal(pthread_create(&thread, NULL, vandalise, &v), 0);
	for (int i = 0; i < 30000; i++) {
		struct box_chunk c;
		struct box_record rec;
		struct err err = { 0 };
		uint64_t offset = below(&seed, 6000);

		if (box_read(v.fd, 0, offset, buf, 3000, &c, &err) == 0) {
			assert_true(c.len <= 3000 && c.offset >= offset);
			assert_int_equal(c.lost, c.offset - offset);
			assert_int_equal(c.next, c.offset + c.len);
			reads++;
		} else {
			assert_true(err.msg[0] != '\0');
			refused++;
		}
		if (box_read_record(v.fd, &rec, &err) == 0)
			assert_true(rec.state >= BOX_STARTING && rec.state <= BOX_EXITED);
	}
	__atomic_store_n(&v.stop, 1, __ATOMIC_RELAXED);
	assert_int_equal(pthread_join(thread, NULL), 0);
	print_message("  %d reads, %d refusals\n", reads, refused);
	assert_true(reads > 0 && refused > 0);
	free(buf);
	(void)close(v.fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ten_readers_account_for_every_byte),
		cmocka_unit_test(test_block_loses_nothing_for_its_consumer),
		cmocka_unit_test(
			test_readers_account_for_every_byte_when_the_ring_shrinks),
		cmocka_unit_test(test_record_is_never_read_half_written),
		cmocka_unit_test(test_vandal_harms_no_reader),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
