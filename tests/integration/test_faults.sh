#!/usr/bin/env bash
# What a node refuses: wrong arguments, files, directories and keys at its start; strangers, other
# clusters and noise on its port; operations over a grant or a limit. Each with a message that names
# the thing, and without harm to what else it does.
#
#     tests/integration/test_faults.sh BUILD_DIR
. "$(dirname "$0")/lib.sh"

cluster_make faults
file=$cluster/cluster.yaml

# A copy of a node's data directory, to be spoiled: its path.
copy_of() {
    rm -rf "$WORK/copy"
    cp -a "$cluster/$1" "$WORK/copy"
    echo "$WORK/copy"
}

# refused STATUS REGEX SENTENCE OPTIONS...: a start of dc1-p with its cluster file and these.
refused() {
    local status=$1 regex=$2 sentence=$3
    shift 3
    fails "$sentence" "$status" "$regex" timeout "$DEADLINE" "$BUILD/assent-participant" --cluster "$file" --node dc1-p "$@"
}

# ---- arguments ----

for program in assent-coordinator assent-participant; do
    is "$program --version says what it is" "$("$BUILD/$program" --version)" "$program 0.1.0"
    like "$program --help explains its options" "$("$BUILD/$program" --help)" '--cluster' '--node' '--data' '--check-config'
    fails "$program without arguments is a usage error" 64 'required' "$BUILD/$program"
done
data=$cluster/dc1-p
refused 64 "unrecognized option '--colour'" 'an unknown option is a usage error' --data "$data" --colour
refused 64 "unexpected argument 'more'" 'an argument too many is a usage error' --data "$data" more
refused 64 'debug, info, warn or error' 'an unknown log level is a usage error' --data "$data" --log-level loud
refused 64 'HOST:PORT' 'an address without a port is a usage error' --data "$data" --listen localhost
refused 64 'HOST:PORT' 'a port over 65535 is a usage error' --data "$data" --listen 127.0.0.1:99999
fails 'a malformed crash point is a usage error' 64 'ASSENT_CRASH_AT must be' \
    env ASSENT_CRASH_AT=sometime "$BUILD/assent-participant" --cluster "$file" --node dc1-p --data "$data"

# ---- the cluster file ----

ok '--check-config accepts a node that can start' \
    "$BUILD/assent-participant" --cluster "$file" --node dc1-p --data "$data" --check-config
fails 'a cluster file that is not there is named' 78 'none.yaml: No such file' \
    "$BUILD/assent-participant" --cluster "$WORK/none.yaml" --node dc1-p --data "$data"
echo 'nodes: [' >"$WORK/bad.yaml"
fails 'a file that is not YAML is refused with the line' 78 'bad.yaml:[0-9]+: not YAML' \
    "$BUILD/assent-participant" --cluster "$WORK/bad.yaml" --node dc1-p --data "$data"
sed 's/epoch: 1/epoch: many/' "$file" >"$WORK/bad.yaml"
fails 'a wrong value is refused with the line, the value and what would do' 78 \
    'bad.yaml:[0-9]+: .*epoch "many" is not a number from 1 to' \
    "$BUILD/assent-participant" --cluster "$WORK/bad.yaml" --node dc1-p --data "$data"
sed 's/^times:/heartbeat: 3\n&/' "$file" >"$WORK/bad.yaml"
fails 'an unknown key of the cluster file is refused by name' 78 'bad.yaml:[0-9]+: .*heartbeat' \
    "$BUILD/assent-participant" --cluster "$WORK/bad.yaml" --node dc1-p --data "$data" --check-config
fails 'a node that the cluster file does not have is refused by name' 78 "no participant named 'nobody'" \
    "$BUILD/assent-participant" --cluster "$file" --node nobody --data "$data"
fails 'a coordinator is not started as a participant' 78 "no participant named 'dc1-c'" \
    "$BUILD/assent-participant" --cluster "$file" --node dc1-c --data "$cluster/dc1-c"

# ---- the key file ----

copy=$(copy_of dc1-p)
chmod 640 "$copy/node.key"
refused 78 'chmod 600' 'a key file that others may read is refused with the command that mends it' --data "$copy"
refused 78 'chmod 600' '--check-config refuses it too' --data "$copy" --check-config
copy=$(copy_of dc1-p)
cp "$cluster/dc2-p/node.key" "$copy/node.key"
refused 78 "not one of the node's keys" 'the key of another node is refused' --data "$copy"
echo 'not a key' >"$copy/node.key"
refused 78 'node.key' 'a key file without a key is refused' --data "$copy"

# ---- the data directory ----

