/* SPDX-License-Identifier: Apache-2.0 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "../../src/base/macro.h"
#include "../../src/core/sha256.h"

static void assert_hash(const char *text, const char *want)
{
	uint8_t hash[SHA256_BYTES];
	char hex[SHA256_TEXT];

	assert_int_equal(sha256_of(text, strlen(text), hash), 0);
	assert_string_equal(sha256_text(hash, hex), want);
}

/* The examples of FIPS 180-4. */
static void test_known_answers(void **state)
{
	(void)state;
	assert_hash("", "e3b0c44298fc1c149afbf4c8996fb924"
			"27ae41e4649b934ca495991b7852b855");
	assert_hash("abc", "ba7816bf8f01cfea414140de5dae2223"
			   "b00361a396177a9cb410ff61f20015ad");
	assert_hash("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
		    "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
}

static void test_pieces_are_as_the_whole(void **state)
{
	static const size_t cuts[] = { 0, 1, 63, 64, 65, 127, 200 };
	uint8_t whole[SHA256_BYTES], got[SHA256_BYTES];
	char data[200];

	(void)state;
	memset(data, 'x', sizeof(data));
	assert_int_equal(sha256_of(data, sizeof(data), whole), 0);
	for (size_t i = 0; i < ARRAY_SIZE(cuts); i++) {
		CLEANUP(sha256_free) struct sha256 *s = sha256_new();

		assert_non_null(s);
		assert_int_equal(sha256_add(s, data, cuts[i]), 0);
		assert_int_equal(sha256_add(s, data + cuts[i], sizeof(data) - cuts[i]),
				 0);
		assert_int_equal(sha256_end(s, got), 0);
		assert_memory_equal(got, whole, sizeof(whole));
	}
}

static void test_nothing_is_freed_as_well(void **state)
{
	(void)state;
	sha256_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_known_answers),
		cmocka_unit_test(test_pieces_are_as_the_whole),
		cmocka_unit_test(test_nothing_is_freed_as_well),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
