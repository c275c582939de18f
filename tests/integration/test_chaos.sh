#!/usr/bin/env bash
# assent-chaos: what it refuses; a run of every workload through three faults, its report and histories; that every
# check finds what is planted for it; comparisons; that nothing it starts outlives it; links alone.
#
#     tests/integration/test_chaos.sh BUILD_DIR
#
# SEED=n is that of the runs.
. "$(dirname "$0")/lib.sh"

CHAOS=$BUILD/assent-chaos
SCENARIO=$ROOT/tests/integration/chaos.yaml
SEED=${SEED:-$RANDOM}
RUN_DEADLINE=$((DEADLINE * 6)) # seconds, of a whole run
echo "# SEED=$SEED"
declare -A chaos=()

# chaos_start NAME COMMAND OPTIONS...: in the background, with its directory $WORK/NAME.
chaos_start() {
    local name=$1
    shift
    "$CHAOS" "$@" --dir "$WORK/$name" >"$WORK/$name.out" 2>"$WORK/$name.err" &
    chaos[$name]=$!
    children+=($!)
}

gone() {
    ! kill -0 "$1" 2>/dev/null
}

# reaped PID: its exit status; it is not stopped at the end any more.
reaped() {
    local status i
    wait "$1"
    status=$?
    for i in "${!children[@]}"; do [ "${children[i]}" != "$1" ] || unset "children[$i]"; done
    return $status
}

# chaos_wait NAME: its exit status.
chaos_wait() {
    DEADLINE=$RUN_DEADLINE eventually gone "${chaos[$1]}" || kill -9 "${chaos[$1]}"
    reaped "${chaos[$1]}"
}

said() {
    cat "$WORK/$1.err" "$WORK/$1.out"
}

# How many nodes run in $WORK/NAME: found by their data directories.
nodes_of() {
    pgrep -f -c -- "--data $WORK/$1/"
}

has_nodes() {
    [ "$(nodes_of "$1")" = "$2" ]
}

# json FILE PATH: a value of it, as SQLite reads JSON.
json() {
    sqlite3 :memory: "SELECT json_extract(readfile('$1'), '\$.$2')"
}

# count_json FILE PATH: how many elements the array has.
count_json() {
    sqlite3 :memory: "SELECT json_array_length(readfile('$1'), '\$.$2')"
}

# spoiled NAME SED...: a copy of the scenario, changed.
spoiled() {
    local name=$1
    shift
    sed "$@" "$SCENARIO" >"$WORK/$name.yaml"
    echo "$WORK/$name.yaml"
}

# The line of the scenario that matches.
line_of() {
    grep -nE -m 1 -- "$1" "$SCENARIO" | cut -d: -f1
}

# refused SENTENCE STATUS REGEX COMMAND OPTIONS...: without a cluster being started.
refused() {
    local sentence=$1 status=$2 regex=$3
    shift 3
    fails "$sentence" "$status" "$regex" timeout "$DEADLINE" "$CHAOS" "$@"
}

# ---- the runs that take their time; they go on while the rest is looked at ----

cat >"$WORK/two.yaml" <<'END'
duration: 8s
calm: 1s
datacenters: [ams, fra]
rtt: [0 6, 6 0]
loads:
  - {kind: bank, clients: 2, keys: 8, timeout: 5s}
  - {kind: set, clients: 1, timeout: 5s}
faults:
  - {kind: spike, at: 0s, for: 1s}
END
chaos_start held run "$SCENARIO" --seed "$SEED"
chaos_start failed run "$WORK/two.yaml" --seed "$SEED" --quiet --plant bank-money

# ---- bad input ----

refused 'no command is a usage error' 64 'Usage: .*assent-chaos'
refused 'an unknown command is refused with those that there are' 64 "'walk'.*run, compare, links" walk
refused 'run without a scenario says which there are' 64 'calm, mix, long, lost-leader, outage' run
refused 'an unknown scenario is refused with those that there are' 64 'nothing: .*calm, mix, long' run nothing
refused 'a scenario that is not there is named' 64 'no/file.yaml: No such file' run no/file.yaml
refused 'two scenarios are one too many' 64 'one scenario' run calm mix
refused 'an unknown option is a usage error' 64 "'--colour'" run calm --colour
for bad in seed:x seed:-1 duration:5 duration:0s duration:soon clients:0 clients:many clients:257; do
    refused "--${bad/:/ } is a usage error" 64 "--${bad/:/ }: " run calm "--${bad%:*}" "${bad#*:}"