rm -rf "$WORK/empty" && mkdir "$WORK/empty" && cp -p "$data/node.key" "$WORK/empty"
refused 78 'no node.db; a start never creates one' 'an empty data directory is refused, and stays empty' --data "$WORK/empty"
is 'nothing was made in it' "$(ls "$WORK/empty")" node.key
copy=$(copy_of dc2-p)
cp "$data/node.key" "$copy/node.key"
refused 78 'belongs to node dc2-p .*not to dc1-p' 'the data directory of another node is refused with both names' --data "$copy"
copy=$(copy_of dc1-p)
rm "$copy/node.db" && sqlite3 "$copy/node.db" 'CREATE TABLE t(x)'
before=$(md5sum <"$copy/node.db")
refused 78 'database of another program' 'the database of another program is refused' --data "$copy"
is 'and not changed' "$(md5sum <"$copy/node.db")" "$before"
yes 'this is a text' | head -n 100 >"$copy/node.db"
refused 78 'not a SQLite database' 'a file that is no database is refused' --data "$copy"
: >"$copy/node.db"
refused 78 'node.db is empty' 'a database of no bytes is refused' --data "$copy"
copy=$(copy_of dc1-p)
sqlite3 "$copy/node.db" 'PRAGMA user_version = 3'
refused 78 'format 3, and this program reads up to 2' 'the database of a newer program is refused with both formats' --data "$copy"
copy=$(copy_of dc1-p)
rm "$copy/node.db.tail"
refused 78 'no node.db.tail' 'a database without its tail is refused' --data "$copy"
copy=$(copy_of dc1-p)
rm "$copy/node.db"
refused 78 'tail but no node.db' 'a tail without its database is refused' --data "$copy"
copy=$(copy_of dc1-p)
sqlite3 "$copy/node.db" 'UPDATE meta SET incarnation = 7'
refused 78 'page [0-9]+ of .*/node.db is damaged.*another program wrote' 'a database that another program has changed is refused' --data "$copy"
copy=$(copy_of dc1-p)
printf '\xff' | dd of="$copy/node.db" bs=1 seek=8000 conv=notrunc status=none
refused 78 'page 2 of .*/node.db is damaged' 'one changed byte in the database is refused, and its page named' --data "$copy"
sed 's/^  id: ".*"/  id: "0123456789abcdef0123456789abcdef"/' "$file" >"$WORK/id.yaml"
fails 'the data directory of another cluster is refused with both ids' 78 'of cluster [0-9a-f]{32}, not to cluster 0123456789abcdef0123456789abcdef' \
    "$BUILD/assent-participant" --cluster "$WORK/id.yaml" --node dc1-p --data "$data"

# ---- a running cluster, with clients of few rights ----

"$ASSENT" init "$WORK/other" --base-port "$(free_ports 16)" >/dev/null
public_of() {
    awk '/^clients:/ { on = 1 } on && /- "/ { gsub(/[" -]/, ""); print; exit }' "$1"
}
cp "$WORK/other/app.key" "$cluster/clerk.key"
sed -i "s|^clients:|&\n  - name: clerk\n    keys: [\"$(public_of "$WORK/other/cluster.yaml")\"]\n    grants:\n      - {prefix: \"dc1/\", rights: [read, write]}\n      - {prefix: \"dc2/\", rights: [read]}|" "$file"
start_all
report $? 'a cluster of six nodes connects'

# refuses SENTENCE STATUS REGEX ARGUMENTS...: the command as app
refuses() {
    local sentence=$1 status=$2 regex=$3 command=$4
    shift 4
    fails "$sentence" "$status" "$regex" "$ASSENT" "$command" --client app "$@"
}

fails 'a node is not started twice on one data directory' 74 'locked: another process serves' \
    timeout "$DEADLINE" "$BUILD/assent-participant" --cluster "$file" --node dc1-p --data "$data"
copy=$(copy_of dc1-p) # no start may ever serve a copy; here it is to fail before that
kill9 dc3-p
fails 'a port in use is refused' 69 'cannot listen on .*address already in use' \
    timeout "$DEADLINE" "$BUILD/assent-participant" --cluster "$file" --node dc3-p --data "$cluster/dc3-p" --listen "$(address_of dc1-p)"
start dc3-p
connected

ok 'a client does what it has a grant for' "$ASSENT" put --client clerk dc1/a 1
fails 'a write without a grant is denied, and the key named' 1 "DENIED: .*key 'dc2/a': client clerk may not write it" \
    "$ASSENT" txn --client clerk put dc1/a 2 , put dc2/a 2
