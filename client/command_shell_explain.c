#include "client/command_shell.h"

#include <inttypes.h>
#include <string.h>

/* What no commit over these links can do without: the slowest participant's network, and the way
 * from the client to the leader and back. */
static uint32_t floor_us(const assent_commit_info *info, const char **slowest)
{
    uint32_t most = 0;
    for (int i = 0; i < info->parts; i++)
        if (info->part[i].network_us >= most) {
            most = info->part[i].network_us;
            *slowest = info->part[i].participant;
        }
    return most + (info->total_us - info->leader_us);
}

static void line(const char *name, uint32_t us, const char *remark)
{
    char text[COMMAND_TIME_TEXT];
    printf("%-26s %10s%s%s\n", name, command_us_text(us, text), *remark == '\0' ? "" : "   ",
           remark);
}

static void print_times(const assent_commit_info *info)
{
    const char *slowest = "";
    char remark[2 * NAME_BYTES_MAX + 64];
    uint32_t least = floor_us(info, &slowest);
    printf("leader       %s\n\n", info->coordinator == NULL ? "?" : info->coordinator);
    line("client to leader and back", info->total_us - info->leader_us, "");
    line("quorum", info->quorum_us, "last vote to decision durable");
    line("total", info->total_us, "");
    snprintf(remark, sizeof remark, "the network to %s, and client to leader", slowest);
    line("floor", least, remark);
    snprintf(remark, sizeof remark, "total is %.2f times the floor",
             least == 0 ? 1.0 : (double)info->total_us / least);
    line("above it", info->total_us > least ? info->total_us - least : 0, remark);
    printf("\n");
    command_print_parts(info);
}

void shell_explain_commit(assent_status status, const assent_commit_info *info)
{
    static const assent_txid none;
    char text[COMMAND_TIME_TEXT], txid[ASSENT_TXID_TEXT];
    bool sent = memcmp(&info->txid, &none, sizeof none) != 0;
    printf("status       %s%s%s%s\n",
           status == ASSENT_OK              ? "committed"
           : assent_maybe_committed(status) ? "unknown"
                                            : "not committed",
           status == ASSENT_OK ? "" : " (", status == ASSENT_OK ? "" : assent_status_name(status),
           status == ASSENT_OK ? "" : ")");
    if (sent)
        printf("txid         %s\n", assent_txid_text(&info->txid, txid));
    if (status == ASSENT_OK)
        printf("timestamp    %" PRIu64 " (%s)\n", info->commit_ts,
               command_time_text(info->commit_ts, text));
    if (info->parts > 0)
        print_times(info);
    else if (!sent)
        printf("It only read: nothing was sent.\n");
    else
        printf("total        %s\nWhere the time went is not known: no participant's vote came "
               "back.\n",
               command_us_text(info->total_us, text));
}

void shell_explain_read(const assent_read_info *info)
{
    char time[COMMAND_TIME_TEXT], age[COMMAND_TIME_TEXT];
    printf("read at      %s\n", info->participant);
    printf("as of        %" PRIu64 " (%s)\n", info->ts, command_time_text(info->ts, time));
    if (info->age_known)
        printf("age          at most %s\n", command_us_text(info->age_us, age));
}
