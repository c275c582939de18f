#!/usr/bin/env bash
# The `assent` command against real daemons: every subcommand, its exit statuses, bad input.
#     tests/integration/test_command.sh BUILD_DIR
set -u
bin=$(cd "${1:?usage: test_command.sh BUILD_DIR}" && pwd) || exit 64
work=$(mktemp -d) || exit 1
cd "$work" || exit 1
unset ASSENT_CLUSTER ASSENT_LOG
passed=0 failed=0 number=0 up_pid=

pids_of() { pgrep -f -- "--data $work/c/$1\$"; }

finish() {
    local pid
    [ -n "$up_pid" ] && kill -TERM "$up_pid" 2>/dev/null && wait "$up_pid" 2>/dev/null
    for pid in $(pgrep -f -- "--data $work/"); do kill -KILL "$pid"; done
    rm -rf "$work"
}
trap finish EXIT
trap 'exit 130' INT TERM

# verdict NAME CONDITION-STATUS [DETAIL]
verdict() {
    number=$((number + 1))
    if [ "$2" = 0 ]; then
        passed=$((passed + 1))
        echo "ok $number - $1"
    else
        failed=$((failed + 1))
        echo "not ok $number - $1"
        printf '%s\n' "${3-}" | sed 's/^/# /'
    fi
}

# check NAME STATUS STDOUT-PATTERN STDERR-PATTERN ARGUMENT...: an empty pattern means no output; every
# failure must be one line that begins with "assent: ".
check() {
    local name=$1 status=$2 out=$3 err=$4 got good=0
    shift 4
    timeout 120 "$bin/assent" "$@" >"$work/out" 2>"$work/err" # what should end may not
    got=$?
    [ "$got" = "$status" ] || good=1
    if [ -z "$out" ]; then [ -s out ] && good=1; else grep -qE -- "$out" out || good=1; fi
    if [ -z "$err" ]; then [ -s err ] && good=1; else
        grep -qE -- "^assent: .*($err)" err || good=1
        [ "$(wc -l <err)" = 1 ] || good=1
    fi
    verdict "$name" $good "assent $* gave $got, expected $status
stdout: $(head -c 2000 out)
stderr: $(head -c 2000 err)"
}

# soon NAME COMMAND...: within 10 seconds
soon() {
    local name=$1 i
    shift
    for i in $(seq 200); do
        if "$@" >/dev/null 2>&1; then
            verdict "$name" 0
            return
        fi
        sleep 0.05
    done
    verdict "$name" 1 "never: $*"
}

start_up() {
    : >up.log
    "$bin/assent" up "$work/c" "$@" >up.log 2>&1 &
    up_pid=$!
}

# ---- arguments ----

check 'help lists the subcommands' 0 '^  bench ' '' help
check 'help of a subcommand shows its usage' 0 'Usage: assent add .*KEY DELTA' '' help add
check '--help does the same' 0 'Usage: assent add .*KEY DELTA' '' add --help
check '--version says it' 0 '^assent [0-9]+\.[0-9]+' '' --version
check 'no subcommand is a usage error' 64 '' 'no subcommand'
check 'an unknown subcommand is a usage error' 64 '' "'frob' is no subcommand" frob
check 'help of an unknown subcommand is a usage error' 64 '' "'frob' is no subcommand" help frob
check 'a missing word is a usage error' 64 '' 'usage: assent put KEY VALUE' put a
check 'a word too many is a usage error' 64 '' 'too many' get a b
check 'an unknown option is a usage error' 64 '' "'--frob'" get a --frob
check 'an option without its argument is a usage error' 64 '' "'--cluster'" get a --cluster
check 'a bad duration is a usage error' 64 '' 'not a duration' get a --timeout 5
check 'a bad output form is a usage error' 64 '' 'table or json' get a -o xml
check 'a bad delta is a usage error' 64 '' 'whole number' add a 1.5
check 'a txid that is none is a usage error' 64 '' 'not a transaction id' outcome abc
check 'no operations are a usage error' 64 '' 'no operations' txn
check 'a bad operation is a usage error' 64 '' "'set' is no operation" txn set a 1
check 'no cluster file is bad configuration' 78 '' 'no cluster file' get a
check 'a cluster file that is not there is bad configuration' 78 '' 'nowhere.yaml' get a -c nowhere.yaml
echo 'cluster: [' >broken.yaml
check 'a broken cluster file is bad configuration' 78 '' 'broken.yaml' get a -c broken.yaml