is 'and the rest of that transaction was not done either' "$(value_of dc1/a)" 1
ok 'a read with a grant is answered' "$ASSENT" txn --client clerk get dc2/a
fails 'a read without a grant is denied, and the key named' 1 "DENIED: .*key 'dc3/a': client clerk may not read it" \
    "$ASSENT" get --client clerk dc3/a
fails 'a key file that is not the named client'\''s is refused' 78 'not a key of the client clerk' \
    "$ASSENT" get --client clerk --key "$cluster/app.key" dc1/a

# A client that believes to be known: its key is in its own copy of the cluster file only.
"$ASSENT" init "$WORK/third" --base-port "$(free_ports 16)" >/dev/null
cp "$WORK/third/app.key" "$WORK/app.key"
sed "s/$(public_of <(sed -n '/name: "app"/,$p' "$file" | sed '1i clients:'))/$(public_of "$WORK/third/cluster.yaml")/" "$file" >"$WORK/stranger.yaml"
fails 'a client whose key the nodes do not know is not served' 69 'NOT_SENT' \
    "$ASSENT" put --cluster "$WORK/stranger.yaml" --client app --timeout 5s dc1/a 3
# Lines about refusals are limited in number: it may take a few tries until one is about this.
tried_and_logged() {
    "$ASSENT" txn --cluster "$1" --client app --timeout 500ms put dc1/a 3
    logged dc1-c "$2"
}
ok 'and the nodes log that' eventually tried_and_logged "$WORK/stranger.yaml" 'peer.refused.*not one that this node.s cluster file gives to client .app.'

big_key=dc2/$(head -c 4093 /dev/zero | tr '\0' k)
ok 'a key of 4096 bytes fits' "$ASSENT" put --client app "${big_key%k}" 1
refuses 'a key of 4097 bytes does not' 1 'TOO_LARGE: a key of 4097 bytes' put "$big_key" 1
{ printf 'put dc2/big '; head -c 1048576 /dev/zero | tr '\0' v; } >"$WORK/ops"
ok 'a value of 1 MiB fits' "$ASSENT" txn --client app --file "$WORK/ops"
sed -i 's/vv$/vvv/' "$WORK/ops"
refuses 'a byte more does not' 1 'TOO_LARGE: a value of 1048577 bytes' txn --file "$WORK/ops"

ok 'a word is put' "$ASSENT" put --client app dc2/word hello
refuses 'an add to a word is refused with what was found' 1 "NOT_INTEGER: .*key 'dc2/word': expected an integer, found 'hello'" add dc2/word 1
refuses 'an add below its lower bound is refused' 1 "OUT_OF_BOUNDS: .*key 'dc2/n': .*below its lower bound 0" add --min 0 dc2/n -1
refuses 'an add above its upper bound is refused' 1 "OUT_OF_BOUNDS: .*key 'dc2/n': .*above its upper bound 5" add --max 5 dc2/n 6
ok 'an add up to 64 bits is done' "$ASSENT" add --client app dc2/n 9223372036854775807
refuses 'an add past 64 bits is refused' 1 "OVERFLOW: .*key 'dc2/n'" add dc2/n 1
is 'and the number is what it was' "$(value_of dc2/n)" 9223372036854775807
refuses 'a failed check names the key' 1 "CHECK_FAILED: .*dc3/none" txn put dc1/a 9 , exists dc3/none
refuses 'an operation that is none is a usage error' 64 "'frobnicate' is no operation" txn frobnicate dc1/a

# ---- nodes of other clusters and epochs ----

sed 's/epoch: 1/epoch: 2/' "$file" >"$WORK/epoch.yaml"
awk '/name: "dc2-c"/ { on = 1 }
    on && /- "/ { print "      - \"1111111111111111111111111111111111111111111111111111111111111111\""; on = 0; next }
    { print }' "$file" >"$WORK/set.yaml"
cp "$cluster/app.key" "$WORK/app.key"
for other in 'another epoch|epoch.yaml|epoch differs: this node has 2, the peer has 1' \
    'another coordinator set|set.yaml|coordinator set differs: this node has [0-9a-f]{16}, the peer has [0-9a-f]{16}'; do
    IFS='|' read -r sentence name regex <<<"$other"
    daemon_file=$WORK/$name
    kill9 dc3-p
    start dc3-p
    daemon_file=
    eventually logged dc3-p "peer.refused.*$regex"
    report $? "a node of $sentence says so with both values" "$(log_of dc3-p)"
    txn --once --timeout 1s put dc3/o 1
    is "nothing is committed at a node of $sentence" "${answer/unknown/aborted}" aborted
    fails "a client of $sentence is refused with both values" 69 "${regex//this node has 2, the peer has 1/this node has 1, the peer has 2}" \
        "$ASSENT" put --client app --cluster "$WORK/$name" --timeout 2s dc1/o 1
