# What the integration tests share: checks that count, clusters of real daemons, and the atomicity
# check over what is left on their disks. Sourced by tests/integration/test_*.sh as
#
#     . "$(dirname "$0")/lib.sh"
#
# with the build directory in $1 and the repository root as the current directory. What a test
# starts it starts with start(), or adds to `children`, so that it is stopped however the test ends.
set -u

BUILD=$(cd "${1:?usage: bash $0 BUILD_DIR}" && pwd) || exit 64
ROOT=$(pwd)
ASSENT=$BUILD/assent
# Seconds after which waiting is given up. Not a measure of speed: a slow machine under a sanitizer
# must reach it only when something hangs.
DEADLINE=${DEADLINE:-90}
WORK=$(mktemp -d "${TMPDIR:-/tmp}/assent-test.XXXXXX") || exit 1
# The shell's own remarks, most of them about processes that were killed; cleanup() shows the others.
exec 3>&1 2>"$WORK/shell.err"
export ASSENT_LOG=json
unset ASSENT_CRASH_AT ASSENT_CLUSTER
children=()
mounts=() # what cleanup() unmounts
declare -A pid=() starts=() role=()
nodes=()
passed=0
failed=0

# ---- checks ----

# Counts a check: report STATUS SENTENCE [DETAIL]
report() {
    if [ "$1" = 0 ]; then
        passed=$((passed + 1))
        echo "ok $((passed + failed)) - $2"
    else
        failed=$((failed + 1))
        echo "not ok $((passed + failed)) - $2"
        [ -z "${3-}" ] || printf '%s\n' "$3" | sed 's/^/    # /'
    fi
    return "$1"
}

# ok SENTENCE COMMAND...: the command succeeds.
ok() {
    local sentence=$1 status
    shift
    "$@" >"$WORK/ok.out" 2>&1 # not in a subshell: the command may wait for children
    status=$?
    report $((status != 0)) "$sentence" "$* -> status $status"$'\n'"$(cat "$WORK/ok.out")"
}

# is SENTENCE GOT WANTED
is() {
    local differs=1
    [ "$2" = "$3" ] && differs=0
    report $differs "$1" "got:    $2"$'\n'"wanted: $3"
}

# like SENTENCE GOT EXTENDED-REGEX...: the text matches each.
like() {
    local sentence=$1 text=$2 regex
    shift 2
    for regex in "$@"; do
        if ! grep -qE -- "$regex" <<<"$text"; then
            report 1 "$sentence" "got: $text"$'\n'"nothing in it matches: $regex"
            return 1
        fi
    done
    report 0 "$sentence"
}

# fails SENTENCE STATUS REGEX COMMAND...: the command ends with this status and says this.
fails() {
    local sentence=$1 wanted=$2 regex=$3 output status
    shift 3
    output=$("$@" 2>&1)
    status=$?
    if [ $status != "$wanted" ]; then
        report 1 "$sentence" "$* -> status $status, wanted $wanted"$'\n'"$output"
    else
        like "$sentence" "$output" "$regex"
    fi
}

# eventually COMMAND...: until it succeeds, or the deadline has passed.
eventually() {
    local end=$((SECONDS + DEADLINE))
    until "$@"; do
        [ $SECONDS -lt $end ] || return 1
        sleep 0.05
    done
}

# A program of tests/integration against the library that was built: build_program NAME
build_program() {
    local sanitize='' symbols
    symbols=$(nm -D "$BUILD/libassent.so")
    ! grep -q __tsan_ <<<"$symbols" || sanitize=-fsanitize=thread
    ! grep -q __ubsan_ <<<"$symbols" || sanitize=-fsanitize=undefined
    ! grep -q __asan_ <<<"$symbols" || sanitize='-fsanitize=address,undefined'
    # shellcheck disable=SC2086
    ok "the program $1.c builds" gcc -std=c11 -D_GNU_SOURCE -Wall -Wextra -Werror $sanitize -Iinclude \
        "tests/integration/$1.c" -L"$BUILD" -lassent -Wl,-rpath,"$BUILD" -luv -lpthread -o "$WORK/$1"
}

# Ends a test: the line that tests/run reads, and the status.
finish() {
    echo "$passed passed, $failed failed"
    [ "$failed" = 0 ] && [ "$passed" -gt 0 ]
    exit
}

cleanup() {
    local status=$? p node
    for p in "${children[@]}"; do kill "$p"; done
    for p in "${pid[@]}"; do kill -9 "$p"; done
    wait
    for p in "${mounts[@]}"; do umount "$p"; done
    grep -vE ' Killed | Terminated ' "$WORK/shell.err" | sed 's/^/# /'
    if [ "$failed" != 0 ] && [ -n "${cluster-}" ]; then
        for node in "${!starts[@]}"; do
            log_of "$node" | grep -v '"level":"info"' | tail -n 5 | cut -c 1-300 | sed "s/^/    # $node: /"
        done
    fi
    [ "$failed" != 0 ] && [ -n "${KEEP-}" ] && echo "    # kept: $WORK" || rm -rf "$WORK"
    exit $status
}
trap cleanup EXIT
trap 'exit 130' INT TERM

