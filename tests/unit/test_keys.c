/* Key files: what is written, what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "runtime/keys.h"

struct folder {
    char path[128];
    char file[160];
};

static int folder_make(void **state)
{
    const char *tmp = getenv("TMPDIR");
    struct folder *folder = xcalloc(1, sizeof *folder);
    snprintf(folder->path, sizeof folder->path, "%s/assent-keys-XXXXXX", tmp ? tmp : "/tmp");
    if (mkdtemp(folder->path) == NULL)
        return -1;
    snprintf(folder->file, sizeof folder->file, "%s/a.key", folder->path);
    *state = folder;
    return 0;
}

static int folder_remove(void **state)
{
    struct folder *folder = *state;
    unlink(folder->file);
    int result = rmdir(folder->path);
    free(folder);
    return result;
}

static void put(const char *path, const char *text, size_t len, mode_t mode)
{
    unlink(path);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, len, f), len);
    fclose(f);
    assert_int_equal(chmod(path, mode), 0);
}

static void refuses(const char *path, const char *says)
{
    struct noise_keypair pair;
    char why[512] = "";
    static const struct noise_keypair zero;
    memset(&pair, 0xaa, sizeof pair);
    assert_int_equal(key_file_load(path, &pair, why, sizeof why), ASSENT_KEY_FILE);
    if (strstr(why, says) == NULL || strncmp(why, path, strlen(path)) != 0)
        fail_msg("\"%s\" does not say \"%s\"", why, says);
    if (access(path, R_OK) == 0)
        assert_memory_equal(&pair, &zero, sizeof pair);
}

/* RFC 7748, section 6.1. */
#define ALICE_SECRET "77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a"
#define ZEROS        "0000000000000000000000000000000000000000000000000000000000000000"
#define ALICE_PUBLIC "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a"

static void a_new_key_file_is_private_and_loads_as_the_same_pair(void **state)
{
    struct folder *folder = *state;
    struct noise_keypair made, loaded, other;
    char why[512], line[80] = "", hex[65];
    mode_t before = umask(0277); /* the mode does not depend on it */
    assert_int_equal(key_file_create(folder->file, &made, why, sizeof why), ASSENT_OK);
    umask(before);
    struct stat st;
    assert_int_equal(stat(folder->file, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    FILE *f = fopen(folder->file, "r");
    assert_int_equal(fread(line, 1, sizeof line, f), 65);
    fclose(f);
    bytes_hex(bytes_of(made.secret, sizeof made.secret), hex);
    assert_memory_equal(line, hex, 64);
    assert_int_equal(line[64], '\n');
    assert_int_equal(key_file_load(folder->file, &loaded, why, sizeof why), ASSENT_OK);
    assert_memory_equal(&made, &loaded, sizeof made);

    unlink(folder->file);
    assert_int_equal(key_file_create(folder->file, &other, why, sizeof why), ASSENT_OK);
    assert_memory_not_equal(made.secret, other.secret, sizeof made.secret);
}

static void a_key_file_is_never_overwritten(void **state)
{
    struct folder *folder = *state;
    struct noise_keypair made, again;
    static const struct noise_keypair zero;
    char why[512];
    assert_int_equal(key_file_create(folder->file, &made, why, sizeof why), ASSENT_OK);
    assert_int_equal(key_file_create(folder->file, &again, why, sizeof why), ASSENT_KEY_FILE);
    assert_non_null(strstr(why, "a key is never overwritten"));
    assert_memory_equal(&again, &zero, sizeof zero);
    assert_int_equal(key_file_load(folder->file, &again, why, sizeof why), ASSENT_OK);
    assert_memory_equal(&made, &again, sizeof made);
    assert_int_equal(key_file_create("/nonexistent/a.key", &again, why, sizeof why), ASSENT_SYSTEM);
    assert_non_null(strstr(why, "/nonexistent/a.key: the key file could not be written: No such"));
}

static void the_public_key_follows_from_the_secret(void **state)
{
    struct folder *folder = *state;
    struct noise_keypair pair;
    char why[512], hex[65];
    put(folder->file, ALICE_SECRET "\n", 65, 0600);
    assert_int_equal(key_file_load(folder->file, &pair, why, sizeof why), ASSENT_OK);
    bytes_hex(bytes_of(pair.public, sizeof pair.public), hex);
    assert_string_equal(hex, ALICE_PUBLIC);
    put(folder->file, ALICE_SECRET, 64, 0400); /* no line feed, and even more private */
    assert_int_equal(key_file_load(folder->file, &pair, why, sizeof why), ASSENT_OK);
}

static void a_key_file_that_others_may_use_is_refused(void **state)
{
    struct folder *folder = *state;
    char advice[256];
    snprintf(advice, sizeof advice, "run: chmod 600 %s", folder->file);
    static const mode_t modes[] = {0644, 0640, 0604, 0660, 0620, 0602, 0610, 0601, 0777};
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
        put(folder->file, ALICE_SECRET "\n", 65, modes[i]);
        refuses(folder->file, advice);
    }
}

static void what_is_no_key_file_is_refused(void **state)
{
    struct folder *folder = *state;
    static const struct {
        const char *text;
        size_t len;
    } texts[] = {{"", 0},
                 {"\n", 1},
                 {ALICE_SECRET "\n\n", 66},
                 {ZEROS "\n", 65},
                 {ALICE_SECRET "0\n", 66},
                 {ALICE_SECRET "\r\n", 66},
                 {ALICE_SECRET "0", 65},
                 {ALICE_SECRET, 63},
                 {" " ALICE_SECRET, 65},
                 {"g" ALICE_SECRET, 64},
                 {ALICE_SECRET "\n" ALICE_SECRET "\n", 130}};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        put(folder->file, texts[i].text, texts[i].len, 0600);
        refuses(folder->file, "not a key file: it holds one line of 64 hex digits");
    }
    put(folder->file, ALICE_SECRET "\n", 65, 0600);
    FILE *f = fopen(folder->file, "r+");
    fputc('\0', f);
    fclose(f);
    refuses(folder->file, "not a key file");
    unlink(folder->file);
    refuses(folder->file, "could not be read: No such file");
    refuses(folder->path, "not a regular file");
    assert_int_equal(mkfifo(folder->file, 0600), 0);
    refuses(folder->file, "not a regular file"); /* and does not wait for a writer */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_new_key_file_is_private_and_loads_as_the_same_pair,
                                        folder_make, folder_remove),
        cmocka_unit_test_setup_teardown(a_key_file_is_never_overwritten, folder_make,
                                        folder_remove),
        cmocka_unit_test_setup_teardown(the_public_key_follows_from_the_secret, folder_make,
                                        folder_remove),
        cmocka_unit_test_setup_teardown(a_key_file_that_others_may_use_is_refused, folder_make,
                                        folder_remove),
        cmocka_unit_test_setup_teardown(what_is_no_key_file_is_refused, folder_make, folder_remove),
    };
    return cmocka_run_group_tests_name("keys", tests, NULL, NULL);
}