# ---- init ----

# Below the ports that the system gives to outgoing connections, and nobody listens on six of them.
free_ports() {
    local i
    for i in 0 1 2 3 4 5; do
        if (exec 3<>"/dev/tcp/127.0.0.1/$(($1 + i))") 2>/dev/null; then return 1; fi
    done
}
port=$((20000 + RANDOM % 12000))
until free_ports $port; do port=$((20000 + RANDOM % 12000)); done
check 'init refuses an even number of coordinators' 64 '' 'even' init x --coordinators 2
check 'init refuses a bad datacenter name' 64 '' 'name' init x --datacenters 'a,B c'
check 'init refuses the same datacenter twice' 64 '' '.' init x --datacenters a,a
check 'init refuses an empty datacenter name' 64 '' 'datacenters' init x --datacenters a,,b
check 'init refuses no datacenters' 64 '' 'datacenters' init x --datacenters 0
check 'init refuses ports that do not exist' 64 '' '65535' init x --base-port 65534
verdict 'a refused init makes nothing' "$([ ! -e x ]; echo $?)"
mkdir full && touch full/precious
check 'init refuses a directory with something in it' 73 '' 'something in it' init full
verdict 'and leaves it alone' "$([ "$(ls -A full)" = precious ]; echo $?)"
check 'init says where it cannot make a directory' 73 '' 'No such file' init no/such/place
mkdir there
for dir in there not-there; do
    # 8 KiB: enough for keys and the cluster file, not for a database
    (trap '' XFSZ; ulimit -f 8; exec "$bin/assent" init $dir) >out 2>err
    got=$?
    verdict "init that fails half-way says so ($dir)" "$([ $got = 73 ] && grep -q '^assent: init: ' err; echo $?)" \
        "$got $(cat out err)"
done
verdict 'and removes what it made, only that' "$([ -d there ] && [ -z "$(ls -A there)" ] && [ ! -e not-there ]; echo $?)" \
    "$(ls -R there not-there 2>&1)"
check 'init makes two datacenters with one coordinator' 0 '2 datacenters, 1 coordinator, 2 part' '' \
    init two --datacenters east,west --name pair
verdict 'with the names that were given' \
    "$(grep -q '"east-c"' two/cluster.yaml && [ -d two/west-p ] && grep -q '"pair"' two/cluster.yaml; echo $?)"
mkdir empty
check 'init fills an empty directory; five coordinators in three datacenters' 0 \
    '3 datacenters, 5 coordinators, 6 part.*any 2' '' init empty --coordinators 5 --participants-per-dc 2
verdict 'several nodes of a kind are numbered' \
    "$([ -d empty/dc2-c2 ] && [ -d empty/dc3-c ] && [ -d empty/dc3-p2 ]; echo $?)"
verdict 'and have prefixes of their own' "$(grep -q "'dc3/2/'" empty/cluster.yaml; echo $?)"
bad=0
for node in dc1-c1 dc1-c2 dc2-c1 dc2-c2 dc3-c dc1-p1 dc3-p2; do
    case $node in *-c*) daemon=coordinator ;; *) daemon=participant ;; esac
    "$bin/assent-$daemon" -c empty/cluster.yaml -n $node -d empty/$node --check-config >out 2>&1 || bad=1
done
verdict 'every node that init made has what it needs to start' $bad "$(cat out)"
check 'init makes the cluster of this test' 0 'assent up' '' init c --base-port "$port"
verdict 'keys are for the owner only' "$([ "$(stat -c %a c/app.key c/dc1-c/node.key | sort -u)" = 600 ]; echo $?)"
export ASSENT_CLUSTER=$work/c/cluster.yaml

