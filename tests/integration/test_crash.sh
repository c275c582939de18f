#!/usr/bin/env bash
# kill -9 at every step of the protocol: one node dies there in the middle of a transaction, comes
# back, and whatever the client was told is what every participant has done.
#
#     tests/integration/test_crash.sh BUILD_DIR
#
# Clusters with one coordinator (F=0) and with three (F=1) side by side, the cases one after the
# other on each: a case restarts only the nodes that it is about.
. "$(dirname "$0")/lib.sh"

# One case a line:
#   KIND EXPECTED NODE POINT [NODE POINT]
# KIND      commit    writes at three participants
#           abort     the same, with a check that fails at dc2-p
#           single    a write at dc2-p only
# EXPECTED  committed, aborted, or any, where it depends on what was under way
# POINT     as of runtime/crashpoint.h. A second point of the same node is for its next start. A node
#           with a ? may survive: whether it comes by there is a matter of timing
#
# dc1-c leads. A comment names the step that the lines after it break.
cases_both='
# the vote
commit any       dc2-p before-store:PREPARED
commit any       dc2-p after-store:PREPARED
commit any       dc2-p before-send:VOTE
commit any       dc2-p after-send:VOTE
abort  aborted   dc2-p before-send:VOTE
abort  aborted   dc2-p after-send:VOTE
abort  aborted   dc1-p after-store:PREPARED
# the prepare
commit aborted   dc1-c before-send:PREPARE
commit any       dc1-c after-send:PREPARE:1
commit any       dc1-c before-send:PREPARE:3
commit any       dc1-c after-send:PREPARE:3
abort  aborted   dc1-c after-send:PREPARE:3
# the decision
commit any       dc1-c before-store:ACCEPT
commit committed dc1-c after-store:ACCEPT
commit committed dc1-c before-send:RESULT
commit committed dc1-c after-send:RESULT
abort  aborted   dc1-c before-send:RESULT
abort  aborted   dc1-c after-send:RESULT
commit committed dc1-c before-send:DECIDE:1
commit committed dc1-c after-send:DECIDE:1
commit committed dc1-c before-send:DECIDE:3
commit committed dc1-c after-send:DECIDE:3
abort  aborted   dc1-c before-send:DECIDE:1
abort  aborted   dc1-c after-send:DECIDE:1
abort  aborted   dc1-c after-send:DECIDE:3
# applying it
commit committed dc2-p before-store:COMMITTED
commit committed dc2-p after-store:COMMITTED
commit committed dc2-p before-send:DECIDED
commit committed dc2-p after-send:DECIDED
abort  aborted   dc1-p before-store:ABORTED
abort  aborted   dc1-p after-store:ABORTED
abort  aborted   dc1-p before-send:DECIDED
abort  aborted   dc1-p after-send:DECIDED
# forgetting it
commit committed dc1-c before-store:FINISHED
commit committed dc1-c after-store:FINISHED
abort  aborted   dc1-c before-store:FINISHED?
abort  aborted   dc1-c after-store:FINISHED?
# one participant, one phase
single any       dc2-p before-store:APPLIED
single committed dc2-p after-store:APPLIED
single committed dc2-p before-send:VOTE
single committed dc2-p after-send:VOTE
single any       dc1-c after-send:PREPARE
single committed dc1-c before-send:RESULT
single committed dc1-c after-send:RESULT
# two nodes
commit committed dc1-c after-send:DECIDE:1 dc3-p before-store:COMMITTED
commit any       dc2-p after-store:PREPARED dc1-c before-store:ACCEPT?
commit any       dc2-p before-send:VOTE     dc3-p before-send:VOTE
'
cases_0='
# recovery from its own record
abort  aborted   dc1-c before-send:DECIDE:1 dc1-c before-store:PROMISE
abort  aborted   dc1-c before-send:DECIDE:1 dc1-c after-store:PROMISE
commit any       dc1-c before-store:ACCEPT  dc1-c before-store:ACCEPT
commit committed dc1-c after-store:ACCEPT   dc1-c before-send:DECIDE:1
commit committed dc1-c after-store:ACCEPT   dc1-c after-send:DECIDE:2
commit committed dc1-c after-store:ACCEPT   dc1-c before-store:FINISHED
'
cases_1='
# another acceptor
commit any       dc2-c before-store:ACCEPT
commit any       dc2-c after-store:ACCEPT
commit any       dc2-c before-send:ACCEPTED
commit any       dc2-c after-send:ACCEPTED
abort  aborted   dc2-c after-store:ACCEPT?
commit committed dc2-c before-store:FINISHED
commit committed dc2-c after-store:FINISHED
# recovery by the others; dc1-c dies with every vote on its way or in
commit any       dc1-c before-store:ACCEPT dc2-c before-store:PROMISE
commit any       dc1-c before-store:ACCEPT dc2-c after-store:PROMISE
commit any       dc1-c before-store:ACCEPT dc3-c before-store:PROMISE
commit any       dc1-c before-store:ACCEPT dc3-c after-store:PROMISE
commit any       dc1-c before-store:ACCEPT dc2-c before-send:PROMISE_ASK?
commit any       dc1-c before-store:ACCEPT dc2-c after-send:PROMISE_ASK?
commit any       dc1-c before-store:ACCEPT dc3-c before-send:PROMISE?
commit any       dc1-c before-store:ACCEPT dc3-c after-send:PROMISE?
commit any       dc1-c before-store:ACCEPT dc2-c before-send:PROPOSE?
commit any       dc1-c before-store:ACCEPT dc2-c after-send:PROPOSE?
commit any       dc1-c before-store:ACCEPT dc3-c before-store:ACCEPT:2?
commit any       dc1-c before-store:ACCEPT dc3-c after-store:ACCEPT:2?
commit any       dc1-c before-store:ACCEPT dc2-c before-send:DECIDE?
commit any       dc1-c before-store:ACCEPT dc2-c after-send:DECIDE?
abort  aborted   dc1-c before-send:DECIDE:1 dc2-c before-store:PROMISE
abort  aborted   dc1-c before-send:DECIDE:1 dc2-c after-store:PROMISE
abort  aborted   dc1-c before-send:DECIDE:1 dc3-c after-store:ACCEPT?
commit committed dc1-c before-send:RESULT   dc2-c after-store:PROMISE
commit committed dc1-c before-send:RESULT   dc2-p before-store:COMMITTED
commit committed dc1-c before-send:RESULT   dc2-p before-send:DECIDED
'

