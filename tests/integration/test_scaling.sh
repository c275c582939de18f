#!/usr/bin/env bash
# bench/scaling: that its tables, data and plots still come, with numbers in them; how fast is not judged.
#
#     tests/integration/test_scaling.sh BUILD_DIR
. "$(dirname "$0")/lib.sh"

export TMPDIR=$WORK/tmp
mkdir "$TMPDIR"

fails 'a part that there is not is refused' 1 'nonsense\? usage' bench/scaling "$BUILD" nonsense
case ${BUILD##*/} in
asan | ubsan | tsan | coverage)
    fails 'an instrumented build is refused' 1 instrumented bench/scaling "$BUILD" keys
    finish
    ;;
esac

# A signal at the shell ends what it waits for: it is put into the background, and known to cleanup().
bench/scaling "$BUILD" --seconds 1 --keys 100000 --out "$WORK/out" keys >"$WORK/said" 2>&1 &
children+=($!)
wait $!
status=$?
children=()
is 'one part is measured' "$status" 0
like 'its table has numbers' "$(cat "$WORK/said")" '\| +10000 \| +[1-9][0-9]* \| +[0-9]+\.[0-9]+ ms \| +[0-9]+\.[0-9]+ ms \|' \
    '\| +100000 \| +[1-9]'
is 'its data has a row for each' "$(awk -F '\t' 'NR > 1 && $3 > 0 && $4 > 0 && $5 >= $4' "$WORK/out/keys.tsv" | wc -l)" 2
like 'its plot is drawn, with a curve for each percentile' "$(cat "$WORK/out/keys.svg")" '</svg>' 'two participants p50' \
    'two participants p99'
is 'nothing is left of it on the disk' "$(ls "$TMPDIR")" ''
is 'no process is left of it' "$(pgrep -f -c -- "--data $TMPDIR/")" 0
finish
