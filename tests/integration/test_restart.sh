#!/usr/bin/env bash
# Nodes are killed and restarted at random under load: the balances at the end are those that follow
# from what the clients were told. Then the log of a killed node is damaged, and it refuses to start.
#
#     tests/integration/test_restart.sh BUILD_DIR
#
# KILLS=n and SEED=n change how many and which.
. "$(dirname "$0")/lib.sh"

KILLS=${KILLS:-15}
SEED=${SEED:-$RANDOM}
LOOPS=4
MONEY=1000
echo "# SEED=$SEED"

cluster_make restart
start_all
report $? 'a cluster of six nodes connects'
accounts=()
for dc in dc1 dc2 dc3; do
    for i in 1 2 3; do accounts+=("$dc/account$i"); done
done
for account in "${accounts[@]}"; do
    "$ASSENT" put --client app "$account" $MONEY >/dev/null || report 1 "$account is opened"
done

# ---- transfers, while nodes die ----

# Lines "txid answer from to amount" into a file, until the file `stop` is there.
transfers() {
    local from to amount
    RANDOM=$((SEED + $1))
    while [ ! -e "$WORK/stop" ]; do
        from=${accounts[RANDOM % 9]}
        to=${accounts[RANDOM % 9]}
        amount=$((RANDOM % 50 + 1))
        [ "$from" != "$to" ] || continue
        txn --once --timeout 20s --dc "dc$((RANDOM % 3 + 1))" add "$from" -$amount min=0 , add "$to" $amount
        echo "${txid:--} $answer $from $to $amount" >>"$WORK/told.$1"
    done
}

for ((i = 1; i <= LOOPS; i++)); do
    : >"$WORK/told.$i"
    transfers $i &
    children+=($!)
