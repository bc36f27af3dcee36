/* SPDX-License-Identifier: Apache-2.0 */

#include "digests.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../base/clock.h"
#include "../core/profile.h"
#include "../wire/json.h"
#include "call.h"
#include "record.h"

#define PIECE ((size_t)64 << 10)
#define PIECES 8 /* of a turn: 512 KiB are 2 ms where the CPU has no help for it */

static const char *const names[] = {
	[DIGEST_PROCTORD] = "proctord",
	[DIGEST_KEEPER] = "proctor-keeper",
};

struct digesting {
	struct call *call;
	json_t *facts;
	void (*done)(struct call *c, const json_t *facts);
	struct digests found;
	enum digest_of at;
	int fd;
	struct sha256 *sha;
};

static void close_file(struct digesting *d)
{
	if (d->fd >= 0)
		(void)close(d->fd);
	d->fd = -1;
	sha256_free(d->sha);
	d->sha = NULL;
}

static void digesting_free(struct digesting *d)
{
	close_file(d);
	json_decref(d->facts);
	d->call->state = NULL;
	d->call->stop = NULL;
	d->call->tick = NULL;
	free(d);
}

static void open_file(struct digesting *d)
{
	struct engine_facts f;

	world_facts(d->call->world, &f);
	d->fd = open(d->at == DIGEST_PROCTORD ? "/proc/self/exe" : f.keeper_path,
		     O_RDONLY | O_CLOEXEC);
	d->sha = sha256_new();
}

/* 1 = there is more, 0 = it ended, -errno. */
static int add_piece(struct digesting *d)
{
	static unsigned char piece[PIECE];
	ssize_t n = read(d->fd, piece, sizeof(piece));
	int r;

	if (n < 0)
		return errno == EINTR ? 1 : -errno;
	if (n == 0)
		return 0;
	r = sha256_add(d->sha, piece, (size_t)n);
	return r < 0 ? r : 1;
}

static void end_file(struct digesting *d, int r)
{
	uint8_t hash[SHA256_BYTES];

	if (r == 0 && sha256_end(d->sha, hash) == 0)
		(void)sha256_text(hash, d->found.text[d->at]);
	close_file(d);
	d->at++;
}

static void finish(struct digesting *d)
{
	void (*done)(struct call * c, const json_t *facts) = d->done;
	json_t *facts = json_incref(d->facts);
	struct call *c = d->call;

	c->world->digests = d->found;
	c->world->digests.known = true;
	digesting_free(d);
	done(c, facts);
	json_decref(facts);
}

static void on_tick(struct call *c)
{
	struct digesting *d = c->state;

	for (int i = 0; i < PIECES && d->at < DIGEST_MAX_; i++) {
		int r;

		if (d->fd < 0)
			open_file(d);
		r = d->fd >= 0 && d->sha ? add_piece(d) : -ENOENT;
		if (r <= 0)
			end_file(d, r);
	}
	if (d->at == DIGEST_MAX_)
		finish(d);
	else
		call_timer(c, clock_mono());
}

static void on_stop(struct call *c, enum call_end why)
{
	(void)why;
	digesting_free(c->state);
}

void digests_get(struct call *c, const json_t *facts,
		 void (*done)(struct call *c, const json_t *facts))
{
	struct digesting *d;

	if (c->world->digests.known) {
		done(c, facts);
		return;
	}
	d = calloc(1, sizeof(*d));
	if (!d) {
		call_reply(c, NULL, NULL, 0);
		return;
	}
	d->call = c;
	d->facts = json_incref((json_t *)(uintptr_t)facts);
	d->done = done;
	d->fd = -1;
	c->state = d;
	c->stop = on_stop;
	c->tick = on_tick;
	on_tick(c);
}

/* --- profiles --- */

/* Of its file, comments included: what a person can compare. */
static json_t *profile_digest(const struct profile *p)
{
	uint8_t hash[SHA256_BYTES];
	char hex[SHA256_TEXT];

	if (sha256_of(p->text, strlen(p->text), hash) < 0)
		return json_null();
	return json_string(sha256_text(hash, hex));
}

json_t *digests_json(const struct digests *d)
{
	json_t *programs = json_object(), *profiles = json_object();
	const struct profile *p;

	for (int i = 0; programs && i < DIGEST_MAX_; i++)
		(void)json_object_set_new(programs, names[i],
					  json_text_or_null(d->text[i]));
	for (size_t i = 0; profiles && i < PROFILES_MAX; i++) {
		p = profile_at(i);
		if (p)
			(void)json_object_set_new(profiles, p->name, profile_digest(p));
	}
	return json_pack("{s:o, s:o}", "programs", programs, "profiles", profiles);
}
