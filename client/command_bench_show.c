#include "client/command_bench.h"

#include <inttypes.h>
#include <string.h>

void bench_count(struct bench_result *r, assent_status status, const assent_commit_info *info)
{
    r->status[(unsigned)status < BENCH_STATUSES ? status : ASSENT_UNKNOWN]++;
    if (status != ASSENT_OK)
        return;
    histogram_add(&r->committed, info->total_us);
    r->leader_us += info->leader_us;
    r->quorum_us += info->quorum_us;
    for (int i = 0; i < info->parts; i++) {
        for (int j = 0; j < r->parts; j++) {
            struct bench_part *part = &r->part[j];
            if (strcmp(part->name, info->part[i].participant) != 0)
                continue;
            part->n++;
            part->network_us += info->part[i].network_us;
            part->lock_wait_us += info->part[i].lock_wait_us;
            part->sync_us += info->part[i].sync_us;
        }
    }
}

static double mean(uint64_t sum, uint64_t n)
{
    return n == 0 ? 0 : (double)sum / (double)n;
}

static uint64_t failed(const struct bench_result *r)
{
    uint64_t n = 0;
    for (int i = 1; i < BENCH_STATUSES; i++)
        n += r->status[i];
    return n;
}

static void show_json(const struct bench_config *config, const struct bench_result *r)
{
    const struct histogram *h = &r->committed;
    json_t *json = json_object(), *statuses = json_object(), *parts = json_array();
    json_object_set_new(json, "clients", json_integer(config->clients));
    json_object_set_new(json, "seconds", json_real(r->seconds));
    json_object_set_new(json, "keys", json_integer(config->keys));
    json_object_set_new(json, "zipf", json_real(config->zipf));
    json_object_set_new(json, "participants_each", json_integer(config->participants));
    json_object_set_new(json, "value_size", json_integer(config->value_size));
    json_object_set_new(json, "read_percent", json_integer(config->read_percent));
    json_object_set_new(json, "operation", json_string(config->adds ? "add" : "put"));
    json_object_set_new(json, "committed", json_integer((json_int_t)h->n));
    json_object_set_new(json, "committed_per_s", json_real((double)h->n / r->seconds));
    for (int i = 1; i < BENCH_STATUSES; i++)
        if (r->status[i] > 0)
            json_object_set_new(statuses, assent_status_name((assent_status)i),
                                json_integer((json_int_t)r->status[i]));
    json_object_set_new(json, "not_committed", statuses);
    json_object_set_new(json, "latency_us",
                        json_pack("{s:f, s:I, s:I, s:I, s:I}", "mean", histogram_mean(h), "p50",
                                  (json_int_t)histogram_percentile(h, 50), "p95",
                                  (json_int_t)histogram_percentile(h, 95), "p99",
                                  (json_int_t)histogram_percentile(h, 99), "max",
                                  (json_int_t)h->max));
    json_object_set_new(json, "leader_us_mean", json_real(mean(r->leader_us, h->n)));
    json_object_set_new(json, "quorum_us_mean", json_real(mean(r->quorum_us, h->n)));
    for (int i = 0; i < r->parts; i++) {
        const struct bench_part *p = &r->part[i];
        json_array_append_new(parts, json_pack("{s:s, s:f, s:f, s:f}", "participant", p->name,
                                               "network_us_mean", mean(p->network_us, p->n),
                                               "lock_wait_us_mean", mean(p->lock_wait_us, p->n),
                                               "sync_us_mean", mean(p->sync_us, p->n)));
    }
    json_object_set_new(json, "participants", parts);
    json_object_set_new(json, "syncs_per_transaction",
                        r->has_syncs ? json_real(mean(r->syncs, r->committed_all)) : json_null());
    command_json_print(json);
}

static void show_latency(const struct histogram *h)
{
    char a[COMMAND_TIME_TEXT], b[COMMAND_TIME_TEXT], c[COMMAND_TIME_TEXT], d[COMMAND_TIME_TEXT],
        e[COMMAND_TIME_TEXT];
    printf("latency        p50 %s, p95 %s, p99 %s, max %s, mean %s\n",
           command_us_text(histogram_percentile(h, 50), a),
           command_us_text(histogram_percentile(h, 95), b),
           command_us_text(histogram_percentile(h, 99), c), command_us_text(h->max, d),
           command_us_text(histogram_mean(h), e));
}

static void show_parts(const struct bench_result *r)
{
    char a[COMMAND_TIME_TEXT], b[COMMAND_TIME_TEXT], c[COMMAND_TIME_TEXT];
    printf("at the leader  %s, of that from the last vote to the decision %s\n",
           command_us_text(mean(r->leader_us, r->committed.n), a),
           command_us_text(mean(r->quorum_us, r->committed.n), b));
    printf("\n%-16s %10s %10s %10s   (means)\n", "participant", "network", "lock wait", "sync");
    for (int i = 0; i < r->parts; i++) {
        const struct bench_part *p = &r->part[i];
        printf("%-16s %10s %10s %10s\n", p->name, command_us_text(mean(p->network_us, p->n), a),
               command_us_text(mean(p->lock_wait_us, p->n), b),
               command_us_text(mean(p->sync_us, p->n), c));
    }
}

static void show_table(const struct bench_config *config, const struct bench_result *r)
{
    const struct histogram *h = &r->committed;
    const char *separator = ": ";
    printf("load           %" PRId64 " clients for %.1f s, %s at %" PRId64
           " of %d participant%s, %" PRId64 " keys each, zipf %g, %" PRId64 " %% only read\n",
           config->clients, r->seconds, config->adds ? "adds" : "puts", config->participants,
           r->parts, r->parts == 1 ? "" : "s", config->keys, config->zipf, config->read_percent);
    printf("committed      %" PRIu64 " (%.1f/s)\n", h->n, (double)h->n / r->seconds);
    printf("not committed  %" PRIu64, failed(r));
    for (int i = 1; i < BENCH_STATUSES; i++) {
        if (r->status[i] == 0)
            continue;
        printf("%s%s %" PRIu64, separator, assent_status_name((assent_status)i), r->status[i]);
        separator = ", ";
    }
    printf("\n");
    if (h->n > 0)
        show_latency(h);
    if (r->has_syncs)
        printf("syncs          %.2f per committed transaction, all nodes together\n",
               mean(r->syncs, r->committed_all));
    if (h->n > 0)
        show_parts(r);
}

void bench_show(const struct bench_config *config, const struct bench_result *r,
                enum command_output output)
{
    (output == OUTPUT_JSON ? show_json : show_table)(config, r);
}
