#!/usr/bin/env bash
# `assent shell`: the session in docs/consistency.md, word for word; scripts, bad input, Ctrl-C; the terminal.
#
#     tests/integration/test_shell.sh BUILD_DIR
. "$(dirname "$0")/lib.sh"

PAGE=docs/consistency.md
export HOME=$WORK/home XDG_STATE_HOME=$WORK/state
mkdir "$HOME"
cluster_make shop
start_all
report $? 'a cluster starts'

# ---- the page ----

# What differs from run to run, on both sides; nothing else may.
settle_text() {
    sed -E 's/\b[0-9]{18}\b/TIMESTAMP/g; s/\bas1-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{8}\b/TOKEN/g'
}

declare -A to=() from=() # file descriptors of the shells, by datacenter
# open_shell DC
open_shell() {
    local dc=$1 in out
    mkfifo "$WORK/$dc.in" "$WORK/$dc.out"
    "$ASSENT" shell -i --client app --dc "$dc" <"$WORK/$dc.in" >"$WORK/$dc.out" 2>&1 3>&- &
    children+=($!)
    exec {in}>"$WORK/$dc.in" {out}<"$WORK/$dc.out"
    to[$dc]=$in from[$dc]=$out
    prompt_of "$dc"
}

# prompt_of DC: reads up to its next prompt; what came before it in `said`, the prompt in `prompt`.
prompt_of() {
    local part
    said=
    while IFS= read -r -t "$DEADLINE" -d '>' -u "${from[$1]}" part; do
        said+=$part'>'
        IFS= read -r -t "$DEADLINE" -N 1 -u "${from[$1]}" part || break
        said+=$part
        prompt=${said##*$'\n'}
        [ "$prompt" = "$1> " ] || [ "$prompt" = "$1*> " ] || continue
        said=${said%"$prompt"}
        return
    done
    said+=$part' (and then no prompt)'
    prompt='?> '
}

# replay FILE: types the lines of the page into the shells; prints what should be the page again.
replay() {
    local line dc token= typed
    declare -A prompts=([dc1]='dc1> ' [dc3]='dc3> ')
    while IFS= read -r line; do
        [[ $line =~ ^(dc[13])\*?'> '(.*)$ ]] || continue
        dc=${BASH_REMATCH[1]} typed=${BASH_REMATCH[2]}
        printf '%s%s\n' "${prompts[$dc]}" "$typed"
        # a token of the page stands for the one that was shown last
        [[ $typed =~ as1-[0-9a-f-]+ ]] && typed=${typed/${BASH_REMATCH[0]}/$token}
        printf '%s\n' "$typed" >&"${to[$dc]}"
        prompt_of "$dc"
        prompts[$dc]=$prompt
        printf '%s' "$said"
        [[ $said =~ as1-[0-9a-f-]+ ]] && token=${BASH_REMATCH[0]}
    done <"$1"
}

awk '/^```assent$/ { on = 1; next } /^```/ { on = 0 } on' "$PAGE" >"$WORK/session"
lines=$(wc -l <"$WORK/session")
report $((lines < 80)) 'the page has a session' "$lines lines"
open_shell dc1
is 'a shell says where it is' "$prompt" 'dc1> '
open_shell dc3
replay "$WORK/session" >"$WORK/replayed"
for session in session replayed; do settle_text <"$WORK/$session" >"$WORK/$session.settled"; done
difference=$(diff -u "$WORK/session.settled" "$WORK/replayed.settled")
report $? "every line of the session in $PAGE is what the shell says" "$difference"
for dc in dc1 dc3; do
    fd=${to[$dc]}
    exec {fd}>&-
done

# ---- scripts ----

# run TEXT [OPTION...]: a script; its outputs in `out` and `err`, its status in `status`.
run() {
    local text=$1
    shift
    printf '%b' "$text" | "$ASSENT" shell --client app "$@" >"$WORK/out" 2>"$WORK/err"
    status=$?
    out=$(cat "$WORK/out") err=$(cat "$WORK/err")
}

# gives SENTENCE STATUS OUT ERR TEXT [OPTION...]: OUT and ERR whole.
gives() {
    local sentence=$1
    run "${@:5}"
    is "$sentence" "$status|$out|$err" "$2|$3|$4"
}

gives 'a script prints results only' 0 $'committed\na b\\x00 = 1' '' \
    '# written for this test\n\nput "a b\\x00" 1 ; get "a b\\x00"'
gives 'an empty script does nothing' 0 '' '' ''
gives 'its first error ends it, and names its line' 64 $'committed' \
    "assent: line 3: 'frob' is no command: 'help' lists them" 'put k 1\n\nfrob\nput k 2\n'
gives 'nothing after it was done' 0 'k = 1' '' 'get k'
gives 'nor on the same line' 64 'k = 1' 'assent: line 1: get: too few words: write get KEY' 'get k; get; put k 2\n'
gives 'with --keep-going it goes on, and the status is that of the first error' 1 $'k = 1\ncommitted' \
    "assent: line 1: not committed: CHECK_FAILED: a check of the transaction does not hold, at dc1-p: key 'dc1/none': expected a value, found nothing
assent: line 2: get: too few words: write get KEY" 'exists dc1/none\nget;get k\nget k\nput k 2' --keep-going
gives 'a transaction that the script does not end is rolled back' 64 '' \
    'assent: line 2: the script ends inside a transaction, which is rolled back: end it with commit or rollback' \
    'begin\nput k 3'
gives 'so is one that an error ends' 64 '' 'assent: line 2: put: too few words: write put KEY VALUE' 'begin; put k 3\nput k\ncommit'
gives 'and what it wrote is not there' 0 'k = 2' '' 'get k'
gives 'quit ends it' 0 'k = 2' '' 'get k\nquit\nfrob'
gives 'so does exit' 0 'k = 2' '' 'get k\nexit\nfrob'
gives 'a last line without its end is a line' 64 '' "assent: line 2: 'x' is no command: 'help' lists them" '\nx'
head -c 5000000 /dev/zero | tr '\0' x | "$ASSENT" shell --client app >"$WORK/out" 2>"$WORK/err"
is 'a line without an end is refused' "$?|$(cat "$WORK/err")" '66|assent: line 1: the line is too long for any command: split it'
run 'scan\n' && forward=$out
run 'scan down\n'
is 'a scan down is a scan up, backwards' "$(tac <<<"$out")" "$forward"
run 'scan\n' && is 'over all placements, in order' "$(LC_ALL=C sort <<<"$out")" "$out"
run 'begin; scan; commit\n'
is 'in a transaction, too' "$out" "$forward"$'\ncommitted'
run 'scan limit=2; scan from=dc1/bank to=dc3/bob limit=1 ; scan nothing/'
is 'a scan has bounds' "$out" "$(head -2 <<<"$forward")"$'\n'"$(grep -A1 -F 'dc1/audit/1' <<<"$forward" | tail -1)"$'\nno keys'
run 'put bulk/1 1; put bulk/2 2\nbegin; put bulk/3 3; del bulk/1; savepoint a; put bulk/4 4; rollback to a; scan bulk/; commit\nscan bulk/'
is 'own writes are on top of what a transaction reads' "$out" \
    $'committed\ncommitted\nbulk/2 = 2\nbulk/3 = 3\ncommitted\nbulk/2 = 2\nbulk/3 = 3'
run 'add n 5 >=0 <=10 return\nadd n 6 <=10' && status=none
like 'an add has bounds' "$out|$err" '^n = 5' 'not committed: OUT_OF_BOUNDS: .*adding 6 gives 11 in the worst case, above its upper bound 10'

# ---- bad input: each says what to type instead, and the transaction stays as it was ----

# refused TEXT SENTENCE-REGEX: in a transaction, which then commits.
refused() {
    run "begin; put kept '$1'\n$1\ncommit\n" -k
    like "'$1' is refused" "$status|$out|$err" '^(64|1)\|committed\|assent: line 2: ' "$2"
}
refused 'get' 'too few words: write get KEY'
refused 'get ""' 'get: INVALID: .*key'
refused 'put a' 'write put KEY VALUE'
refused 'put a b c' 'too many words: write put KEY VALUE'
refused 'del' 'write del KEY'
refused 'add a' 'write add KEY N \[>=LOWER\]'
refused 'add a 1.5' "'1.5' is not a whole number"
refused 'add a 1 >5' "'>5' is no bound"
refused 'scan a b' "'b' is no part of a scan"
refused 'scan limit=0' "'limit=0' does not do"
refused 'exists' 'write exists KEY'
refused 'absent a b' 'write absent KEY'
refused 'value a' 'write value KEY VALUE'
refused 'atleast a b' "'b' is not a whole number"
refused 'begin' 'begun already: type commit or rollback first'
refused 'begin then' "'then' is no way to begin"
refused 'commit now' 'write commit alone'
refused 'savepoint' 'write savepoint NAME'
refused "savepoint $(printf %065d 0)" 'savepoint: INVALID: .*64'
refused 'rollback to' 'write rollback \[to NAME\]'
refused 'rollback to x' 'no savepoint "x"'
refused 'level session' 'a transaction reads at its snapshot'
refused 'level bounded' 'Write level bounded MS'
refused 'level snapshot soon' "'soon' does not do"
refused 'session' 'write session show\|import TOKEN'
refused 'session import x' 'not a session token'
refused 'session import as1-00000000000000000000000000000000-01a1fe5e09240001-42026d89' 'cluster|check'
refused 'explain it' 'write explain alone'
refused 'explain' 'there was no commit yet'
refused 'outcome x' 'not a transaction id'
refused 'help me' "'me' is no command"
refused 'put a "b' 'the quote " is not closed on its line'
refused 'put a \\q' 'unknown escape'
for word in commit rollback 'savepoint a' 'rollback to a'; do
    run "$word"
    is "'$word' needs a transaction" "$status|$err" "64|assent: line 1: ${word%% *}: no transaction: type begin first"
done
run 'begin at 1; get k\ncommit\nbegin at 9000000000000000000; get k' -k
like 'the past is pruned or empty, the future refused' "$out|$err" 'k is absent|PRUNED' 'line 3: get: CLOCK_AHEAD'
fails 'a word on the command line is none of it' 64 'too many arguments' "$ASSENT" shell get k
fails 'without a cluster there is no shell' 78 'no cluster file' env -u ASSENT_CLUSTER "$ASSENT" shell

# ---- what is shown on request ----

run 'help\nhelp add\nhelp commit'
like 'help lists commands, and says more about one' "$out" '^  savepoint  Names this place' \
    '^add KEY N \[>=LOWER\] \[<=UPPER\] \[return\]$' '^commit$'
for command in $(sed -nE 's/^    \{"([a-z]+)", SHELL_.*/\1/p' client/command_shell_line.c); do
    grep -qE "^  $command " <<<"$out" || report 1 "help lists $command" "$out"
done
run 'begin; put dc1/e 1; put dc3/e 2; commit; explain; level; level bounded 700; level; get k; explain'
like 'explain shows a commit beside its floor' "$out" '^status       committed$' '^txid         [0-9a-f-]{36}$' \
    '^leader       dc1-c$' '^client to leader and back +[0-9.]+ [um]s$' '^quorum +[0-9.]+ [um]s' '^total +[0-9.]+ [um]s$' \
    '^floor +[0-9.]+ [um]s   the network to dc[13]-p, and client to leader$' '^above it .* total is [0-9.]+ times the floor$' \
    '^participant +network +lock wait +sync$' '^dc3-p +[0-9.]+ [um]s'
like 'and a read, who answered and how old it is' "$out" '^read at      dc1-p$' '^age          at most '
like 'level shows the level' "$out" '^strong$' '^bounded 700$'
txid=$(sed -nE 's/^txid +//p' <<<"$out")
gives 'outcome says what became of it' 0 'committed' '' "outcome $txid"
run 'begin; get k; commit; explain'
like 'a commit that only read sends nothing' "$out" '^It only read: nothing was sent\.$'

# ---- Ctrl-C and lost outcomes ----

majority() {
    local node
    for node in "${nodes[@]}"; do
        [ "${role[$node]}" = coordinator ] && [ "$node" != dc1-c ] && kill "-$1" "${pid[$node]}"
    done
}
majority STOP
run 'put doubt 1' --timeout 1500ms
like 'what may have committed is told with its txid, and how to ask' "$status|$err" \
    '^2\|assent: line 1: maybe committed: UNKNOWN: .*: ask with outcome [0-9a-f-]{36}$'
# A participant has prepared, and waits for coordinators that have stopped.
in_doubt() {
    "$ASSENT" status --client app --timeout 500ms -o json 2>/dev/null | grep -qE '"in_doubt":[1-9]'
}
majority CONT
settled
majority STOP
printf 'put doubt 2\nput doubt 3\n' >"$WORK/in"
"$ASSENT" shell --client app --timeout 60s <"$WORK/in" >"$WORK/out" 2>"$WORK/err" &
shell=$!
children+=($shell)
eventually in_doubt
kill -INT $shell
wait $shell
status=$?
txid=$(grep -oE '[0-9a-f]{8}-[0-9a-f-]{27}' "$WORK/err" | head -1)
like 'Ctrl-C ends a script in mid-commit, with the txid' "$status|$(cat "$WORK/out" "$WORK/err")" '^130\|' \
    "assent: line 1: commit: interrupted: $txid may commit all the same: ask with outcome $txid"
majority CONT
decided() {
    run "outcome $txid" --timeout 2s
    [[ $out =~ ^(committed|aborted) ]]
}
ok 'outcome answers for it' eventually decided

# ---- the terminal ----

# terminal [COMMAND...]: a shell on a terminal of script(1), with keys from `keys`, what is shown in $WORK/shown.
terminal() {
    rm -f "$WORK/keys" "$WORK/shown"
    mkfifo "$WORK/keys"
    TERM=xterm script -qfec "'$ASSENT' shell --client app $*" /dev/null <"$WORK/keys" >"$WORK/shown" 2>&1 3>&- &
    terminal=$!
    children+=($terminal)
    exec {keys}>"$WORK/keys"
    shows 'dc1> '
}
keys() {
    printf "$1" >&"$keys"
}
shown() {
    sed -E 's/\x1b\[[0-9;]*[A-Za-z]//g; s/\r//g' "$WORK/shown"
}
# shows TEXT [TIMES]: as a part of a line, without what moves the cursor
shows() {
    local text=$1 times=${2-1} end=$((SECONDS + DEADLINE))
    until [ "$(shown | grep -cF -- "$text")" -ge "$times" ]; do
        [ $SECONDS -lt $end ] || return 1
        sleep 0.05
    done
}
# see SENTENCE TEXT [TIMES]
see() {
    shows "$2" "${3-1}"
    report $? "$1" "$(shown)"
}
quit_terminal() {
    keys '\004'
    wait "$terminal"
    is "$1" $? 0
    exec {keys}>&-
}

terminal
keys 'savep\t'
see 'the tab key completes a command' 'savepoint '
keys '\003'
see 'Ctrl-C clears the line' '^C'
keys 'le\te\t\r'
keys 'level\r'
see 'and a level' 'eventual' 2
keys 's\t\t'
see 'two tabs list what may follow' 'scan  savepoint  session'
keys '\003'
see 'Ctrl-C clears what is left of it' '^C' 2
keys 'put t/1 one\r'
see 'a command runs' 'committed'
keys 'put t/2 "größer"\r'
see 'another, not in ASCII' 'committed' 2
keys '\033[A\033[A\r'
see 'the arrow key brings lines back' 'committed' 3
keys 'scan t/\r'
see 'and what was typed is there' 't/2 = größer'
keys 'begin\r'
see 'the prompt says that a transaction has begun' 'dc1*> '
keys 'put t/1 three\r'
quit_terminal 'Ctrl-D quits'
see 'and rolls back' 'rolled back'
is 'the history is in a file, for its owner only' "$(stat -c %a "$WORK/state/assent/shell_history")" 600
is 'with each line once' "$(grep -c 'put t/1 one' "$WORK/state/assent/shell_history")" 2
terminal
keys '\033[A\033[A\033[A\r'
see 'the next shell has the history' 't/1 = one'
settled
majority STOP
keys 'put t/doubt 1\r'
eventually in_doubt
keys '\003'
see 'Ctrl-C ends the wait for a commit, with its txid' 'interrupted: '
keys 'help quit\r'
see 'the shell goes on' 'Ends the shell'
majority CONT
txid=$(shown | sed -nE 's/.*interrupted: ([0-9a-f-]{36}) may.*/\1/p')
told() {
    keys '\r'
    shown | grep -qE "^$txid has (not )?committed"
}
ok 'and tells what became of it' eventually told
quit_terminal 'it ends well'
rm -r "$WORK/state" && touch "$WORK/state"
terminal
keys 'get k\r'
see 'a history that cannot be written is no failure' 'k = 2'
quit_terminal 'to the end'

children=() # all shells have ended by themselves
stop_all
report $? 'all nodes stop'
finish
