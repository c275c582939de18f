#!/usr/bin/env bash
# Interactive transactions: each anomaly that they must not have, with the library and real daemons.
#
#     tests/integration/test_interactive.sh BUILD_DIR
. "$(dirname "$0")/lib.sh"

build_program interactive

cluster_make local
start_all
report $? 'a cluster starts'

# that SENTENCE TEST
that() {
    ok "$1" "$WORK/interactive" "$ASSENT_CLUSTER" "$2"
}

that 'no update is lost' lost_update
that 'no read skew: all reads are of one instant' read_skew
that 'no dirty read' dirty_read
that 'no write skew' write_skew
that 'no phantoms' phantoms
that 'a range that was cut is checked as far as it was seen' cut_ranges
that 'no long fork' long_fork
that 'savepoints take back writes, not what was seen' savepoints
that 'a strict reader has seen the newest, any other commits at its snapshot' strict_reads
that 'the past can be read' past_snapshots
that 'the same with callbacks' callbacks
that 'assent_run repeats what had read something that changed: no increment is lost' run_retries_changed_reads

for node in "${nodes[@]}"; do
    [ "${role[$node]}" = participant ] || kill9 "$node"
done
that 'what only read commits without a coordinator' only_reading_sends_nothing

stop_all
report $? 'the participants stop cleanly'

cluster_make short
sed -i 's/retention: .*/retention: 2s/; s/txid-skew: .*/txid-skew: 500ms/' "$cluster/cluster.yaml"
grep -q 'retention: 2s' "$cluster/cluster.yaml" && grep -q 'txid-skew: 500ms' "$cluster/cluster.yaml"
report $? 'a cluster that forgets after two seconds'
start_all
report $? 'it starts'
that 'a snapshot that is no longer kept says so, to reads and commits' expired_snapshot
that 'assent_run begins again with a new one, unless the program chose it' run_retries_pruned_snapshots

stop_all
report $? 'every node stops cleanly'

cluster_make apart
perl -e 'print pack("q", 800000)' >"$WORK/clock"
for node in "${nodes[@]}"; do
    [ "$node" = dc2-p ] && start "$node" ASSENT_TEST_CLOCK="$WORK/clock" || start "$node"
done
connected
report $? 'a cluster with a clock that is ahead by 800 ms starts'
that 'what it writes all the time is read and committed upon all the same' clocks_apart
stop_all
report $? 'every node of it stops cleanly'
finish
