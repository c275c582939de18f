#!/usr/bin/env bash
# Interactive transactions: each anomaly that they must not have, with the library and real daemons.
#
#     tests/integration/test_interactive.sh BUILD_DIR
. "$(dirname "$0")/lib.sh"

sanitize=
symbols=$(nm -D "$BUILD/libassent.so")
! grep -q __tsan_ <<<"$symbols" || sanitize=-fsanitize=thread
! grep -q __ubsan_ <<<"$symbols" || sanitize=-fsanitize=undefined
! grep -q __asan_ <<<"$symbols" || sanitize='-fsanitize=address,undefined'
# shellcheck disable=SC2086
ok 'the program builds' gcc -std=c11 -D_GNU_SOURCE -Wall -Wextra -Werror $sanitize -Iinclude \
    tests/integration/interactive.c -L"$BUILD" -lassent -Wl,-rpath,"$BUILD" -lpthread -o "$WORK/interactive"

cluster_make local
start_all
report $? 'a cluster starts'

# that SENTENCE TEST
that() {
    ok "$1" "$WORK/interactive" "$ASSENT_CLUSTER" "$2"
}

that 'no update is lost' lost_update

stop_all
report $? 'every node stops cleanly'
finish