# ---- one worker: one cluster, every PARTS-th case ----

# Whether the node has died at its point, or, where it may pass by it, the transaction is over.
died_or_over() {
    dead "$1" || { [[ ${point_of[$1]} = *\? ]] && ! kill -0 "$client" 2>/dev/null && all_settled but_records; }
}

participants_settled() {
    ! status_lines | grep -E '"reachable":true' | grep -qE '"(in_doubt|preparing|deciding)":[1-9]'
}

# restart NODE [POINT]
restart() {
    kill9 "$1"
    point_of[$1]=${2-}
    start "$1" ${2:+ASSENT_CRASH_AT="${2%\?}"}
}

# Takes the point from a node: it comes back without, or again without.
disarm() {
    [ -z "${point_of[$1]}" ] && alive "$1" || restart "$1"
}

# Whether the keys of a case are at every participant, or at none.
keys_are() {
    local outcome=$1 want=- key
    [ "$outcome" = committed ] && want=$2
    shift 2
    for key in "$@"; do
        local got
        got=$(value_of "$key")
        [ "$got" = "$want" ] || { echo "$key is '$got', and should be '$want'"; return 1; }
    done
}

run_case() {
    local number=$1 kind=$2 expected=$3 node=$4 point=$5 node2=${6-} point2=${7-}
    local value=v$number keys="dc1/k$number dc2/k$number dc3/k$number" ops now wrong=
    case $kind in
    commit) ops="put dc1/k$number $value , put dc2/k$number $value , put dc3/k$number $value" ;;
    abort) ops="put dc1/k$number $value , put dc2/k$number $value , exists dc2/none , put dc3/k$number $value" ;;
    single) ops="put dc2/k$number $value" keys="dc2/k$number" ;;
    esac
    restart "$node" "$point"
    [ -n "$node2" ] && [ "$node2" != "$node" ] && restart "$node2" "$point2"
    connected || wrong+="the nodes do not find each other; "

    "$ASSENT" txn --once --dc dc1 --timeout 30s -o json $ops >"$WORK/client" 2>&1 &
    client=$!
    eventually died_or_over "$node"
    alive "$node" && [[ $point != *\? ]] && wrong+="$node did not come by $point; "
    if [ "$node2" = "$node" ]; then
        restart "$node" "$point2"
        eventually died_or_over "$node"
        alive "$node" && wrong+="$node did not come by $point2; "
    elif [ -n "$node2" ]; then
        [ "$coordinators" = 1 ] && disarm "$node"
        dead "$node" && reap "$node"
        eventually died_or_over "$node2"
        alive "$node2" && [[ $point2 != *\? ]] && wrong+="$node2 did not come by $point2; "
    elif [ "$coordinators" = 3 ] && dead "$node" && [ "${role[$node]}" = coordinator ]; then
        reap "$node"
        eventually participants_settled || wrong+="a participant stays in doubt while $node is down; "
    fi
    for now in $node $node2; do
        disarm "$now"
    done
    connected || wrong+="the nodes do not find each other again; "
    wait "$client"
    txn_read "$(cat "$WORK/client")"
    settled || wrong+="something stays open; "

    now=$(outcome_of "$txid")
    echo "$txid $answer" >>"$WORK/told"
    [ "$answer" != none ] && [ -n "$txid" ] || wrong+="the client said: $(cat "$WORK/client"); "
    case $answer/$now in
    committed/committed | aborted/aborted | unknown/committed | unknown/aborted) ;;
    *) wrong+="the client was told $answer, the outcome is $now; " ;;
    esac
    [ "$expected" = any ] || [ "$expected" = "$now" ] || wrong+="the outcome is $now, not $expected; "
    wrong+=$(keys_are "$now" "$value" $keys)
    report $((${#wrong} > 0)) "F=$(((coordinators - 1) / 2)), $kind: $node dies $point${node2:+, then $node2 $point2}: $now, the client was told $answer" "$wrong"
}

declare -A point_of=()

worker() {
    local line number=0 cases
    coordinators=$1
    cases=$cases_both$([ "$coordinators" = 1 ] && echo "$cases_0" || echo "$cases_1")
    cluster_make "f$coordinators" --coordinators "$coordinators"
    start_all || report 1 'the cluster starts'
    : >"$WORK/told"
    while read -r line; do
        [[ $line =~ ^[a-z] ]] || continue
        number=$((number + 1))
        [ $((number % $3)) = "$2" ] || continue
        [[ $line =~ ${ONLY-} ]] || continue
        run_case $number $line
    done <<<"$cases"
    stop_all
    report $? "F=$(((coordinators - 1) / 2)): after all that every node stops cleanly"
    ok "F=$(((coordinators - 1) / 2)): no transaction has two outcomes on any disk, none is open" atomic "$WORK/told"
    finish
}

if [ "${2-}" = worker ]; then
    worker "$3" "$4" "$5"
fi

# ---- all workers ----

parts=${PARTS:-2}
for ((part = 0; part < parts; part++)); do
    for coordinators in 1 3; do
        bash "$0" "$1" worker $coordinators $part "$parts" >"$WORK/worker.$coordinators.$part" 2>&1 &
        children+=($!)
    done
done
for child in "${children[@]}"; do wait "$child"; done
children=()
for output in "$WORK"/worker.*; do
    while IFS= read -r line; do
        case $line in
        'ok '*) report 0 "${line#ok * - }" ;;
        'not ok '*) report 1 "${line#not ok * - }" ;;
        [0-9]*' passed, '*) ;;
        *) printf '%s\n' "$line" ;;
        esac
    done <"$output"
    grep -qE '^[0-9]+ passed, ' "$output" || report 1 "the cases of ${output##*/} end by themselves"
done
finish
