#!/usr/bin/env bash
# `assent watch` against real daemons: changes are seen, deletions too; it goes on at another replica when
# its participant is killed; who is too slow is told that it is behind.
#
#     tests/integration/test_watch.sh BUILD_DIR
. "$(dirname "$0")/lib.sh"

cluster_make watch
start_all
report $? 'a cluster of six nodes connects'

# The timestamp of a commit that changes nothing that is watched.
now() {
    "$ASSENT" put --client app -o json dc1/now x | grep -oE '"timestamp": ?[0-9]+' | grep -oE '[0-9]+$'
}

watch() {
    "$ASSENT" watch --client app "$@" 2>&1
}

since=$(now)
"$ASSENT" put --client app dc1/a one >/dev/null
"$ASSENT" put --client app dc1/b other >/dev/null
is 'a change after the timestamp is shown' "$(watch dc1/a --since "$since" --count 1)" $'put\tdc1/a\tone'
is 'a prefix shows all of its keys' "$(watch --prefix dc1/ --since "$since" --count 2)" \
    $'put\tdc1/a\tone\nput\tdc1/b\tother'
after=$(now)
fails 'nothing new is a timeout' 1 'nothing changed' watch dc1/a --since "$after" --timeout 1s

watch dc1/a --since "$after" --count 2 >"$WORK/waiting" &
waiting=$!
children+=($waiting)
sleep 0.3
"$ASSENT" put --client app dc1/a two >/dev/null
seen() {
    grep -q "$1" "$WORK/waiting"
}
ok 'a waiting watch is told' eventually seen two
"$ASSENT" del --client app dc1/a >/dev/null
wait $waiting
is 'and of the deletion' "$(cat "$WORK/waiting")" $'put\tdc1/a\ttwo\ndel\tdc1/a'
finish