done
refused 'a duration that leaves no time for the faults is refused' 64 'kill: at 0 ms.*there are 0 ms' run "$SCENARIO" --duration 5s

file=$(spoiled key 's/^calm:/clam:/')
refused 'an unknown key is refused with its line' 64 "key.yaml:$(line_of '^calm'): .*clam" run "$file"
file=$(spoiled coordinators 's/^coordinators: .*/coordinators: 2/')
refused 'two coordinators are refused with the line and what there may be' 64 \
    "coordinators.yaml:$(line_of '^coordinators'): 2 coordinators: .*1 .*3 or 5" run "$file"
file=$(spoiled nodes 's/^participants: .*/participants: 21/')
refused 'more nodes than a run can have are refused with the line' 64 "nodes.yaml:$(line_of '^participants'): .*at most 64 nodes" run "$file"
file=$(spoiled clients '/kind: set/s/clients: 2/clients: 0/')
refused 'no clients are refused with the line' 64 "clients.yaml:$(line_of 'kind: set'): set: 0 clients" run "$file"
file=$(spoiled load 's/kind: bank/kind: casino/')
refused 'an unknown workload is refused with the line' 64 "load.yaml:$(line_of 'kind: bank'): .*casino" run "$file"
file=$(spoiled fault 's/kind: reset/kind: earthquake/')
refused 'an unknown fault is refused with the line' 64 "fault.yaml:$(line_of 'kind: reset'): .*earthquake" run "$file"
file=$(spoiled target 's/target: fra/target: fra-q/')
refused 'a target that is not there is refused with the line' 64 "target.yaml:$(line_of 'kind: isolate'): .*fra-q" run "$file"
file=$(spoiled rows '/- 10 14 0/d')
refused 'a matrix with a row too few is refused with the line' 64 "rows.yaml:$(line_of '^rtt'): rtt has 2 rows.*it has 3" run "$file"
file=$(spoiled columns 's/- 8 0 14/- 8 0/')
refused 'a row with a number too few is refused with its line' 64 "columns.yaml:$(line_of '- 8 0'): .*2 numbers" run "$file"
printf ',ams,fra\nams,,8\nfra,8,\n' >"$WORK/small.csv"
refused 'a matrix file without one of the datacenters is refused with the line' 64 'small.csv:3: .*from ams to lhr' \
    run "$SCENARIO" --rtt-matrix "$WORK/small.csv"
printf ',ams,fra,lhr\nams,,8,9\nfra,8,\n' >"$WORK/short.csv"
refused 'a matrix file with a row too short is refused with its line' 64 'short.csv:3: 3 fields.*4' run "$SCENARIO" --rtt-matrix "$WORK/short.csv"
refused 'compare refuses the same' 64 "clients.yaml:$(line_of 'kind: set'): set: 0 clients" compare "$WORK/clients.yaml"

mkdir "$WORK/there" && touch "$WORK/there/mine"
refused 'a directory that exists is left alone' 2 'there: File exists: .*--dir' run "$SCENARIO" --dir "$WORK/there"
refused 'by compare as well' 2 'there: File exists: .*--dir' compare "$SCENARIO" --dir "$WORK/there"
is 'and nothing is made in it' "$(ls "$WORK/there")" mine

mkdir "$WORK/lone" && cp "$CHAOS" "$WORK/lone"
fails 'without the other programs beside it, it says what is missing' 2 'assent is not beside this program' \
    "$WORK/lone/assent-chaos" run "$SCENARIO" --dir "$WORK/lone/run"
is 'and leaves nothing' "$(ls "$WORK/lone")" assent-chaos
cp "$ASSENT" "$BUILD/assent-coordinator" "$WORK/lone"
fails 'without a daemon, too' 2 'assent-participant is not beside this program' "$WORK/lone/assent-chaos" run "$SCENARIO" --dir "$WORK/lone/run"
ok 'and what it had started has ended' eventually has_nodes lone/run/cluster 0

# ---- links ----

cluster_make links --datacenters 1 --coordinators 1
start_all
report $? 'a cluster of two nodes connects'
args=()
for node in "${nodes[@]}"; do args+=(--listen 0 --to "$(address_of "$node")"); done
coproc LINKS { exec "$CHAOS" links "${args[@]}"; }
links_pid=$LINKS_PID
children+=("$links_pid")
sed_args=()
for node in "${nodes[@]}"; do
    read -r -t "$DEADLINE" number from _ to <&"${LINKS[0]}"
    like "link $number says where it is and where it leads" "$from $to" "^127\.0\.0\.1:[0-9]+ $(address_of "$node")$"
    sed_args+=(-e "s/\"$to\"/\"$from\"/")
