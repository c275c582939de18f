#!/usr/bin/env bash
# `assent watch` against real daemons: changes are seen, deletions too; it goes on at another replica when
# its participant is killed, and where only one holds the keys at this one; who is too slow is told that
# it is behind; watches are bounded, and need a grant.
#
#     tests/integration/test_watch.sh BUILD_DIR
. "$(dirname "$0")/lib.sh"

cluster_make watch
"$ASSENT" init "$WORK/other" >/dev/null
public=$(sed -n '/^clients:/,/^placement:/s/^      - \("[0-9a-f]*"\)/\1/p' "$WORK/other/cluster.yaml")
sed -i "s|^clients:|&\n  - name: clerk\n    keys: [$public]\n    grants:\n      - {prefix: \"dc2/\", rights: [read]}|" \
    "$cluster/cluster.yaml"
cp "$WORK/other/app.key" "$cluster/clerk.key"
start_all
report $? 'a cluster of six nodes connects'

put() {
    "$ASSENT" put --client app "$@" >/dev/null
}

# The timestamp of a commit of its own: put_at KEY VALUE
put_at() {
    "$ASSENT" put --client app -o json "$@" | grep -oE '"timestamp": ?[0-9]+' | grep -oE '[0-9]+$'
}

watch() {
    "$ASSENT" watch --client app "$@" 2>&1
}

# In the background, its lines in $WORK/lines: watching ARGUMENTS...
watching() {
    "$ASSENT" watch --client app "$@" >"$WORK/lines" 2>&1 &
    watcher=$!
}

shown() {
    grep -q -- "$1" "$WORK/lines"
}

position() {
    sed -n 's/^position\t//p' "$WORK/lines" | tail -1
}

# ---- changes ----

since=$(put_at dc1/start x)
put dc1/a one
put dc1/b other
is 'a change after the timestamp is shown' "$(watch dc1/a --since "$since" --count 1)" $'put\tdc1/a\tone'
is 'a prefix shows all of its keys' "$(watch --prefix dc1/ --since "$since" --count 2)" \
    $'put\tdc1/a\tone\nput\tdc1/b\tother'
after=$(put_at dc1/start y)
fails 'nothing new is a timeout' 1 'nothing changed' watch dc1/a --since "$after" --timeout 1s
watching dc1/a --since "$after" --count 2
sleep 0.3 # so that it waits; a correct one passes without
put dc1/a two
ok 'a waiting watch is told' eventually shown $'put\tdc1/a\ttwo'
"$ASSENT" del --client app dc1/a >/dev/null
wait $watcher
is 'and of the deletion' "$(cat "$WORK/lines")" $'put\tdc1/a\ttwo\ndel\tdc1/a'
watching --prefix dc1/n --positions --count 1
ok 'a watch from now on has a position' eventually shown position
"$ASSENT" add --client app dc1/n 5 >/dev/null
wait $watcher
like 'and is told of an add' "$(cat "$WORK/lines")" $'put\tdc1/n\t5'
fails 'a range must lie in one placement' 1 'placed alike|placement' watch --prefix dc
fails 'a watch is of a key or of a prefix' 64 'not both' watch dc1/a --prefix dc1/

# ---- faults ----

since=$(put_at all/start x) # all three participants hold this
watching --prefix all/ --since "$since" --positions --dc dc1
put all/a one
ok 'a replicated key is watched' eventually shown $'put\tall/a\tone'
kill9 dc1-p
start dc1-p
put_again() {
    put all/a two
}
ok 'the cluster commits again' eventually put_again
ok 'the watch goes on over the kill of its participant' eventually shown $'put\tall/a\ttwo'
at=$(position)
kill $watcher
wait $watcher 2>/dev/null
is 'after a restart it is told what was before, from the tables' \
    "$(watch all/a --since "$since" --at dc1-p --count 1 --timeout 5s)" $'put\tall/a\ttwo'
is 'another replica has it, too' "$(watch all/a --since "$since" --count 1)" $'put\tall/a\ttwo'
since=$(put_at dc1/alone one)
watching --prefix dc1/al --since "$since" --dc dc1
kill9 dc1-p
start dc1-p
put_alone() {
    put dc1/alone two
}
ok 'a key of one participant is written after its kill' eventually put_alone
ok 'and its watch goes on' eventually shown $'put\tdc1/alone\ttwo'
kill $watcher
wait $watcher 2>/dev/null
put all/a three
is 'a watch goes on where another stopped' "$(watch all/a --since "$at" --count 1 --timeout 20s)" \
    $'put\tall/a\tthree'

# ---- bounds and rights ----

build_program watches
# Towards the end, one that is refused may find room that another has left.
bounded() {
    [[ $("$WORK/watches" "$ASSENT_CLUSTER" dc1/nothing 300) =~ ^([0-9]+)\ timed\ out,\ ([0-9]+)\ overloaded ]] &&
        [ "${BASH_REMATCH[1]}" -ge 256 ] && [ "${BASH_REMATCH[2]}" -ge 20 ] &&
        [ $((BASH_REMATCH[1] + BASH_REMATCH[2])) = 300 ]
}
ok 'of 300 watches on one connection 256 wait, the others are refused' bounded
ok 'and the participant goes on' put dc1/after x
since=$(put_at dc1/start z)
slow_load() { # more changes than a participant keeps
    local i
    seq -f 'k%05.0f,v' 0 67999 >"$WORK/rows.csv"
    sed -i '1i key,value' "$WORK/rows.csv"
    "$ASSENT" load --client app --prefix dc1/load/ --value value "$WORK/rows.csv"
}
ok 'many keys are loaded' slow_load
fails 'who is too slow is behind' 3 'BEHIND' watch --prefix dc1/load/ --since "$since" --timeout 5s
fails 'unless its own keys are few' 1 'nothing changed' watch dc1/a --since "$since" --timeout 1s
fails 'without a grant there is nothing to watch' 1 'DENIED' \
    "$ASSENT" watch --client clerk dc1/a --since "$since" --timeout 5s
fails 'with one there is' 1 'nothing changed' \
    "$ASSENT" watch --client clerk dc2/a --since "$since" --timeout 1s
finish