# ---- nothing runs yet ----

check 'status of a cluster that is down is unreachable' 69 'connection refused' 'no node' status
check 'put into a cluster that is down is unreachable' 69 '' 'NOT_SENT' put a b --timeout 500ms
check 'get from a cluster that is down is unreachable' 69 '' 'no replica' get a --timeout 500ms
check 'a client that the cluster file does not list is refused' 78 '' 'nobody' get a --client nobody
check 'a key file that is not there is refused' 78 '' 'nowhere.key' get a --key nowhere.key
check 'up of a directory without a cluster is bad configuration' 78 '' 'cluster.yaml' up empty/dc1-p1
check 'up refuses a node that is not listed' 64 '' "no node 'dc9-p'" up c --only dc9-p

# ---- everything runs ----

start_up
soon 'up says when all nodes are ready' grep -q 'ready: 6 nodes' up.log
check 'up of a cluster that runs already starts nothing' 64 '' 'c: the cluster is already running: .*Ctrl-C' up c
verdict 'lines of the logs carry the names of the nodes, aligned' \
    "$(grep -q '^dc2-p | .*daemon.listening' up.log && grep -q '^up    | ready' up.log; echo $?)" \
    "$(head -5 up.log)"
soon 'the nodes find each other' "$bin/assent" put warm up --timeout 1s
check 'status shows all nodes' 0 '^dc3-p +dc3 +participant +1 ' '' status
check 'status as JSON has what the nodes count' 0 '"name":"dc1-c".*"counters":\{.*"syncs":[0-9]+' '' \
    status -o json

check 'put commits' 0 '^committed [0-9a-f-]{36} at 20' '' put hello world
check 'get prints the value' 0 '^world$' '' get hello
check 'get from another datacenter' 0 '^world$' '' get hello --at dc3
check 'get from a named node' 0 '^world$' '' get hello --at dc2-p
check 'get from nowhere is a usage error' 64 '' 'neither' get hello --at dc9
check 'get as JSON' 0 '^\{"key":"hello","found":true,"value":"world","version":[0-9]+\}$' '' get hello -o json
check 'get of an absent key is not found' 1 '' 'nope: no such key' get nope
check 'get of an absent key as JSON' 1 '"found":false' 'no such key' get nope -o json
check 'a session read says who, when and how old' 0 '^world$' 'from dc1-p, as of .*, age at most .*, token as1-' \
    get hello --level session
token=$(sed -nE 's/.*token (as1-[0-9a-f-]+).*/\1/p' err)
ts=$(sed -nE 's/.* \(([0-9]+)\).*/\1/p' err)
check 'its token goes on in another datacenter' 0 '^world$' 'from dc3-p' get hello --token "$token" --at dc3
check 'a snapshot as JSON' 0 '"read":\{"participant":"dc[1-3]-p","timestamp":'"$ts"',' '' \
    get hello --level "snapshot=$ts" -o json
check 'a snapshot from before the key' 1 '"found":false' 'no such key' get hello --level snapshot=1 -o json
check 'a snapshot of now says its timestamp' 0 '^world$' 'from dc1-p, as of .* \([0-9]{18}\)' get hello --level snapshot
check 'a snapshot at no timestamp is a usage error' 64 '' 'from 1 to' get hello --level snapshot=0
check 'a bounded read' 0 '^world$' 'from dc1-p' get hello --level bounded=60000
check 'a scan at a level' 0 '^hello	world$' 'from dc1-p' scan hello --level eventual
check 'a level that is none is a usage error' 64 '' 'none of strong' get hello --level bounded
check 'a token that is none is a usage error' 64 '' 'not a session token' get hello --token as1-77
check 'a token of another cluster is a usage error' 64 '' 'of cluster|its check' get hello \
    --token "as1-00000000000000000000000000000000-${token#as1-*-}"
