/* Runs scenario scripts: each file's commands and the whole trace that they must give.
 *
 *     scenario [--rewrite] FILE...
 *
 * A script is lines. "# ..." is a comment; "> command" runs it; the lines after it, up to the next
 * command, comment or empty line, are what it must print. --rewrite writes what it printed instead.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/world.h"

static char *read_file(const char *path)
{
    FILE *f = fopen(path, "r");
    struct writer w = {0};
    char block[4096];
    size_t n;
    if (f == NULL) {
        perror(path);
        exit(1);
    }
    while ((n = fread(block, 1, sizeof block, f)) > 0)
        writer_raw(&w, block, n);
    fclose(f);
    writer_u8(&w, 0);
    return (char *)w.data;
}

/* Runs the script; the new text, with what was printed, goes to `out`. */
static void run(const char *text, struct writer *out)
{
    struct world *world = world_new();
    const char *line = text;
    while (*line != '\0') {
        size_t n = strcspn(line, "\n");
        char command[256];
        bool is_command = n > 2 && line[0] == '>' && line[1] == ' ';
        if (is_command || line[0] == '#' || n == 0) {
            writer_raw(out, line, n);
            writer_u8(out, '\n');
        }
        if (is_command) {
            struct writer trace = {0};
            snprintf(command, sizeof command, "%.*s", (int)(n - 2), line + 2);
            world_command(world, command, &trace);
            writer_raw(out, trace.data, trace.len);
            writer_free(&trace);
        }
        line += n + (line[n] == '\n');
    }
    world_free(world);
}

static void show_difference(const char *want, const char *got)
{
    int line = 1;
    while (*want != '\0' && *want == *got) {
        line += *want == '\n';
        want++;
        got++;
    }
    printf("  line %d: expected ...%.*s\n", line, (int)strcspn(want, "\n"), want);
    printf("  line %d: got      ...%.*s\n", line, (int)strcspn(got, "\n"), got);
}

int main(int argc, char **argv)
{
    bool rewrite = argc > 1 && strcmp(argv[1], "--rewrite") == 0;
    int passed = 0, failed = 0;
    for (int i = rewrite ? 2 : 1; i < argc; i++) {
        char *text = read_file(argv[i]);
        struct writer out = {0};
        run(text, &out);
        writer_u8(&out, 0);
        bool same = strcmp(text, (char *)out.data) == 0;
        if (!same && rewrite) {
            FILE *f = fopen(argv[i], "w");
            if (f == NULL || fputs((char *)out.data, f) < 0 || fclose(f) != 0)
                perror(argv[i]);
        }
        printf("%s %s\n", same ? "ok  " : rewrite ? "NEW " : "FAIL", argv[i]);
        if (!same && !rewrite)
            show_difference(text, (char *)out.data);
        passed += same;
        failed += !same && !rewrite;
        free(text);
        writer_free(&out);
    }
    printf("scenarios: %d passed, %d failed\n", passed, failed);
    return failed == 0 ? 0 : 1;
}
