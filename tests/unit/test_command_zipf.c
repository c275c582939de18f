/* Ranks by Zipf's law, beside the probabilities themselves. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "client/command_zipf.c" /* of a program: not in the archive */

#define RANKS 50
#define DRAWS 400000

/* Every rank within five standard deviations of what its probability gives. */
static void assert_follows(double theta)
{
    struct prng prng;
    struct zipf z;
    double all = 0;
    uint32_t drawn[RANKS] = {0};
    prng_seed(&prng, 7);
    zipf_init(&z, RANKS, theta);
    for (int i = 0; i < DRAWS; i++) {
        uint64_t rank = zipf_next(&z, &prng);
        assert_in_range(rank, 0, RANKS - 1);
        drawn[rank]++;
    }
    for (int k = 1; k <= RANKS; k++)
        all += pow(k, -theta);
    for (int k = 1; k <= RANKS; k++) {
        double p = pow(k, -theta) / all, off = fabs(drawn[k - 1] - DRAWS * p);
        if (off > 5 * sqrt(DRAWS * p * (1 - p)))
            fail_msg("theta %g: rank %d was drawn %u times, wanted %.0f", theta, k, drawn[k - 1],
                     DRAWS * p);
    }
}

static void every_rank_is_drawn_as_often_as_its_probability_says(void **state)
{
    static const double thetas[] = {0, 0.2, 0.5, 0.99, 1, 1.2, 2};
    (void)state;
    for (size_t i = 0; i < sizeof thetas / sizeof thetas[0]; i++)
        assert_follows(thetas[i]);
}

static void one_key_and_a_great_many_are_fine(void **state)
{
    static const double thetas[] = {0, 0.9, 1, 1.2};
    struct prng prng;
    struct zipf z;
    (void)state;
    prng_seed(&prng, 7);
    for (size_t i = 0; i < sizeof thetas / sizeof thetas[0]; i++) {
        uint64_t greatest = 0;
        zipf_init(&z, 1, thetas[i]);
        for (int j = 0; j < 100; j++)
            assert_int_equal(zipf_next(&z, &prng), 0);
        zipf_init(&z, INT32_MAX, thetas[i]);
        for (int j = 0; j < DRAWS; j++) {
            uint64_t rank = zipf_next(&z, &prng);
            assert_in_range(rank, 0, INT32_MAX - 1);
            greatest = rank > greatest ? rank : greatest;
        }
        assert_true(greatest > 1000000);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_rank_is_drawn_as_often_as_its_probability_says),
        cmocka_unit_test(one_key_and_a_great_many_are_fine),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