done
sed "${sed_args[@]}" "$ASSENT_CLUSTER" >"$cluster/linked.yaml"

# linked COMMAND...: the assent command through the links.
linked() {
    local command=$1
    shift
    timeout "$DEADLINE" "$ASSENT" "$command" --cluster "$cluster/linked.yaml" --client app "$@"
}

# tell COMMAND: to the links; what they answer.
tell() {
    local line=
    echo "$1" >&"${LINKS[1]}"
    while read -r -t "$DEADLINE" line <&"${LINKS[0]}"; do
        echo "$line"
        case $line in ok | error:*) return ;; esac
    done
}

ok 'a commit goes through the links' linked put dc1/a 1
like 'show counts connections and bytes' "$(tell show)" '^1  port [0-9]+  connections [1-9]' '^ok$'
is 'a delay is set' "$(tell 'delay all 300ms')" ok
began=$(date +%s%N)
ok 'a commit goes through the slow links' linked put dc1/a 2
ok 'and takes at least a round trip' [ $(($(date +%s%N) - began)) -ge 600000000 ]
is 'all is well again after calm' "$(tell 'calm all')$(tell 'delay all 0')" okok
is 'a link is cut' "$(tell 'cut all')" ok
fails 'nobody is reached through it' 69 '' linked put --timeout 1s dc1/a 3
is 'and healed' "$(tell 'heal all reset')" ok
is 'what was committed is read through it' "$(linked get dc1/a)" 2
is 'new connections are refused' "$(tell 'refuse all')" ok
fails 'nobody is reached then, either' 69 '' linked get --timeout 1s dc1/a
is 'and accepted' "$(tell 'accept all')" ok
ok 'a commit goes through the links again' linked put dc1/a 4
like 'an unknown command is refused with its line' "$(tell 'fly 1')" "^error: line [0-9]+: .*fly"
like 'a link that is not there is refused' "$(tell 'cut 9')" "^error: line [0-9]+: no link '9'"
like 'a time without a unit is refused' "$(tell 'delay 1 40')" '^error: line [0-9]+: .*40'
like 'help lists the commands' "$(tell help)" '^cut LINK' '^wait TIME' '^ok$'
is 'quit ends it' "$(tell quit)" ok
reaped "$links_pid"
is 'with the status of wrong input, as there was some' $? 65
is 'commands from a file end with the file' "$(printf '# nothing\ncut 1\nheal 1\n' | "$CHAOS" links --listen 0 --to 127.0.0.1:1 | tail -n +2 | paste -sd ' ')" 'ok ok'
refused 'a link needs to lead somewhere' 64 'no --to' links --listen 0
refused 'and begins with where it listens' 64 'begin every link with --listen' links --to 127.0.0.1:1
refused 'a port that is in use is refused' 69 'link 1: ' links --listen "${base_port}" --to 127.0.0.1:1
stop_all
report $? 'the cluster behind the links stops cleanly'

# ---- a run in which everything holds ----

chaos_wait held
report $? 'a run through a kill, an isolated datacenter and resets ends with status 0' "$(said held)"
like 'it prints the verdict, phases and faults' "$(said held)" '^HELD' '^  calm ' '^  isolate ' 's  kill ams-c' 's  isolate fra' 's  reset lhr'
like 'and the command that does the same again' "$(said held)" "The same run again: assent-chaos run $SCENARIO --seed $SEED --duration 15000ms"
report=$WORK/held/report.json
is 'report.json has the verdict' "$(json "$report" verdict) $(json "$report" exit_status) $(json "$report" interrupted)" 'held 0 0'
is 'every fault' "$(json "$report" 'faults[0].kind') $(json "$report" 'faults[1].kind') $(json "$report" 'faults[2].kind')" 'kill isolate reset'
is 'and every phase' "$(sqlite3 :memory: "SELECT json_extract(value, '\$.name') FROM json_each(readfile('$report'), '\$.phases')" | paste -sd ' ')" \
    'calm recovery kill isolate reset'
