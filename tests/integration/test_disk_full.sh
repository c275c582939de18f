#!/usr/bin/env bash
# A participant's disk fills up: prepares are refused with DISK_FULL, the node stays up and answers
# reads, a decision that does not fit waits for room, and nothing is lost. Needs root, for a small
# file system.
#
#     tests/integration/test_disk_full.sh BUILD_DIR
. "$(dirname "$0")/lib.sh"

cluster_make full --coordinators 1
small=$WORK/small
mkdir "$small"
if ! mount -t tmpfs -o size=24m,mode=0700 tmpfs "$small"; then
    report 0 'skipped: this user may not mount a file system'
    finish
fi
mounts+=("$small")
mv "$cluster/dc2-p" "$small/dc2-p"
ln -s "$small/dc2-p" "$cluster/dc2-p"

# Takes all room that is left; room() gives it back. The ballast stays until then, so that there is
# something to give back when the node itself has taken the rest.
fill() {
    head -c 33554432 /dev/zero >>"$small/filler" 2>/dev/null # stops at the end of the file system
    [ "$(df --output=avail "$small" | tail -n 1)" -eq 0 ]
}
room() {
    rm -f "$small/filler"
}

value=$(head -c 20000 /dev/zero | tr '\0' v)
disk_full() {
    [[ $(status_lines | grep '"dc2-p"') =~ \"disk_full\":$1 ]]
}

start_all
report $? 'a cluster connects, with one participant on a small disk'
for ((i = 0; i < 5; i++)); do
    txn put "dc1/k$i" "$i" , put "dc2/k$i" "$i" , put "dc3/k$i" "$i"
    echo "$txid $answer" >>"$WORK/told"
done
is 'transactions commit' "$answer" committed

# ---- the disk fills up bit by bit ----

head -c 20971520 /dev/zero >"$small/filler"
i=5
full=0
kept='0 1 2 3 4'
while [ $full -lt 3 ] && [ $i -lt 2000 ]; do
    txn --once put "dc1/k$i" "$i" , put "dc2/k$i" "$value" , put "dc3/k$i" "$i"
    echo "$txid $answer" >>"$WORK/told"
    if [ "$answer" = committed ]; then
        kept+=" $i"
    else
        full=$((full + 1))
        last=$said
    fi
    i=$((i + 1))
    # a checkpoint may make room once more; then it is taken away
    [ $full = 0 ] || fill
done
is 'transactions are refused when the disk is full, and the client is told why' "$reason" DISK_FULL
like 'the error names the participant' "$last" 'at dc2-p'
alive dc2-p
report $? 'the node stays up'
ok 'and says that its disk is full' eventually disk_full 1
is 'and answers reads of what it has' "$(value_of dc2/k3 dc2-p)" 3
txn --once put dc1/elsewhere 1 , put dc3/elsewhere 1
is 'transactions that do not need it commit' "$answer" committed
is 'what was refused was done nowhere' "$(value_of "dc1/k$((i - 1))")$(value_of "dc2/k$((i - 1))")" --
room
commits() {
    txn put dc1/room "$1" , put dc2/room "$1" , put dc3/room "$1"
    [ "$answer" = committed ]
}
ok 'once there is room transactions commit again, without a restart' eventually commits 1
ok 'and the node says so' eventually disk_full 0

# ---- a decision that finds the disk full ----

stop dc1-c
start dc1-c ASSENT_CRASH_AT=before-send:DECIDE:1
connected
"$ASSENT" txn --client app --once --timeout 60s -o json put dc1/wait 2 , put dc2/wait 2 , put dc3/wait 2 >"$WORK/client" 2>&1 &
client=$!
children+=($client)
eventually dead dc1-c
report $? 'the coordinator dies with a decision that no participant knows'
reap dc1-c
in_doubt() {
    [[ $(status_lines | grep "\"$1\"") =~ \"in_doubt\":1 ]]
}
ok 'the participants are in doubt' eventually in_doubt dc2-p
fill
report $? 'the disk of one of them is filled'
start dc1-c
others_decided() {
    ! in_doubt dc1-p && ! in_doubt dc3-p
}
ok 'the coordinator comes back, and the others learn the decision' eventually others_decided
alive dc2-p
report $? 'the one with the full disk stays up'
ok 'what the decision wrote is read elsewhere' test "$(value_of dc1/wait)" = 2
room
settled
report $? 'once there is room the decision is applied there too'
is 'with its value' "$(value_of dc2/wait dc2-p)" 2
wait $client
children=()
txn_read "$(cat "$WORK/client")"
is 'and the client is told committed' "$answer" committed
echo "$txid $answer" >>"$WORK/told"

# ---- killed while the disk is full ----

fill
kill9 dc2-p
start dc2-p
# With no room at all it may be unable to note its start; then it says so and changes nothing.
started_or_gone() {
    dead dc2-p || logged dc2-p daemon.listening
}
eventually started_or_gone
if alive dc2-p; then
    report 0 'a node starts on a full disk'
else
    reap dc2-p
    is 'a start on a full disk that needs room fails as an I/O error' $? 74
    like 'and says that the disk is full' "$(log_of dc2-p)" 'full'
    room
    start dc2-p
fi
room
connected
report $? 'with room it serves again'
settled
wrong=0
for k in $kept; do
    want=$k
    [ $k -lt 5 ] || want=$value
    [ "$(value_of "dc2/k$k" dc2-p)" = "$want" ] || wrong=$((wrong + 1))
done
is 'every value of the committed transactions is there' $wrong 0
stop_all
report $? 'every node stops cleanly'
ok 'no transaction has two outcomes on any disk, none is open' atomic "$WORK/told"
finish