# ---- clusters ----

port_used() {
    local hex
    hex=$(printf '%04X' "$1")
    cat /proc/net/tcp /proc/net/tcp6 2>/dev/null | awk -v p=":$hex" '$2 ~ p "$" { found = 1 } END { exit !found }'
}

# A base port with so many free ones from it on, below those that the kernel gives to connections.
free_ports() {
    local count=$1 base i
    while :; do
        base=$((20000 + (RANDOM * 32768 + RANDOM) % 12000))
        for ((i = 0; i < count; i++)); do
            port_used $((base + i)) && continue 2
        done
        echo $base
        return
    done
}

# cluster_make NAME [assent init's options]: a new cluster in $cluster; its nodes in nodes, role.
# Doubt ends sooner than by default, because the tests wait for it.
cluster_make() {
    local name=$1
    shift
    cluster=$WORK/$name
    base_port=$(free_ports 16)
    "$ASSENT" init "$cluster" --base-port "$base_port" "$@" >"$WORK/init.out" 2>&1 || {
        echo "Bail out! assent init: $(cat "$WORK/init.out")"
        failed=$((failed + 1))
        finish
    }
    sed -i 's/in-doubt-timeout: .*/in-doubt-timeout: 200ms/' "$cluster/cluster.yaml"
    export ASSENT_CLUSTER=$cluster/cluster.yaml
    nodes=()
    while read -r node what; do
        nodes+=("$node")
        role[$node]=$what
    done < <(sed -nE 's/^    name: "(.*)"/\1/p; s/^    role: (.*)/\1/p' "$cluster/cluster.yaml" | paste - -)
}

