/* libFuzzer target: every parser of wire/codec and wire/ops_codec on the same bytes. Whatever
 * decodes must encode, and what that gives must decode and encode to the very same bytes.
 *
 *     clang -fsanitize=fuzzer,address ... tests/fuzz/fuzz_codec.c
 *     ./fuzz_codec corpus seeds      (tests/fuzz/seeds_codec.c writes seeds) */
#include <stdio.h>
#include <stdlib.h>

#include "wire/codec.h"
#include "wire/ops_codec.h"

#define WHY_BYTES 128

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds, const char *what)
{
    if (!holds) {
        fprintf(stderr, "fuzz_codec: %s\n", what);
        abort();
    }
}

static struct bytes body_of(const struct writer *frame)
{
    require(frame_length(frame->data) == frame->len - FRAME_HEADER_BYTES, "wrong frame length");
    return bytes_of(frame->data + FRAME_HEADER_BYTES, frame->len - FRAME_HEADER_BYTES);
}

static void fuzz_message(struct bytes body)
{
    char why[WHY_BYTES] = "";
    struct writer once = {0}, twice = {0};
    struct msg *m = codec_decode(body, why, sizeof why);
    if (m == NULL) {
        require(why[0] != '\0', "refused without a reason");
        return;
    }
    require(codec_encode(m, &once), "a decoded message does not encode");
    struct msg *back = codec_decode(body_of(&once), why, sizeof why);
    require(back != NULL, why);
    require(codec_encode(back, &twice), "a message does not encode again");
    require(bytes_equal(writer_view(&once), writer_view(&twice)), "a message changes on its way");
    writer_free(&once);
    writer_free(&twice);
    msg_unref(back);
    msg_unref(m);
}

static void fuzz_operations(struct blob *source)
{
    char why[WHY_BYTES] = "";
    struct ops ops, back;
    if (ops_decode(source, &ops, why, sizeof why) != ASSENT_OK) {
        require(why[0] != '\0' && ops.op == NULL, "refused without a reason, or not emptied");
        return;
    }
    struct blob *once = ops_encode(ops.op, ops.n);
    require(once != NULL, "decoded operations do not encode");
    require(ops_decode(once, &back, why, sizeof why) == ASSENT_OK, why);
    struct blob *twice = ops_encode(back.op, back.n);
    require(bytes_equal(blob_bytes(once), blob_bytes(twice)), "operations change on their way");
    ops_free(&ops);
    ops_free(&back);
    blob_unref(once);
    blob_unref(twice);
}

static void fuzz_results(struct blob *source)
{
    struct results results, back;
    if (results_decode(source, &results) != ASSENT_OK) {
        require(results.result == NULL, "refused and not emptied");
        return;
    }
    struct blob *once = results_encode(results.result, results.n);
    require(once != NULL, "decoded results do not encode");
    require(results_decode(once, &back) == ASSENT_OK, "encoded results do not decode");
    struct blob *twice = results_encode(back.result, back.n);
    require(bytes_equal(blob_bytes(once), blob_bytes(twice)), "results change on their way");
    results_free(&results);
    results_free(&back);
    blob_unref(once);
    blob_unref(twice);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct blob *source = blob_new(bytes_of(data, size));
    fuzz_message(bytes_of(data, size));
    fuzz_operations(source);
    fuzz_results(source);
    require(source->refs == 1, "a reference to the source was kept");
    blob_unref(source);
    return 0;
}
