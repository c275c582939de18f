/* Writes seeds for fuzz_codec into a directory that exists: seeds_codec DIRECTORY */
#include <stdio.h>

#include "tests/lib/random_msg.h"
#include "wire/codec.h"
#include "wire/ops_codec.h"

#define SEEDS_PER_TYPE 8
#define SEEDS_OF_OPS   64
#define OPS_PER_SEED   3

static bool seed_write(const char *directory, const char *name, int number, struct bytes b)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s-%d", directory, name, number);
    FILE *file = fopen(path, "wb");
    bool written = file != NULL && fwrite(b.data, 1, b.len, file) == b.len;
    if (file != NULL && fclose(file) != 0)
        written = false;
    if (!written)
        perror(path);
    return written;
}

static bool seed_message(struct prng *p, const char *directory, int number)
{
    struct writer w = {0};
    struct msg *m = random_msg(p, random_types[number % RANDOM_TYPES]);
    bool written = codec_encode(m, &w) &&
                   seed_write(directory, msg_name(m->type), number / RANDOM_TYPES,
                              bytes_of(w.data + FRAME_HEADER_BYTES, w.len - FRAME_HEADER_BYTES));
    writer_free(&w);
    msg_unref(m);
    return written;
}

static bool seed_operations(struct prng *p, const char *directory, int number)
{
    uint8_t arena[2 * OPS_PER_SEED][RANDOM_ARENA_BYTES];
    struct op op[OPS_PER_SEED];
    struct result result[OPS_PER_SEED];
    for (int i = 0; i < OPS_PER_SEED; i++) {
        op[i] = random_op(p, arena[i]);
        result[i] = random_result(p, arena[OPS_PER_SEED + i]);
    }
    struct blob *ops = ops_encode(op, OPS_PER_SEED);
    struct blob *results = results_encode(result, OPS_PER_SEED);
    bool written = seed_write(directory, "operations", number, blob_bytes(ops)) &&
                   seed_write(directory, "results", number, blob_bytes(results));
    blob_unref(ops);
    blob_unref(results);
    return written;
}

int main(int argc, char **argv)
{
    struct prng p;
    if (argc != 2) {
        fprintf(stderr, "usage: seeds_codec DIRECTORY\n");
        return 2;
    }
    prng_seed(&p, 1);
    for (int i = 0; i < SEEDS_PER_TYPE * RANDOM_TYPES; i++)
        if (!seed_message(&p, argv[1], i))
            return 1;
    for (int i = 0; i < SEEDS_OF_OPS; i++)
        if (!seed_operations(&p, argv[1], i))
            return 1;
    return 0;
}