# The address of a node, HOST:PORT.
address_of() {
    awk -v want="\"$1\"" '$1 == "name:" { name = $2 } $1 == "address:" && name == want {
        gsub(/"/, "", $2); print $2 }' "$cluster/cluster.yaml"
}

# daemon NODE [OPTIONS...]: runs it here, to its end. daemon_file is the cluster file that it gets.
daemon() {
    local node=$1
    shift
    exec "$BUILD/assent-${role[$node]}" --cluster "${daemon_file:-$cluster/cluster.yaml}" \
        --node "$node" --data "$cluster/$node" "$@"
}

# start NODE [VARIABLE=VALUE...]
start() {
    local node=$1
    shift
    starts[$node]=$((${starts[$node]-0} + 1))
    {
        [ $# = 0 ] || export "$@"
        daemon "$node"
    } </dev/null >"$cluster/$node.${starts[$node]}.log" 2>&1 &
    pid[$node]=$!
}

start_all() {
    local node
    for node in "${nodes[@]}"; do start "$node"; done
    connected
}

coordinators() {
    printf '%s\n' "${role[@]}" | grep -c coordinator
}

# The log of a node's last start.
log_of() {
    cat "$cluster/$1.${starts[$1]}.log"
}

logged() {
    grep -sqE -- "$2" "$cluster/$1.${starts[$1]}.log"
}

alive() {
    [ -n "${pid[$1]-}" ] && kill -0 "${pid[$1]}" 2>/dev/null
}

dead() {
    ! alive "$1"
}

# Takes a node that ends, or has ended, off the list; its status.
reap() {
    local status
    [ -n "${pid[$1]-}" ] || return 127
    wait "${pid[$1]}" 2>/dev/null
    status=$?
    unset "pid[$1]"
    return $status
}

kill9() {
    [ -n "${pid[$1]-}" ] || return 0
    kill -9 "${pid[$1]}" 2>/dev/null
    reap "$1"
    return 0
}

# Stops a node as a supervisor does. Its exit status.
stop() {
    kill "${pid[$1]}" 2>/dev/null
    eventually dead "$1" || echo "# $1 does not stop"
    reap "$1"
}

stop_all() {
    local node good=0
    for node in "${!pid[@]}"; do kill "${pid[$node]}" 2>/dev/null; done
    for node in "${!pid[@]}"; do
        eventually dead "$node" || { echo "# $node does not stop"; kill9 "$node"; good=1; continue; }
        reap "$node" || { echo "# $node ended with status $?"; good=1; }
    done
    return $good
}

# One line per node of the cluster file, as JSON.
status_lines() {
    "$ASSENT" status --client app -o json 2>/dev/null | sed 's/{"name":/\n&/g' | grep '"name"'
}

# status_field LINE NAME: the number, or nothing.
status_field() {
    [[ $1 =~ \"$2\":([0-9]+) ]] && echo "${BASH_REMATCH[1]}"
}

# Whether every node that runs has a connection to every other that it should have.
all_connected() {
    local line node coordinators=0 participants=0 seen=0 want have
    for node in "${!pid[@]}"; do
        if [ "${role[$node]}" = coordinator ]; then
            coordinators=$((coordinators + 1))
        else
            participants=$((participants + 1))
        fi
    done
    while read -r line; do
        [[ $line =~ \"name\":\"([^\"]*)\" ]] || continue
        node=${BASH_REMATCH[1]}
        [ -n "${pid[$node]-}" ] || continue
        have=$(status_field "$line" connections) || return 1
        want=$coordinators # for a coordinator without itself, but with the one who asks
        [ "${role[$node]}" = coordinator ] && want=$((want - 1 + participants))
        [ "$have" -gt "$want" ] || return 1
        seen=$((seen + 1))
    done < <(status_lines)
    [ $seen = ${#pid[@]} ]
}

connected() {
    eventually all_connected
}

# Whether nothing is under way on the nodes that run, nobody is in doubt, and no coordinator keeps a
# record that nobody needs any more: one that was down when the others forgot it has heard of it. With
# some coordinators down a record may have to stay until all can be asked: all_settled but_records.
all_settled() {
    local line seen=0 open='in_doubt|locking|preparing|deciding|leading|recovering'
    [ "${1-}" = but_records ] || open+='|undecided|unsettled'
    while read -r line; do
        [[ $line =~ \"reachable\":true ]] || continue
        seen=$((seen + 1))
        [[ $line =~ \"($open)\":[1-9] ]] && return 1
    done < <(status_lines)
    [ $seen = ${#pid[@]} ]
}

settled() {
    eventually all_settled "$@"
}

# ---- transactions ----

# txn ARGUMENTS...: `assent txn`, in `answer` (committed, aborted, unknown; none if it was not even
# sent), `reason`, `txid`, `said`.
txn() {
    said=$("$ASSENT" txn --client app -o json "$@" 2>&1)
    txn_read "$said"
}

txn_read() {
    answer=none reason= txid=
    [[ $1 =~ \"status\":\"([a-z]+)\" ]] && answer=${BASH_REMATCH[1]}
    [[ $1 =~ \"reason\":\"([A-Z_]+)\" ]] && reason=${BASH_REMATCH[1]}
    [[ $1 =~ \"txid\":\"([0-9a-f-]+)\" ]] && txid=${BASH_REMATCH[1]}
    return 0
}

# The outcome of a transaction, in one word.
outcome_of() {
    local said
    said=$("$ASSENT" outcome --client app -o json "$1" 2>&1)
    [[ $said =~ \"status\":\"([a-z]+)\" ]] && echo "${BASH_REMATCH[1]}" || echo "nothing: $said"
}

# The value of a key, strongly read; "-" if there is none. value_of KEY [NODE]
value_of() {
    local said
    said=$("$ASSENT" get --client app ${2:+--at "$2"} "$1" 2>&1)
    case $? in
    0) echo "$said" ;;
    1) echo - ;;
    *) echo "unreadable: $said" ;;
    esac
}

# ---- what is left on the disks ----

# outcomes_in DIR: "txid outcome" of a stopped node, txids without dashes.
outcomes_in() {
    sqlite3 -readonly -separator ' ' "$1/node.db" \
        "SELECT replace(txid, '-', ''), outcome FROM outcomes_all WHERE outcome <> 'forgotten'"
}

# atomic [FILE]: over all nodes, stopped: no transaction has two outcomes, nobody is in doubt, no
# coordinator has a record that is not finished. FILE has lines "txid answer" of what clients were
# told, which must agree too.
atomic() {
    local node view bad=0 double open
    : >"$WORK/outcomes"
    for node in "${nodes[@]}"; do
        outcomes_in "$cluster/$node" >>"$WORK/outcomes" || bad=1
        view=in_doubt
        [ "${role[$node]}" = coordinator ] && view=undecided
        open=$(sqlite3 -readonly "$cluster/$node/node.db" "SELECT txid FROM $view") || bad=1
        [ -z "$open" ] || { echo "open at $node:" $open; bad=1; }
    done
    [ -z "${1-}" ] || awk '$2 == "committed" || $2 == "aborted" { gsub(/-/, "", $1); print $1, $2 }' "$1" >>"$WORK/outcomes"
    double=$(sort -u "$WORK/outcomes" | cut -d' ' -f1 | uniq -d)
    [ -z "$double" ] || { echo "two outcomes:" $double; bad=1; }
    [ -s "$WORK/outcomes" ] || { echo 'no outcome found anywhere'; bad=1; }
    return $bad
}
