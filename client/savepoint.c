/* Savepoints: places in a transaction's list of operations. What was seen stays, whatever is rolled
 * back: the program has seen it. */
#include <stdlib.h>
#include <string.h>

#include "client/error.h"
#include "client/list.h"
#include "client/txn.h"

/* ---- dropping operations ---- */

#define DROPPED UINT32_MAX

/* The part's operations under their new numbers; what is kept stays with the replica that has it,
 * so that no limit can be passed. */
static void part_renumber(struct txn_part *part, const struct txn_op *op, const uint32_t *number)
{
    uint32_t kept = 0;
    part->writes = false;
    part->size = 0;
    for (uint32_t k = 0; k < part->n; k++) {
        uint32_t at = number[part->op[k]];
        if (at == DROPPED)
            continue;
        part->op[kept++] = at;
        part->size += op[at].size;
        part->writes |= op_is_write(op[at].op.kind);
    }
    part->n = kept;
}

static void parts_renumber(assent_txn *t, const uint32_t *number)
{
    int kept = 0;
    t->size = 0;
    for (int i = 0; i < t->parts; i++) {
        struct txn_part *part = &t->part[i];
        part_renumber(part, t->op, number);
        t->size += part->size;
        if (part->n == 0)
            free(part->op);
        else
            t->part[kept++] = *part;
    }
    t->parts = kept;
}

/* Drops the operations from number `from` on that were not seen; all: those, too. */
static void drop_from(assent_txn *t, uint32_t from, bool all)
{
    uint32_t kept = 0, *number = xcalloc(t->n, sizeof *number);
    for (uint32_t i = 0; i < t->n; i++) {
        bool keep = i < from || (t->op[i].seen && !all);
        number[i] = keep ? kept : DROPPED;
        if (keep)
            t->op[kept++] = t->op[i];
        else
            free(t->op[i].data);
    }
    t->n = kept;
    parts_renumber(t, number);
    free(number);
}

/* ---- names ---- */

/* Whether the transaction may still be changed, and the name be one. */
static assent_status check_use(const assent_txn *t, const char *name)
{
    assent_status status = txn_check_open(t);
    if (status != ASSENT_OK)
        return status;
    size_t len = name == NULL ? 0 : strnlen(name, SAVEPOINT_NAME_BYTES_MAX + 1);
    if (len == 0 || len > SAVEPOINT_NAME_BYTES_MAX)
        return error_set(ASSENT_INVALID, "a savepoint's name has 1 to %u bytes, not %s%zu",
                         SAVEPOINT_NAME_BYTES_MAX, len > SAVEPOINT_NAME_BYTES_MAX ? "over " : "",
                         len > SAVEPOINT_NAME_BYTES_MAX ? len - 1 : len);
    return ASSENT_OK;
}

/* Its number, or t->savepoints: there is none of that name. */
static uint32_t savepoint_find(const assent_txn *t, const char *name)
{
    uint32_t i = 0;
    while (i < t->savepoints && strcmp(t->savepoint[i].name, name) != 0)
        i++;
    return i;
}

assent_status assent_savepoint(assent_txn *t, const char *name)
{
    assent_status status = check_use(t, name);
    if (status != ASSENT_OK)
        return status;
    uint32_t old = savepoint_find(t, name);
    if (old == t->savepoints && t->savepoints == SAVEPOINTS_MAX)
        return error_set(ASSENT_TOO_LARGE,
                         "the transaction has %u savepoints already: use a name "
                         "again, or one that it has",
                         SAVEPOINTS_MAX);
    if (old < t->savepoints) {
        t->savepoints--;
        memmove(&t->savepoint[old], &t->savepoint[old + 1],
                (t->savepoints - old) * sizeof *t->savepoint);
    }
    t->savepoint = xrealloc(t->savepoint, (t->savepoints + 1) * sizeof *t->savepoint);
    struct savepoint *s = &t->savepoint[t->savepoints++];
    *s = (struct savepoint){.n = t->n};
    memcpy(s->name, name, strlen(name));
    return ASSENT_OK;
}

assent_status assent_rollback_to(assent_txn *t, const char *name)
{
    assent_status status = check_use(t, name);
    if (status != ASSENT_OK)
        return status;
    uint32_t i = savepoint_find(t, name);
    if (i == t->savepoints)
        return error_set(ASSENT_NOT_FOUND, "the transaction has no savepoint \"%s\"", name);
    drop_from(t, t->savepoint[i].n, false);
    t->savepoints = i + 1;
    return ASSENT_OK;
}

assent_status assent_rollback(assent_txn *t)
{
    if (t == NULL)
        return error_set(ASSENT_INVALID, "no transaction: the argument is NULL");
    if (t->sent)
        return error_set(ASSENT_SEALED, "the transaction was committed before: it cannot be rolled "
                                        "back");
    if (t->looking > 0)
        return error_set(ASSENT_INVALID, "a read of the transaction is under way: wait for it");
    drop_from(t, 0, true);
    for (int i = 0; i < PARTICIPANTS_MAX; i++) {
        blob_unref(t->encoded[i]);
        t->encoded[i] = NULL;
    }
    t->participants = (struct participants){0};
    t->txid = (struct txid){0};
    t->sealed = t->strict = t->chosen = false;
    t->savepoints = 0;
    t->snapshot = 0;
    return ASSENT_OK;
}
