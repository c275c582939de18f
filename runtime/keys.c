/* Secrets are in as few places as can be: the caller's pair, and a buffer here that is wiped. */
#include "runtime/keys.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sodium/utils.h>

#include "runtime/file.h"

#define HEX_BYTES (2 * NOISE_KEY_BYTES)

assent_status key_file_create(const char *path, struct noise_keypair *pair, char *why,
                              size_t why_size)
{
    char line[HEX_BYTES + 1];
    noise_keypair_new(pair);
    bytes_hex(bytes_of(pair->secret, NOISE_KEY_BYTES), line);
    line[HEX_BYTES] = '\n';
    bool good = file_create(path, 0600, bytes_of(line, sizeof line));
    int error = errno;
    sodium_memzero(line, sizeof line);
    if (good)
        return ASSENT_OK;
    keypair_wipe(pair);
    if (error == EEXIST) {
        snprintf(why, why_size,
                 "%s: there is a file already: a key is never overwritten; choose another path",
                 path);
        return ASSENT_KEY_FILE;
    }
    snprintf(why, why_size, "%s: the key file could not be written: %s", path, strerror(error));
    return ASSENT_SYSTEM;
}

static bool key_refuse(const char *path, const char *what, char *why, size_t why_size)
{
    snprintf(why, why_size, "%s: %s", path, what);
    return false;
}

/* The permissions are those of the file that is then read, not of a name. */
static bool key_file_check(int fd, const char *path, char *why, size_t why_size)
{
    struct stat st;
    if (fstat(fd, &st) != 0)
        return key_refuse(path, strerror(errno), why, why_size);
    if (!S_ISREG(st.st_mode))
        return key_refuse(path, "not a regular file: give the path of a key file", why, why_size);
    if ((st.st_mode & 077) != 0) {
        snprintf(why, why_size,
                 "%s: others may use this key file (its mode is %04o): run: chmod 600 %s", path,
                 st.st_mode & 07777, path);
        return false;
    }
    return true;
}

/* One line of HEX_BYTES digits; the line feed may be missing. */
static bool key_file_read(int fd, uint8_t secret[NOISE_KEY_BYTES])
{
    char text[HEX_BYTES + 2];
    size_t len = 0;
    ssize_t n;
    while (len < sizeof text && (n = read(fd, text + len, sizeof text - len)) != 0) {
        if (n < 0 && errno != EINTR)
            break;
        if (n > 0)
            len += (size_t)n;
    }
    bool whole = len == HEX_BYTES || (len == HEX_BYTES + 1 && text[HEX_BYTES] == '\n');
    text[HEX_BYTES] = '\0';
    bool good = whole && bytes_from_hex(text, secret, NOISE_KEY_BYTES);
    sodium_memzero(text, sizeof text);
    return good;
}

assent_status key_file_load(const char *path, struct noise_keypair *pair, char *why,
                            size_t why_size)
{
    uint8_t secret[NOISE_KEY_BYTES] = {0};
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a FIFO must not hold us up */
    if (fd < 0) {
        snprintf(why, why_size, "%s: the key file could not be read: %s", path, strerror(errno));
        return ASSENT_KEY_FILE;
    }
    bool good = key_file_check(fd, path, why, why_size);
    if (good && (!key_file_read(fd, secret) || !noise_keypair_from(pair, secret)))
        good = key_refuse(path,
                          "not a key file: it holds one line of 64 hex digits, as \"assent init\" "
                          "made it; restore it from its backup",
                          why, why_size);
    sodium_memzero(secret, sizeof secret);
    close(fd);
    if (!good)
        keypair_wipe(pair);
    return good ? ASSENT_OK : ASSENT_KEY_FILE;
}

void keypair_wipe(struct noise_keypair *pair)
{
    sodium_memzero(pair, sizeof *pair);
}
