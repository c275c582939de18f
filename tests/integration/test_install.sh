#!/usr/bin/env bash
# make install: what lands where, what the library exports, and programs built with pkg-config alone
# (that of the README among them) that commit across datacenters.
#
#     tests/integration/test_install.sh BUILD_DIR
. "$(dirname "$0")/lib.sh"

root=$WORK/root
variant=$(basename "$BUILD")
symbols=$(nm -D "$BUILD/libassent.so")
case $variant in
asan | tsan | ubsan | release) ;;
*) # a build directory of another name
    variant=release
    ! grep -q __asan_ <<<"$symbols" || variant=asan
    ! grep -q __tsan_ <<<"$symbols" || variant=tsan
    ;;
esac
case $variant in
asan) sanitize='-fsanitize=address,undefined' ;;
tsan) sanitize=-fsanitize=thread ;;
ubsan) sanitize=-fsanitize=undefined ;;
*) sanitize= ;;
esac

# ---- what is installed ----

ok 'make install puts everything under DESTDIR and prefix' \
    make --no-print-directory install BUILD="${BUILD#"$ROOT"/}" VARIANT="$variant" DESTDIR="$root" prefix=/usr
for file in bin/assent bin/assent-coordinator bin/assent-participant bin/assent-chaos lib/libassent.so \
    include/assent/assent.h include/assent/uv.h include/assent/status.h lib/pkgconfig/assent.pc; do
    ok "$file is installed" test -e "$root/usr/$file"
done
is 'and nothing outside of the prefix' "$(ls "$root")" usr
like 'the installed command runs' "$("$root/usr/bin/assent" --version)" '^assent [0-9]+\.[0-9]+\.[0-9]+$'

foreign=$(nm -D --defined-only "$root/usr/lib/libassent.so" | awk '$2 ~ /[TDBRVWi]/ { print $3 }' |
    grep -vE '^assent_|^_(init|fini)$')
is 'only assent_* is exported' "$foreign" ''
exported=$(nm -D --defined-only "$root/usr/lib/libassent.so" | awk '$2 == "T" { print $3 }')
declared=$(cat include/assent/*.h | sed -E 's|^ *[*/].*||' | grep -ohE '\bassent_[a-z0-9_]+\(' | tr -d '(' | sort -u)
missing=$(comm -23 <(echo "$declared") <(sort <<<"$exported"))
is 'every function of the public headers is' "$missing" ''
needed=$(ldd "$root/usr/lib/libassent.so")
ok 'the library needs no database' bash -c "! grep -q sqlite <<<'$needed'"
for header in assent uv status; do
    ok "assent/$header.h compiles by itself, strictly" \
        gcc -std=c11 -D_GNU_SOURCE -pedantic -Wall -Wextra -Werror -fsyntax-only -I "$root/usr/include" -x c <(echo "#include <assent/$header.h>")
done

# ---- programs ----

export PKG_CONFIG_PATH=$root/usr/lib/pkgconfig PKG_CONFIG_SYSROOT_DIR=$root LD_LIBRARY_PATH=$root/usr/lib
ok 'pkg-config knows the version' pkg-config --exact-version="$("$ASSENT" --version | cut -d' ' -f2)" assent

# build SENTENCE SOURCE PROGRAM
build() {
    # shellcheck disable=SC2046,SC2086
    ok "$1" gcc -std=c11 -Wall -Wextra -Werror $sanitize "$2" $(pkg-config --cflags --libs assent) -o "$3"
}
sed -n '/^```c$/,/^```$/p' README.md | sed '/^```/d' >"$WORK/ten.c"
ok 'the README has a program' grep -q assent_commit "$WORK/ten.c"
build 'it builds with pkg-config --cflags --libs assent' "$WORK/ten.c" "$WORK/ten"
build 'so does examples/transfer.c' examples/transfer.c "$WORK/transfer"
build 'and examples/routes.c' examples/routes.c "$WORK/routes"

cluster_make local
start_all
report $? 'a cluster starts'
"$ASSENT" put --client app dc1/alice 100 >/dev/null
ok 'the program of the README commits across datacenters' env -C "$WORK" "$WORK/ten"
is 'it took from the one' "$(value_of dc1/alice)" 70
is 'and gave to the other' "$(value_of dc2/bob)" 30
like 'so does the example' "$("$WORK/transfer" "$ASSENT_CLUSTER" app dc2/bob dc3/carol 10)" 'moved 10 from dc2/bob' 'dc2/bob: 20' 'dc3/carol: 10'
fails 'the example says why it does not' 1 'nothing was moved: OUT_OF_BOUNDS|nothing was moved: .*lower bound' \
    "$WORK/transfer" "$ASSENT_CLUSTER" app dc2/bob dc3/carol 1000

# ---- examples/routes.c ----

routes() {
    "$WORK/routes" "$ASSENT_CLUSTER" app "$@"
}
is 'a route is published' "$(routes publish acme shop /cart 10.0.0.7:443)" 'published acme shop /cart in all datacenters'
routes serve dc2 4 >"$WORK/served" 2>&1 &
served=$!
eventually grep -q '3 keys in dc2' "$WORK/served"
report $? 'a router in another datacenter has it'
like 'its table' "$(cat "$WORK/served")" 'route/acme active' 'route/acme/shop active' 'route/acme/shop/cart 10.0.0.7:443'
routes publish acme shop /pay 10.0.0.8:443 >/dev/null
eventually grep -q '^+ route/acme/shop/pay 10.0.0.8:443' "$WORK/served"
report $? 'it is told of another one'
routes retire acme shop /cart >/dev/null
eventually grep -q '^- route/acme/shop/cart' "$WORK/served"
report $? 'and that one is gone'
ok 'the service stays while it has an endpoint' "$ASSENT" get --client app route/acme/shop
routes retire acme shop /pay >/dev/null
wait $served
report $? 'it stops when it has seen so many changes'
ok 'the last endpoint took service and tenant along' test -z "$("$ASSENT" scan --client app route/)"
fails 'what is not there cannot be retired' 1 'nothing was changed: no such key' routes retire acme shop /pay
fails 'a service has no slash' 2 usage routes publish acme shop/eu /cart 10.0.0.7:443

stop_all
report $? 'every node stops cleanly'
finish