check 'a timestamp in the future is refused' 1 '' 'ahead' get hello --level snapshot=9000000000000000000
check 'del commits' 0 '^committed' '' del hello
check 'and the key is gone' 1 '' 'no such key' get hello
check 'add counts from 0 and takes negative numbers' 0 '^committed' '' add n -5
check 'add returns the result' 0 '^37$' '' add n 42 --return
check 'add as JSON' 0 '"status":"committed".*"participants":\[\{' '' add n 1 -o json
check 'add within its bounds' 0 '^30$' '' add n -8 --min 30 --max 40 --return
check 'add below its bound is aborted' 1 '' 'OUT_OF_BOUNDS' add n -1 --min 30
check 'add above its bound is aborted' 1 '' 'OUT_OF_BOUNDS' add n 100 --max=40
check 'add to a text is aborted' 1 '' 'NOT_INTEGER' add warm 1
check 'a value may look like an option after --' 0 '^committed' '' put -- -k --value
check 'and is read so' 0 '^--value$' '' get -- -k
check 'an empty key is a usage error' 64 '' '.' put '' x
check 'a value of a negative number needs nothing' 0 '^committed' '' put negative -7

check 'txn commits over three datacenters' 0 '^dc3-p .* us|^dc3-p .* ms' '' \
    txn put dc1/a 1 , put dc2/a 2 ';' put dc3/a 3
check 'txn reads what it is asked for' 0 '^dc1/a = 1$' '' txn get dc1/a , range dc2/ dc20 , get dc1/none
verdict 'ranges and absent keys too' \
    "$(grep -q '^dc2/a = 2$' out && grep -q '^dc1/none is absent$' out; echo $?)" "$(cat out)"
check 'txn whose checks hold commits' 0 '^status +committed' '' \
    txn exists dc1/a , absent dc2/none , value dc3/a 3 , atleast n 30 , add dc1/a -1 '>=0' , del dc3/a
check 'txn whose check fails aborts' 1 '^status +aborted \(CHECK_FAILED\)' 'CHECK_FAILED' \
    txn value dc1/a 99 , put dc2/a lost
check 'and nothing of it happened' 0 '^2$' '' get dc2/a
check 'txn as JSON' 0 '"status":"committed","txid":"[0-9a-f-]{36}","timestamp":[0-9]+.*"entries":\[\{"key":"dc2/a"' '' \
    txn get dc2/a -o json
printf 'put "file key" \\x41\\x00\\xff # a comment\n\nadd dc2/n -3; get dc2/a\n' >ops
check 'txn reads operations from a file' 0 '^dc2/a = 2$' '' txn -f ops
check 'keys with spaces and any bytes' 0 '^file key.A\\x00\\xff$' '' scan 'file key'
printf 'put a 1\nput b\n' >ops
check 'a mistake in the file is named by its line' 64 '' 'ops: line 2: .*put KEY VALUE' txn -f ops
check 'a file that is not there' 66 '' 'nofile' txn -f nofile
txid=$("$bin/assent" put outcome x | cut -d' ' -f2)
check 'outcome of a committed transaction' 0 '^committed at 20' '' outcome "$txid"
check 'outcome as JSON' 0 "\"txid\":\"$txid\",\"status\":\"committed\"" '' outcome "$txid" -o json
fresh=$(printf '%012x' "$(date +%s%3N)" | sed 's/^\(.\{8\}\)/\1-/')-7000-8000-00000000abcd
check 'outcome of a transaction that nobody knows decides: aborted' 1 '^aborted' '' outcome "$fresh"
# once the coordinators know each other's clocks; each question is about another one
expired() { "$bin/assent" outcome "0190a8d2-0000-7000-8000-$(printf '%012x' $RANDOM)" >out; [ $? = 2 ]; }
soon 'outcome of a very old transaction is no longer known' expired
verdict 'and says so' "$(grep -q '^expired' out; echo $?)" "$(cat out)"

check 'scan lists keys over all placements, in order' 0 '^dc1/a.0$' '' scan
verdict 'in order' "$(LC_ALL=C sort -c out; echo $?)" "$(cat out)"
check 'scan of a prefix' 0 '^dc2/a.2$' '' scan dc2/
verdict 'has nothing else' "$(! grep -qv '^dc2/' out; echo $?)"
check 'scan between keys' 0 '^dc1/a' '' scan --from dc1/a --to dc2/
verdict 'leaves out the end' "$([ "$(wc -l <out)" = 1 ]; echo $?)" "$(cat out)"
check 'scan between keys the wrong way round is a usage error' 64 '' '--to does not come after --from' \
    scan --from dc2/ --to dc1/
