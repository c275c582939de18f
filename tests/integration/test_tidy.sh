#!/usr/bin/env bash
# tests/tidy/tidy finds one planted fault of every kind that it looks for, and nothing without one.
#
#     tests/integration/test_tidy.sh BUILD_DIR
. "$(dirname "$0")/lib.sh"

copy=$WORK/tree
mkdir "$copy"
git ls-files -z | xargs -0 -I{} cp --parents {} "$copy"
command -v clang-format >/dev/null || make --no-print-directory deps-dev >/dev/null 2>&1
ok 'the tree as it is is clean' tests/tidy/tidy "$copy"

# plant SENTENCE REGEX FILE TEXT: tidy will have to say REGEX, once TEXT stands at the end of FILE.
# Each has a file of its own, so that one run shows them all.
sentences=() regexes=() files=()
plant() {
    sentences+=("$1")
    regexes+=("$2")
    files+=("$3")
    printf '%s\n' "$4" >>"$copy/$3"
}
plant 'uv.h in common/' 'common/bytes.c:[0-9]+:#include <uv.h>.*not allowed' common/bytes.c '#include <uv.h>'
plant 'sqlite3.h in wire/' 'wire/hash.c:[0-9]+:.*sqlite3.h.*not allowed' wire/hash.c '#include <sqlite3.h>'
plant 'sodium.h in participant/' 'participant/read.c:[0-9]+:.*sodium.h.*not allowed' participant/read.c '#include <sodium.h>'
plant 'msgpack in runtime/' 'runtime/file.c:[0-9]+:.*msgpack.h.*not allowed' runtime/file.c '#include <msgpack.h>'
plant 'the library in the runtime' 'runtime/keys.c:[0-9]+:.*client/engine.h.*not allowed' runtime/keys.c '#include "client/engine.h"'
plant 'a core that includes the runtime' 'coordinator/leader.c:.*may include only from common, coordinator' \
    coordinator/leader.c '#include "runtime/log.h"'
plant 'wire/ that includes a core' 'wire/text.c:.*may include only from common, wire' wire/text.c '#include "coordinator/core.h"'
plant 'a clock in a core' 'participant/decide.c:.*not in a core' participant/decide.c 'static long now_s = time(0);'
plant 'strcpy' 'common/msg.c:[0-9]+:.*banned call' common/msg.c 'void f(char *a) { strcpy(a, ""); }'
plant 'a line that is too long' 'common/prng.c:[0-9]+: line of 13[0-9] columns' common/prng.c "/* $(printf 'x%.0s' {1..125}) */"
plant 'a function that is too long' 'common/txid.c:[0-9]+: function of 8[0-9] lines' common/txid.c \
    "$(printf 'int f(void)\n{\n'; printf '    f();\n%.0s' {1..80}; printf '}')"
plant 'a TODO without an issue' 'common/sm.c:[0-9]+:.*names no issue' common/sm.c '/* TODO: later */'
plant 'a header that nobody includes' 'common/lonely.h: nobody includes it' common/lonely.h '#define LONELY 1'
plant 'a file that is not formatted' 'common/timers.c: run make format' common/timers.c 'int   f (void) ;'

said=$(tests/tidy/tidy "$copy")
is 'with faults in it, it fails' $? 1
for ((i = 0; i < ${#sentences[@]}; i++)); do
    like "it finds: ${sentences[i]}" "$said" "${regexes[i]}"
done
is 'it finds nothing where nothing was planted' \
    "$(grep -vF -f <(printf '%s\n' "${files[@]}") <<<"$said")" ''
finish
