/* runtime/disk: the file system as the storage code uses it. */
#include "runtime/disk.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/bytes.h"

#define BLOCK 4096u
#define BYTES (4 * BLOCK)

/* Those that are aligned go past the page cache, the others through it, and both are the same file.
 */
static void what_is_written_is_read_back_aligned_or_not(void **state)
{
    (void)state;
    static const struct {
        uint32_t at, len, offset;
    } write[] = {{0, BYTES, 0},     {BLOCK, BLOCK, 0},     {5, 9, 0},
                 {BLOCK - 1, 2, 3}, {2 * BLOCK, BLOCK, 8}, {3 * BLOCK, BLOCK, 0},
                 {100, BLOCK, 0},   {BLOCK, 2 * BLOCK, 0}};
    char path[300];
    const char *tmp = getenv("TMPDIR");
    const struct disk *disk = &disk_posix;
    struct disk_file *file = NULL;
    uint8_t *block = xaligned(BLOCK, 2 * BYTES), *expected = xcalloc(1, BYTES),
            *found = xcalloc(1, BYTES + 1);
    size_t got = 0;
    snprintf(path, sizeof path, "%.250s/assent-disk-%ld", tmp == NULL ? "/tmp" : tmp,
             (long)getpid());
    assert_int_equal(disk->open(disk->arg, path, DISK_WRITE, &file), ENOENT);
    assert_int_equal(disk->open(disk->arg, path, DISK_CREATE, &file), 0);
    for (size_t i = 0; i < sizeof write / sizeof write[0]; i++) {
        memset(block, (int)i + 1, 2 * BYTES);
        assert_int_equal(
            disk->write(disk->arg, file, block + write[i].offset, write[i].len, write[i].at), 0);
        memset(expected + write[i].at, (int)i + 1, write[i].len);
        assert_int_equal(disk->read(disk->arg, file, found, BYTES + 1, 0, &got), 0);
        assert_int_equal(got, BYTES);
        assert_memory_equal(found, expected, BYTES);
    }
    disk->close(disk->arg, file);
    assert_int_equal(disk->open(disk->arg, path, DISK_CREATE, &file), EEXIST);
    assert_int_equal(disk->remove(disk->arg, path), 0);
    free(block);
    free(expected);
    free(found);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_read_back_aligned_or_not),
    };
    return cmocka_run_group_tests_name("disk", tests, NULL, NULL);
}
