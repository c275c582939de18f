/* wire/hash against BLAKE2b-256 and SipHash as other implementations compute them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "wire/hash.h"

static void assert_hash(const struct bytes *part, int n, const char *expected)
{
    struct hash hash = hash_of(part, n);
    char hex[2 * HASH_BYTES + 1];
    bytes_hex(bytes_of(hash.b, HASH_BYTES), hex);
    assert_string_equal(hex, expected);
}

static void hash_is_blake2b_of_the_parts_without_separators(void **state)
{
    (void)state;
    static const char abc[] = "bddd813c634239723171ef3fee98579b94964e3bb1cb3e427262c8c068d52319";
    struct bytes whole = bytes_of_text("abc");
    struct bytes parts[] = {bytes_of_text("a"), bytes_of(NULL, 0), bytes_of_text("bc")};
    assert_hash(NULL, 0, "0e5751c026e543b2e8ab2eb06099daa1d1e5df47778f7787faab45cdf12fe3a8");
    assert_hash(&whole, 1, abc);
    assert_hash(parts, 3, abc);
}

static void the_number_of_a_hash_is_its_first_eight_bytes(void **state)
{
    (void)state;
    struct hash hash = {{1, 2, 3, 4, 5, 6, 7, 0x88, 9}};
    assert_int_equal(hash_u64(&hash), 0x8807060504030201u);
}

/* Two vectors of the reference implementation, with the key 00 01 02 ... 0f. */
static void the_quick_hash_is_siphash_of_128_bits(void **state)
{
    (void)state;
    static const uint8_t zero = 0;
    uint8_t key[16], out[HASH_QUICK_BYTES];
    char hex[2 * HASH_QUICK_BYTES + 1];
    for (uint8_t i = 0; i < sizeof key; i++)
        key[i] = i;
    hash_quick(key, bytes_of(&zero, 0), out);
    bytes_hex(bytes_of(out, sizeof out), hex);
    assert_string_equal(hex, "a3817f04ba25a8e66df67214c7550293");
    hash_quick(key, bytes_of(&zero, 1), out);
    bytes_hex(bytes_of(out, sizeof out), hex);
    assert_string_equal(hex, "da87c1d86b99af44347659119b22fc45");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hash_is_blake2b_of_the_parts_without_separators),
        cmocka_unit_test(the_number_of_a_hash_is_its_first_eight_bytes),
        cmocka_unit_test(the_quick_hash_is_siphash_of_128_bits),
    };
    return cmocka_run_group_tests_name("hash", tests, NULL, NULL);
}
