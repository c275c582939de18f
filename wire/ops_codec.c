/* Operations are [[kind, key, fields of the kind...]...], results [[op, found, truncated, key,
 * value, version]...]. A version is nil or [ts, txid, applies]. Decoded bytes stay in the source
 * blob. */
#include "wire/ops_codec.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wire/pack.h"
#include "wire/unpack.h"

/* The fullest operation is CHECK_VERSION: its array, kind, key, and the version's array of three.
 */
#define OP_VALUES_MAX 8u
/* op, found, truncated, a key of one byte, no value, no version, and the array around them */
#define RESULT_BYTES_MIN 10u

static void version_pack(struct pack *p, const struct version *version)
{
    static const struct version none;
    if (version->ts == none.ts && version->applies == none.applies &&
        txid_equal(&version->txid, &none.txid)) {
        pack_nil(p);
        return;
    }
    pack_array(p, 3);
    pack_uint(p, version->ts);
    pack_bin(p, bytes_of(version->txid.b, TXID_BYTES));
    pack_uint(p, version->applies);
}

static struct version version_unpack(struct unpack *u)
{
    struct version version = {0};
    if (unpack_nil(u))
        return version;
    struct unpack fields = unpack_array(u, 3, 3, "version");
    version.ts = unpack_uint(&fields, UINT64_MAX, "version.ts");
    struct bytes txid = unpack_bin(&fields, TXID_BYTES, TXID_BYTES, "version.txid");
    if (txid.len > 0)
        memcpy(version.txid.b, txid.data, TXID_BYTES);
    version.applies = (uint32_t)unpack_uint(&fields, UINT32_MAX, "version.applies");
    return version;
}

static void bound_pack(struct pack *p, bool has_bound, int64_t bound)
{
    if (has_bound)
        pack_int(p, bound);
    else
        pack_nil(p);
}

static int64_t bound_unpack(struct unpack *u, bool *has_bound, const char *field)
{
    *has_bound = !unpack_nil(u);
    return *has_bound ? unpack_int(u, field) : 0;
}

/* Kind and key come first; the fields after them, as op_pack writes and op_unpack reads them. */
static uint32_t op_fields(enum op_kind kind)
{
    switch (kind) {
    case OP_CHECK_EXISTS:
    case OP_CHECK_ABSENT:
    case OP_READ_KEY:
    case OP_DELETE:
        return 0;
    case OP_CHECK_VALUE:
    case OP_CHECK_VERSION:
    case OP_CHECK_AT_LEAST:
    case OP_PUT:
        return 1;
    case OP_CHECK_RANGE:
        return 2;
    case OP_READ_RANGE:
        return 3;
    case OP_ADD:
        return 4;
    }
    fprintf(stderr, "assent: ops_encode: no operation has kind %d\n", (int)kind);
    abort();
}

static void op_pack(struct pack *p, const struct op *op)
{
    pack_array(p, 2 + op_fields(op->kind));
    pack_uint(p, op->kind);
    pack_bin(p, op->key);
    switch (op->kind) {
    case OP_CHECK_EXISTS:
    case OP_CHECK_ABSENT:
    case OP_READ_KEY:
    case OP_DELETE:
        break;
    case OP_CHECK_VALUE:
    case OP_PUT:
        pack_bin(p, op->value);
        break;
    case OP_CHECK_VERSION:
        version_pack(p, &op->version);
        break;
    case OP_CHECK_AT_LEAST:
        pack_int(p, op->number);
        break;
    case OP_CHECK_RANGE:
        pack_bin(p, op->end);
        pack_uint(p, op->version.ts);
        break;
    case OP_READ_RANGE:
        pack_bin(p, op->end);
        pack_uint(p, op->limit);
        pack_bool(p, op->descending);
        break;
    case OP_ADD:
        pack_int(p, op->number);
        bound_pack(p, op->has_lower, op->lower);
        bound_pack(p, op->has_upper, op->upper);
        pack_bool(p, op->returns_value);
        break;
    }
}

static enum op_kind kind_unpack(struct unpack *u)
{
    uint64_t number = unpack_uint(u, UINT32_MAX, "kind");
    switch (number) {
#define KNOWN_CASE(name, value) case (value):
        OP_MAP(KNOWN_CASE)
#undef KNOWN_CASE
        return (enum op_kind)number;
    default:
        unpack_fail(u, ASSENT_MALFORMED, "kind", "unknown");
        return OP_CHECK_EXISTS;
    }
}

static void end_unpack(struct unpack *u, struct op *op)
{
    op->end = unpack_bin(u, 0, KEY_BYTES_MAX, "end");
    if (op->end.len > 0 && bytes_compare(op->key, op->end) >= 0)
        unpack_fail(u, ASSENT_MALFORMED, "end", "not after the range's first key");
}

static void add_unpack(struct unpack *u, struct op *op)
{
    op->number = unpack_int(u, "delta");
    op->lower = bound_unpack(u, &op->has_lower, "lower");
    op->upper = bound_unpack(u, &op->has_upper, "upper");
    op->returns_value = unpack_bool(u, "returns_value");
    if (op->has_lower && op->has_upper && op->lower > op->upper)
        unpack_fail(u, ASSENT_MALFORMED, "lower", "above the upper bound");
}