done
loops=("${children[@]}")
lines() {
    cat "$WORK"/told.* | wc -l
}
more_than() {
    [ "$(lines)" -gt "$1" ]
}
RANDOM=$SEED
for ((kill = 0; kill < KILLS; kill++)); do
    node=${nodes[RANDOM % ${#nodes[@]}]}
    eventually more_than $(($(lines) + 3)) || report 1 "transfers go on before kill $kill, of $node"
    kill9 "$node"
    sleep 0.$((RANDOM % 5))
    start "$node"
    eventually logged "$node" daemon.listening || report 1 "$node comes back" "$(log_of "$node")"
done
eventually more_than $(($(lines) + 20))
report $? "transfers go on after $KILLS kills"
touch "$WORK/stop"
for child in "${loops[@]}"; do
    wait "$child"
done
children=()
connected
report $? 'every node is connected again'
settled
report $? 'nobody stays in doubt'

# ---- what became of it ----

cat "$WORK"/told.* >"$WORK/told"
echo "# told: $(cut -d' ' -f2 "$WORK/told" | sort | uniq -c | tr -s ' \n' ' ')"
declare -A balance=()
for account in "${accounts[@]}"; do balance[$account]=$MONEY; done
open=0
while read -r txid answer from to amount; do
    if [ "$answer" = unknown ]; then
        answer=$(outcome_of "$txid")
        [ "$answer" = committed ] || [ "$answer" = aborted ] || { open=$((open + 1)); echo "# $txid: $answer"; }
    fi
    echo "$txid $answer" >>"$WORK/outcomes_told"
    if [ "$answer" = committed ]; then
        balance[$from]=$((${balance[$from]} - amount))
        balance[$to]=$((${balance[$to]} + amount))
    fi
done <"$WORK/told"
is 'every transfer has an outcome' $open 0
wrong=
sum=0
for account in "${accounts[@]}"; do
    value=$(value_of "$account")
    [ "$value" = "${balance[$account]}" ] || wrong+="$account is $value, not ${balance[$account]}; "
    sum=$((sum + value))
done
is 'every balance is what follows from the outcomes' "$wrong" ''
is 'no money appeared or was lost' $sum $((MONEY * ${#accounts[@]}))
wrong=
while read -r txid answer; do
    now=$(outcome_of "$txid")
    [ "$now" = "$answer" ] || wrong+="$txid was $answer, and is $now; "
done < <(shuf -n 30 --random-source=<(yes "$SEED") "$WORK/outcomes_told" | grep -v '^- ')
is 'thirty of them are asked again, and have the same outcome' "$wrong" ''

# ---- a damaged log ----

# The write-ahead log of a copy is what SQLite takes from the file: the frames whose salts are those
# of its header. Behind them may be others, from before the last checkpoint.
copy() {
    rm -rf "$damaged"
    cp -a "$cluster/$1" "$damaged"
    local page salt
    page=$((0x$(od -An -tx1 -j 8 -N 4 "$wal" | tr -d ' \n')))
    salt=$(od -An -tx1 -j 16 -N 8 "$wal" | tr -d ' \n')
    frame=$((page + 24))
    frames=$(od -An -v -tx1 -w$frame -j 32 "$wal" | awk -v salt="$salt" '
        $9 $10 $11 $12 $13 $14 $15 $16 != salt { exit }
        { n++ }
        END { print n + 0 }')
}
flip() {
    local byte
    byte=$(od -An -tu1 -j "$2" -N 1 "$1" | tr -d ' ')
    printf "\\x$(printf %02x $((byte ^ 4)))" | dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}
# How many rows of the log the check before found.
rows() {
    sed -nE 's/.*"?rows"?[=:] ?([0-9]+).*/\1/p' "$WORK/check" | tail -n 1
}
starts() {
    "${check[@]}" "$damaged" >"$WORK/check" 2>&1
    report $? "$1" "$(cat "$WORK/check")"
}
# Whatever became of the write-ahead log: the tail has what the database lacks without it.
mended() {
    starts "$1, and it would start"
    is "$1: with all rows, put back from the tail" "$(rows)" "$all"
}
damaged=$WORK/damaged
wal=$damaged/node.db-wal
for ((i = 0; i < 20; i++)); do # so that there are rows after those that will be damaged
    txn --dc dc1 put dc1/late $i , put dc2/late $i
done
# A checkpoint may just have emptied the write-ahead log: then the rows are applied in a moment.
for node in dc1-p dc1-c; do
    eventually test -s "$cluster/$node/node.db-wal" || report 1 "$node has a write-ahead log"
done
kill9 dc1-p
kill9 dc1-c
for node in dc1-p dc1-c; do
    check=("$BUILD/assent-${role[$node]}" --cluster "$cluster/cluster.yaml" --node "$node" --check-config --data)
    copy $node
    starts "$node: a copy of its directory, as kill -9 left it, would start"
    all=$(rows)
    copy $node
    flip "$wal" $((32 + (frames - 1) * frame + 1000))
    mended "$node: one flipped bit at the end of its write-ahead log"
    copy $node
    flip "$wal" $((32 + frames / 3 * frame + 1000))
    mended "$node: one flipped bit in the midst of its write-ahead log"
    copy $node
    truncate -s $((32 + frames / 3 * frame)) "$wal"
    mended "$node: most of its write-ahead log gone"
    copy $node
    rm "$wal" "$damaged/node.db-shm"
    mended "$node: its write-ahead log gone"
    copy $node
    dd if=/dev/urandom of="$damaged/node.db.tail" bs=1M count=16 conv=notrunc status=none
    fails "$node: the tail overwritten, and it refuses to start" 78 'no entry of the tail is valid' \
        "${check[@]}" "$damaged"
done
start dc1-p
start dc1-c
connected
report $? 'the undamaged originals start'
settled
stop_all
report $? 'every node stops cleanly'
ok 'no transaction has two outcomes on any disk, nobody is in doubt' atomic "$WORK/outcomes_told"

# ---- the check itself ----

sqlite3 "$cluster/dc1-p/node.db" \
    'UPDATE outcomes SET outcome = 2 WHERE txid = (SELECT max(txid) FROM outcomes WHERE outcome = 1)'
fails 'that check finds one outcome that was turned round' 1 'two outcomes: [0-9a-f]{32}$' atomic "$WORK/outcomes_told"
finish