ok 'commits were counted' [ "$(json "$report" totals.commits)" -gt 0 ]
loads='bank counter large levels list local register routes set'
is 'every workload has its history' "$(cd "$WORK/held" && ls -- *.edn | paste -sd ' ')" "$(printf '%s.edn ' $loads | sed 's/ $//')"
is 'report.json lists them' "$(count_json "$report" histories)" 9
for load in $loads; do
    edn=$WORK/held/$load.edn
    is "every line of $load.edn is a map, numbered from 0 on" "$(awk '
        !/^\{:index [0-9]+ :time [0-9]+ :process [0-9]+ :type :(invoke|ok|fail|info) :f :[a-z]+ :value .+\}$/ || $2 != NR - 1 { print }' \
        "$edn" | head -n 3)" ''
    ok "and some operation of it ended well" grep -q ':type :ok' "$edn"
done
ok 'report.html is a page with the verdict' grep -q '"verdict": *"held"' "$WORK/held/report.html"
is 'and no node is left' "$(nodes_of held)" 0

# ---- a run in which something does not ----

chaos_wait failed
is 'a run in which a check fails ends with status 1' $? 1
like 'it says which, what was found, and how to do it again' "$(said failed)" '^FAILED' '^  FAILED    bank: money' \
    'wrong-total, in bank.edn' "The same run again: assent-chaos run $WORK/two.yaml --seed $SEED"
is 'its report has that, too' "$(json "$WORK/failed/report.json" verdict) $(json "$WORK/failed/report.json" exit_status)" 'failed 1'

# ---- planted faults; compare ----

chaos_start planted run "$SCENARIO" --seed "$SEED" --plant all --quiet
chaos_start compared compare "$WORK/two.yaml" --seed "$SEED" --quiet

# ---- nothing outlives it ----

refused 'a check that is not there cannot be planted, and those that can are named' 64 'nonsense.*atomicity, bank-snapshot, bank-money' run "$SCENARIO" --plant nonsense
ok "and weak reads are in levels.edn with level and session" grep -q ':level :session .*:session [0-9]' "$WORK/held/levels.edn"

long=$(spoiled long -e 's/^duration: .*/duration: 1h/' -e 's/kind: kill, at: 0s, for: 1s/kind: pause, at: 0s, for: 10m/')
began() {
    grep -q ' faults$' "$WORK/$1.err"
}
chaos_start interrupted run "$long" --plant bank-money
chaos_start killed run "$long"
ok 'a run comes to its faults' eventually began interrupted
is 'with a process for every node' "$(nodes_of interrupted)" 6
kill -INT "${chaos[interrupted]}"
chaos_wait interrupted
is 'SIGINT ends it early; what was planted is found all the same' $? 1
like 'it says that it was interrupted, and what was found' "$(said interrupted)" '^Interrupted' '^  FAILED    bank: money'
is 'its report has that, too' "$(json "$WORK/interrupted/report.json" verdict) $(json "$WORK/interrupted/report.json" interrupted)" 'failed 1'
is 'and no node is left, not even the paused one' "$(nodes_of interrupted)" 0
ok 'another run comes to its faults' eventually began killed
is 'it has a process for every node, too' "$(nodes_of killed)" 6
kill -9 "${chaos[killed]}"
reaped "${chaos[killed]}"
ok 'kill -9 of the harness leaves no node' eventually has_nodes killed 0 ||
    kill -9 $(pgrep -f -- "--data $WORK/killed/") # one is stopped

chaos_wait planted
report $? 'a run with planted faults ends with status 0' "$(said planted)"
is 'every check that judges answers has found its own' "$(grep -c '^  held      planted: ' "$WORK/planted.out") $(grep -c '^            found, as it must be: ' "$WORK/planted.out")" '36 36'

chaos_wait compared
report $? 'compare ends with status 0' "$(said compared)"
like 'it prints a row for each technique' "$(said compared)" '^two-phase commit  all checks held' '^Paxos Commit      all checks held' '^1 coordinator ' '^3 coordinators ' 'spike:'
like 'and the command that does the same again' "$(said compared)" "The same run again: assent-chaos compare $WORK/two.yaml --seed $SEED"
compared=$WORK/compared/compare.json
is 'compare.json has both' "$(count_json "$compared" techniques) $(json "$compared" 'techniques[0].coordinators') $(json "$compared" 'techniques[1].coordinators')" '2 1 3'
is 'each held' "$(json "$compared" 'techniques[0].verdict') $(json "$compared" 'techniques[1].verdict')" 'held held'
ok 'each has its report' test -s "$WORK/compared/two-phase-commit/report.html" -a -s "$WORK/compared/paxos-commit/report.html"
is 'and no node is left' "$(nodes_of compared)" 0
finish
