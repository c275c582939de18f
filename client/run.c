/* assent_run(): attempts in the calling thread, one deadline over all. */
#include "client/blocking.h"
#include "client/clock.h"
#include "client/interactive.h"
#include "client/retry.h"
#include "wire/random.h"

static uint32_t left_ms(uint64_t deadline_us)
{
    uint64_t now_us = clock_now_us();
    return now_us >= deadline_us ? 0 : (uint32_t)((deadline_us - now_us + 999) / 1000);
}

/* What it read is not kept any more. The next attempt has a new snapshot, if it is not the program
 * that chooses it. */
static bool is_outlived(const assent_txn *t, assent_status status)
{
    return status == ASSENT_PRUNED && t->snapshot != 0 && !t->chosen;
}

/* One attempt; *again: another may end better. The statuses of build() are the program's own. */
static assent_status run_once(assent *db, assent_build build, void *arg, uint64_t priority_ms,
                              uint64_t deadline_us, bool *again, assent_commit_info *info)
{
    assent_txn *t = assent_txn_new(db);
    t->priority_ms = priority_ms;
    assent_status status = build(t, arg);
    bool built = status == ASSENT_OK;
    uint32_t left = left_ms(deadline_us);
    if (built && left == 0)
        status = error_set(ASSENT_NOT_SENT, "the time was over before the transaction was built: "
                                            "nothing was sent");
    else if (built)
        status = assent_commit_within(t, left, info);
    left = left_ms(deadline_us);
    if (built && status == ASSENT_CHANGED && left > 0)
        interactive_hear(t, left);
    *again = (built && assent_retryable(status)) || is_outlived(t, status);
    assent_txn_free(t);
    return status;
}

static assent_status run_all(assent *db, assent_build build, void *arg, uint32_t timeout_ms,
                             assent_commit_info *info)
{
    uint64_t ms = timeout_ms == 0 ? db->timeout_ms : timeout_ms;
    uint64_t priority_ms = clock_wall_ms(), began_us = clock_now_us(), wait_us;
    struct retry retry = {.deadline_us = began_us + ms * 1000};
    assent_status status;
    bool again;
    prng_seed(&retry.prng, random_bits());
    for (;;) {
        status = run_once(db, build, arg, priority_ms, retry.deadline_us, &again, info);
        if (!again || !retry_again(&retry, clock_now_us(), &wait_us))
            break;
        if (!blocking_sleep(db, wait_us)) {
            status = error_set(ASSENT_CLOSED, "the handle was closed before the next attempt");
            break;
        }
    }
    if (info != NULL)
        info->total_us = (uint32_t)(clock_now_us() - began_us);
    return status;
}

assent_status assent_run(assent *db, assent_build build, void *arg, uint32_t timeout_ms,
                         assent_commit_info *info)
{
    if (info != NULL)
        *info = (assent_commit_info){0};
    if (build == NULL)
        return error_set(ASSENT_INVALID, "no function that builds the transaction: NULL");
    assent_status status = blocking_enter(db);
    if (status != ASSENT_OK)
        return status;
    status = run_all(db, build, arg, timeout_ms, info);
    blocking_leave(db);
    return status;
}
