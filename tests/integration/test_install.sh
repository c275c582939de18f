#!/usr/bin/env bash
# make install: what lands where, what the library exports, and a program built with pkg-config alone that
# commits across datacenters.
. "$(dirname "$0")/lib.sh"

root=$WORK/root
variant=$(basename "$BUILD")
ok 'make install puts everything under DESTDIR and prefix' \
    make --no-print-directory install VARIANT="$variant" DESTDIR="$root" prefix=/usr
for file in bin/assent bin/assent-coordinator bin/assent-participant bin/assent-chaos lib/libassent.so \
    include/assent/assent.h include/assent/uv.h include/assent/status.h lib/pkgconfig/assent.pc; do
    ok "$file is installed" test -e "$root/usr/$file"
done
foreign=$(nm -D --defined-only "$root/usr/lib/libassent.so" | awk '$2 ~ /[TDBRVW]/ { print $3 }' |
    grep -vE '^assent_|^_(init|fini)$')
ok 'only assent_* is exported' test -z "$foreign"
needed=$(ldd "$root/usr/lib/libassent.so")
ok 'the library needs no database' bash -c "! grep -q sqlite <<<'$needed'"

cat >"$WORK/program.c" <<'C'
#include <assent/assent.h>
int main(int argc, char **argv)
{
    assent *db;
    if (argc != 2 || assent_open(&db, &(assent_options){.cluster_file = argv[1]}) != ASSENT_OK)
        return 2;
    assent_txn *t = assent_txn_new(db);
    assent_put(t, "dc1/k", 5, "one", 3);
    assent_put(t, "dc2/k", 5, "two", 3);
    assent_status s = assent_commit(t, NULL);
    assent_txn_free(t);
    assent_close(db);
    return s == ASSENT_OK ? 0 : 1;
}
C
export PKG_CONFIG_PATH=$root/usr/lib/pkgconfig PKG_CONFIG_SYSROOT_DIR=$root LD_LIBRARY_PATH=$root/usr/lib
sanitize=
case $variant in asan) sanitize='-fsanitize=address,undefined' ;; tsan) sanitize=-fsanitize=thread ;; ubsan) sanitize=-fsanitize=undefined ;; esac
# shellcheck disable=SC2046
ok 'a program builds with pkg-config --cflags --libs assent' \
    gcc -std=c11 -Wall -Wextra -Werror $sanitize "$WORK/program.c" $(pkg-config --cflags --libs assent) -o "$WORK/program"
cluster_make install
start_all || report 1 'the cluster starts'
ok 'it commits across datacenters' "$WORK/program" "$ASSENT_CLUSTER"
for key in dc1/k=one dc2/k=two; do
    ok "$key is there" test "$(value_of "${key%=*}")" = "${key#*=}"
done
stop_all
finish