check 'scan with a limit' 0 '"at_limit":true' '' scan --limit 2 -o json
verdict 'counts' "$([ "$(grep -o '"key"' out | wc -l)" = 2 ]; echo $?)" "$(cat out)"
check 'scan at one datacenter leaves out what others hold' 0 '^dc2/a' '' scan --at dc2
verdict 'such as this' "$(! grep -q '^dc1/' out; echo $?)"
check 'scan of nothing finds nothing' 1 '' '' scan nothing/

# ---- load ----

{
    echo 'name,port,comment'
    for i in $(seq 1 250); do echo "svc$i,$((i + 1000)),\"no. $i, \"\"quoted\"\"\""; done
} >services.csv
printf 'last,1,"two\nlines"\n' >>services.csv
check 'load of CSV' 0 '^loaded 251 rows in 26 transactions' '' load services.csv --prefix svc/ --per-txn 10
check 'has stored the rows' 0 '^\{"name":"svc7","port":"1007","comment":"no. 7, \\"quoted\\""\}$' '' get svc/svc7
check 'load of one column' 0 '^loaded 251 rows in 1 transactions' '' \
    load services.csv --prefix dc1/port/ --value port --per-txn 1000
check 'has stored it alone' 0 '^1007$' '' get dc1/port/svc7
printf '{"key": "j1", "n": 1.10}\n{"key": 2, "s": "x"}\n' >rows.jsonl
check 'load of JSON lines' 0 '"rows":2,"transactions":1' '' load rows.jsonl --prefix j/ -o json
check 'keeps numbers as written' 0 '^\{"key":"j1","n":1.10\}$' '' get j/j1
{
    echo k,v
    for i in 1 2 3; do echo "a$i,1"; done
    echo only-one
} >bad.csv
check 'load of a bad row names it; its transaction is not begun' 65 '^loaded 2 rows in 1 ' \
    'bad.csv: row 4, line 5: .*rows from 3 on are not loaded' load bad.csv --prefix bad/ --per-txn 2
check 'rows before that transaction are there' 0 '^bad/a2' '' scan bad/
verdict 'and no others' "$([ "$(wc -l <out)" = 2 ]; echo $?)" "$(cat out)"
check 'load of a column that is not there' 65 '^loaded 0' "no column is named 'x'" load bad.csv --key x
check 'load takes --key for a column, and --key-file' 0 '^loaded 251 rows' '' \
    load services.csv --key port --prefix dc2/by-port/ --key-file c/app.key
check 'has used the column' 0 '"name":"svc7"' '' get dc2/by-port/1007 --key c/app.key
check 'load of a file that is not there' 66 '' 'nofile' load nofile
check 'load of a format that is none' 64 '' 'csv or jsonl' load rows.jsonl --format xml

# ---- bench ----

check 'bench measures' 0 '^committed +[1-9]' '' bench --seconds 1 --clients 4
verdict 'latencies, shares and syncs' \
    "$(grep -qE '^latency +p50 .*p99' out && grep -qE '^dc2-p ' out && grep -qE '^syncs +[0-9.]+' out; echo $?)" \
    "$(cat out)"
check 'bench of adds and reads as JSON' 0 \
    '"operation":"add","committed":[1-9].*"p99":[1-9].*"participant":"dc2-p".*"dc3-p".*"dc1-p".*"syncs_per_transaction":[0-9]' '' \
    bench --seconds 1 --clients 4 --participants 3 --read 50 --add --dc dc2 -o json
check 'bench of more participants than there are' 64 '' 'ask for fewer' bench --participants 9
check 'bench of two participants among three, of a few keys preferred' 0 \
    '"zipf":1.1,"participants_each":2,.*"committed":[1-9].*"dc1-p".*"dc2-p".*"dc3-p"' '' \
    bench --seconds 1 --clients 4 --participants 2 --among 3 --zipf 1.1 -o json