static void op_unpack(struct unpack *list, struct op *op)
{
    struct unpack u = unpack_array(list, 2, OP_VALUES_MAX, "operation");
    op->kind = kind_unpack(&u);
    op->key = unpack_bin(&u, 1, KEY_BYTES_MAX, "key");
    switch (op->kind) {
    case OP_CHECK_EXISTS:
    case OP_CHECK_ABSENT:
    case OP_READ_KEY:
    case OP_DELETE:
        break;
    case OP_CHECK_VALUE:
    case OP_PUT:
        op->value = unpack_bin(&u, 0, VALUE_BYTES_MAX, "value");
        break;
    case OP_CHECK_VERSION:
        op->version = version_unpack(&u);
        break;
    case OP_CHECK_AT_LEAST:
        op->number = unpack_int(&u, "number");
        break;
    case OP_CHECK_RANGE:
        end_unpack(&u, op);
        op->version.ts = unpack_uint(&u, UINT64_MAX, "since");
        break;
    case OP_READ_RANGE:
        end_unpack(&u, op);
        op->limit = (uint32_t)unpack_uint(&u, UINT32_MAX, "limit");
        op->descending = unpack_bool(&u, "descending");
        break;
    case OP_ADD:
        add_unpack(&u, op);
        break;
    }
    unpack_end(&u, "operation");
}

/* The blob of what was packed, or NULL when that was refused. Frees the writer. */
static struct blob *packed_blob(const struct pack *p, struct writer *w)
{
    struct blob *blob = p->refused ? NULL : blob_new(writer_view(w));
    writer_free(w);
    return blob;
}

struct blob *ops_encode(const struct op *op, uint32_t n)
{
    struct writer w = {0};
    struct pack p;
    pack_start(&p, &w, OPS_BYTES_MAX);
    pack_array(&p, n);
    p.refused |= n > OPS_MAX;
    for (uint32_t i = 0; i < n && !p.refused; i++)
        op_pack(&p, &op[i]);
    return packed_blob(&p, &w);
}

assent_status ops_decode(struct blob *source, struct ops *out, char *why, size_t why_size)
{
    struct unpack_tree tree;
    *out = (struct ops){0};
    if (blob_bytes(source).len > OPS_BYTES_MAX) {
        snprintf(why, why_size, "operations: longer than %u bytes", OPS_BYTES_MAX);
        return ASSENT_TOO_LARGE;
    }
    struct unpack list = unpack_open(&tree, blob_bytes(source), OPS_MAX);
    out->op = xcalloc(list.left, sizeof *out->op);
    while (list.left > 0 && unpack_good(&list))
        op_unpack(&list, &out->op[out->n++]);
    unpack_close(&list, "bytes");
    assent_status status = tree.fault.status;
    if (status == ASSENT_OK) {
        out->source = blob_ref(source);
    } else {
        if (out->n > 0)
            snprintf(why, why_size, "operation %u, %s: %s", out->n, tree.fault.field,
                     tree.fault.problem);
        else
            snprintf(why, why_size, "%s: %s", tree.fault.field, tree.fault.problem);
        ops_free(out);
    }
    return status;
}

void ops_free(struct ops *ops)
{
    free(ops->op);
    blob_unref(ops->source);
    *ops = (struct ops){0};
}

static void result_pack(struct pack *p, const struct result *result)
{
    pack_array(p, 6);
    pack_uint(p, result->op);
    pack_bool(p, result->found);
    pack_bool(p, result->truncated);
    pack_bin(p, result->key);
    pack_bin(p, result->value);
    version_pack(p, &result->version);
}

static void result_unpack(struct unpack *list, struct result *result)
{
    struct unpack u = unpack_array(list, 6, 6, "result");
    result->op = (uint32_t)unpack_uint(&u, OPS_MAX - 1, "op");
    result->found = unpack_bool(&u, "found");
    result->truncated = unpack_bool(&u, "truncated");
    result->key = unpack_bin(&u, 1, KEY_BYTES_MAX, "key");
    result->value = unpack_bin(&u, 0, VALUE_BYTES_MAX, "value");
    result->version = version_unpack(&u);
}

struct blob *results_encode(const struct result *result, uint32_t n)
{
    struct writer w = {0};
    struct pack p;
    pack_start(&p, &w, RESULTS_BYTES_MAX);
    pack_array(&p, n);
    for (uint32_t i = 0; i < n && !p.refused; i++)
        result_pack(&p, &result[i]);
    return packed_blob(&p, &w);
}

assent_status results_decode(struct blob *source, struct results *out)
{
    struct unpack_tree tree;
    size_t len = blob_bytes(source).len;
    *out = (struct results){0};
    if (len > RESULTS_BYTES_MAX)
        return ASSENT_TOO_LARGE;
    struct unpack list = unpack_open(&tree, blob_bytes(source), (uint32_t)len / RESULT_BYTES_MIN);
    out->result = xcalloc(list.left, sizeof *out->result);
    while (list.left > 0 && unpack_good(&list))
        result_unpack(&list, &out->result[out->n++]);
    unpack_close(&list, "bytes");
    assent_status status = tree.fault.status;
    if (status == ASSENT_OK)
        out->source = blob_ref(source);
    else
        results_free(out);
    return status;
}

void results_free(struct results *results)
{
    free(results->result);
    blob_unref(results->source);
    *results = (struct results){0};
}