done
sed 's/^  id: ".*"/  id: "0123456789abcdef0123456789abcdef"/' "$file" >"$WORK/id.yaml"
fails 'a client of another cluster is refused with both ids' 69 'another cluster: expected 0123456789abcdef0123456789abcdef, got [0-9a-f]{32}' \
    "$ASSENT" status --client app --cluster "$WORK/id.yaml"
ok 'and the node logs both ids' eventually tried_and_logged "$WORK/id.yaml" 'another cluster: expected [0-9a-f]{32}, got 0123456789abcdef0123456789abcdef'
kill9 dc3-p
start dc3-p
connected
report $? 'with its own cluster file the node is admitted again'

# ---- noise ----

noise() {
    local address
    while :; do
        for address in "${addresses[@]}"; do
            { # a flood; a length that promises much; nothing at all for a while; a web browser
                exec 5<>"/dev/tcp/${address/://}" && head -c 70000 /dev/urandom >&5
                exec 5<>"/dev/tcp/${address/://}" && printf '\xff\xff\xff\xff\xff\xff\xff\xff' >&5
                exec 6<>"/dev/tcp/${address/://}"
                exec 5<>"/dev/tcp/${address/://}" && printf 'GET / HTTP/1.1\r\nHost: x\r\n\r\n' >&5 && read -r -t 1 -u 5
                exec 5>&- 6>&-
            } 2>/dev/null
        done
    done
}
addresses=()
for node in "${nodes[@]}"; do addresses+=("$(address_of "$node")"); done
trap '' PIPE
noise &
children+=($!)
bad=0
for ((i = 0; i < 40; i++)); do
    txn put "dc1/noise$i" $i , put "dc2/noise$i" $i , put "dc3/noise$i" $i
    [ "$answer" = committed ] || { bad=$((bad + 1)); echo "# $said"; }
done
is 'forty transactions commit while every port gets noise' $bad 0
ok 'the noise is refused, and logged' eventually logged dc2-p 'peer.refused'
kill "${children[-1]}"
wait "${children[-1]}"
children=()
for node in "${nodes[@]}"; do
    alive "$node" || { report 1 "$node survives the noise"; continue; }
done
is 'every node has survived it' "${#pid[@]}" 6

# ---- stop and start ----

settled
report $? 'nothing stays open'
for node in "${nodes[@]}"; do
    stop "$node"
    is "$node: SIGTERM ends it with status 0" $? 0
    ok "$node: its last line is that it stopped cleanly" grep -q 'stopped cleanly' <(log_of "$node" | tail -n 1)
done
ok 'no transaction has two outcomes on any disk, nobody is in doubt' atomic
start dc1-p
ok 'a start logs its incarnation and the rows it found, none to replay after a clean stop' \
    eventually logged dc1-p '"daemon.recovered".*"incarnation":[2-9],"rows":[1-9][0-9]*,"restored":0,"replayed":0,"in_doubt":0'
start_all_others() {
    local node
    for node in "${nodes[@]}"; do [ "$node" = dc1-p ] || start "$node"; done
    connected
}
start_all_others
txn put dc1/last 1
kill9 dc1-p
start dc1-p
ok 'a start after kill -9 replays rows' eventually logged dc1-p '"daemon.recovered".*"incarnation":[3-9],"rows":[1-9][0-9]*,"restored":[0-9]+,"replayed":[0-9]+'
connected
is 'and has what was committed' "$(value_of dc1/last)" 1
stop_all
report $? 'every node stops cleanly'

# ---- a disk that loses a bit under a running node ----

start_all
database=$cluster/dc1-p/node.db
root=$(sqlite3 -readonly "$database" "SELECT rootpage FROM sqlite_schema WHERE name = 'kv'")
printf '\xff' | dd of="$database" bs=1 seek=$((root * 4096 - 100)) conv=notrunc status=none
is 'what it spoiled is not read' "$(value_of dc1/last | cut -d: -f1)" unreadable
eventually dead dc1-p
report $? 'the node that was to read it stops'
reap dc1-p
is 'as after any I/O error' $? 74
ok 'and says which page it is' grep -q "page $root of .*node.db is damaged" <(log_of dc1-p)
refused 78 "page $root of .*node.db is damaged" 'it does not start again' --data "$cluster/dc1-p"
stop_all
report $? 'all others stop cleanly'
finish