check 'bench among fewer than a transaction has' 64 '' 'fewer than the 3' bench --participants 3 --among 2
check 'bench of a Zipf exponent that is none' 64 '' 'a number from 0 to 5' bench --zipf 1,1

# ---- nodes die ----

kill -KILL "$(pids_of dc1-c)"
soon 'up reports a node that dies, and goes on' grep -q 'dc1-c was ended by signal 9' up.log
check 'a coordinator less: commits go on' 0 '^committed' '' put after one
check 'status shows which' 0 '^dc1-c .*not reachable: ' '' status
check 'outcomes are still known' 0 '^committed' '' outcome "$txid"
kill -KILL "$(pids_of dc3-p)"
soon 'status shows the participant that is gone' \
    sh -c "'$bin/assent' status --timeout 1s | grep -q '^dc3-p .*not reachable'"
check 'a replica less: reads go on' 0 '^one$' '' get after
check 'its own copy is unreachable' 69 '' 'dc3-p' get after --at dc3 --timeout 500ms
check 'writes to all replicas are not possible, and say so' 69 '' 'dc3-p' put after two --timeout 1s
check 'writes elsewhere are' 0 '^committed' '' put dc1/after two
check 'up of all its nodes says which of them run' 64 '' 'c: already running: dc2-c, dc3-c, dc1-p, dc2-p: .*--only' up c
first_up=$up_pid
start_up --only dc3-p --only dc1-c
soon 'up --only starts them again' grep -q 'ready: 2 nodes' up.log
soon 'and all is as before' "$bin/assent" put after three --timeout 1s
check 'what was committed is there' 0 '^three$' '' get after --at dc3

# ---- the outcome is unknown while no quorum is reached ----

for node in dc2-c dc3-c; do kill -STOP "$(pids_of $node)"; done
check 'without a quorum the outcome is unknown' 2 '"status":"unknown"' 'UNKNOWN' \
    put doubt yes --timeout 1500ms -o json
txid=$(grep -oE '"txid":"[0-9a-f-]+"' out | cut -d'"' -f4)
check 'a session read does not wait for it' 1 '"found":false' 'no such key' \
    get doubt --token "$token" --timeout 1s -o json
check 'a strong read does, with a token too' 69 '' 'READ_TIMED_OUT' \
    get doubt --level strong --token "$token" --timeout 500ms
check 'wherever the token stands' 69 '' 'READ_TIMED_OUT' \
    get doubt --token "$token" --level strong --timeout 500ms
for node in dc2-c dc3-c; do kill -CONT "$(pids_of $node)"; done
decided() { "$bin/assent" outcome "$txid" --timeout 2s >out2 2>&1; [ $? -lt 2 ]; }
soon 'with it, it is decided' decided
"$bin/assent" get doubt --timeout 5s >out 2>&1
got=$?
verdict 'and the data agree' \
    "$({ grep -q '^committed' out2 && [ $got = 0 ]; } || { grep -q '^aborted' out2 && [ $got = 1 ]; }; echo $?)" \
    "$(cat out2 out)"

# ---- stopping ----

kill -INT "$up_pid"
wait "$up_pid"
verdict 'up ends well on SIGINT' $?
verdict 'having stopped its nodes, and these only' \
    "$([ -z "$(pids_of dc3-p)" ] && [ -n "$(pids_of dc2-p)" ]; echo $?)"
up_pid=$first_up
kill -TERM "$up_pid"
wait "$up_pid"
verdict 'up ends well on SIGTERM' $?
up_pid=
verdict 'no node is left' "$([ -z "$(pgrep -f -- "--data $work/")" ]; echo $?)"

cp broken.yaml c/cluster.dc2.yaml
check 'a node uses the cluster file of its datacenter; up ends when all nodes have' 69 \
    'dc2-p ended with status 78' 'all nodes have ended' up c --only dc2-p
rm c/cluster.dc2.yaml

echo "$passed passed, $failed failed"
[ $failed = 0 ]
