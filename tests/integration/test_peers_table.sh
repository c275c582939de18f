#!/usr/bin/env bash
# The arithmetic of `make bench-peers`: its table and targets, of loads that are made up so that each
# figure can be checked by hand. The servers themselves are too much for a test.
#
#     tests/integration/test_peers_table.sh BUILD_DIR
. "$(dirname "$0")/lib.sh"

# load PARTICIPANTS CLIENTS SYSTEM ROUND TPS DECIDED P50 P99 [ABORTED]
load() {
    jq -nc --arg system "$3" --argjson n "[$1,$2,$4,$5,$6,$7,$8,${9-0}]" '{system: $system, participants: $n[0],
        clients: $n[1], round: $n[2], tps: $n[3], decided: $n[4], p50: $n[5], p99: $n[6], aborted: $n[7],
        syncs: 0.125, messages: 8, server_us: 100, client_us: 10.4}'
}

# The fields of one row, from tx/s on: row PARTICIPANTS CLIENTS SYSTEM
row() {
    awk -v p="$1" -v c="$2" -v s="$3" '$1 == p && $2 == c && $3 == s { $1 = $2 = $3 = ""; print substr($0, 4) }' "$WORK/table"
}

# target WHAT PARTICIPANTS
target() {
    grep -F "$1" "$WORK/table" | sed "s|^$1 *||" | awk -v p="$2" '$1 == p { $1 = ""; print substr($0, 2) }'
}

{
    # Medians of the rates would give 9, not 8; the faster way is another one in each round.
    load 2 64 assent-f0 1 8000 3000 3000 12000
    load 2 64 assent-f0 2 9000 2000 2000 9000
    load 2 64 assent-f0 3 10000 1000 1000 2000
    load 2 64 postgres 1 1000 5000 9000 20000 1
    load 2 64 postgres 2 1500 5000 9000 20000 2
    load 2 64 postgres 3 1000 5000 9000 20000
    load 2 64 postgres-overlap 1 900 5000 9000 20000
    load 2 64 postgres-overlap 2 1200 5000 9000 20000
    load 2 64 postgres-overlap 3 1250 5000 9000 20000
    load 2 64 assent-f1 1 2990 1000 1000 2000
    # Two rounds only, and another number of participants: nothing of it belongs to the rows above.
    load 3 64 assent-f0 1 7000 1000 1000 4000
    load 3 64 assent-f0 2 8000 1000 1000 4000
    load 3 64 mariadb 1 1000 5000 9000 20000
    load 3 64 mariadb 2 2000 5000 9000 20000
    load 2 1 assent-f0 1 1000 405 405 500
    load 2 1 postgres 1 1000 500 900 1000
    load 2 1 postgres-overlap 1 1000 800 900 1000
} >"$WORK/results"
bench/peers_table "$WORK/results" >"$WORK/table"
report $? 'the table is made' "$(cat "$WORK/table")"

is 'medians, spread, and Assent beside itself' "$(row 2 64 assent-f0)" \
    '9000 8000-10000 2 2 9 0.13 8 100 10 0 1 0.37 1'
is "ratios are medians of the rounds' own" "$(row 2 64 postgres)" \
    '1000 1000-1500 5 9 20 0.13 8 100 10 3 8 2.99 0.4'
is 'the median of two is between them; what was not measured is a dash' "$(row 3 64 mariadb)" \
    '1500 1000-2000 5 9 20 0.13 8 100 10 0 5.5 - 0.2'

is 'a target takes the faster way of each round' "$(target '64 clients, F=0, tx/s over PostgreSQL' 2)" '>= 8 8 met'
is 'a target that is just missed' "$(target '1 client, F=0, decision latency over PostgreSQL' 2)" '<= 0.8 0.81 missed'
is 'the same of F=1' "$(target '64 clients, F=1, tx/s over PostgreSQL' 2)" '>= 3 2.99 missed'
is 'p99 over p50' "$(target '64 clients, F=0, p99 over p50' 2)" '<= 4 4 met'
is 'the targets of three participants are theirs' "$(target '64 clients, F=0, tx/s over MariaDB' 3)" '>= 6 5.5 missed'
is 'a peer that was left out is not judged' "$(target '64 clients, F=0, tx/s over MariaDB' 2)" '>= 6 - not measured'
finish
