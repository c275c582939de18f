#include "runtime/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool write_all(int fd, struct bytes text)
{
    for (size_t done = 0; done < text.len;) {
        ssize_t n = write(fd, text.data + done, text.len - done);
        if (n < 0 && errno != EINTR)
            return false;
        if (n > 0)
            done += (size_t)n;
    }
    return true;
}

static bool directory_sync(const char *path)
{
    const char *slash = strrchr(path, '/');
    char *directory = xstrdup(slash == NULL ? "." : path);
    if (slash != NULL) /* keeps the slash of "/file" */
        directory[slash == path ? 1 : slash - path] = '\0';
    int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    free(directory);
    bool good = fd >= 0 && fsync(fd) == 0;
    int error = errno;
    if (fd >= 0)
        close(fd);
    errno = error;
    return good;
}

bool file_create(const char *path, mode_t mode, struct bytes text)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode & 0600);
    if (fd < 0)
        return false;
    /* fchmod: whatever the umask took away */
    bool good = fchmod(fd, mode) == 0 && write_all(fd, text) && fsync(fd) == 0;
    int error = errno;
    if (close(fd) != 0 && good) {
        good = false;
        error = errno;
    }
    if (good && directory_sync(path))
        return true;
    if (good)
        error = errno;
    unlink(path);
    errno = error;
    return false;
}

static bool refuse(const char *path, const char *error, const char *what, char *why,
                   size_t why_size)
{
    snprintf(why, why_size, "%s: %s: give the path of %s", path, error, what);
    return false;
}

bool file_read(const char *path, size_t max, const char *what, struct writer *out, char *why,
               size_t why_size)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) != 0 || S_ISDIR(st.st_mode)) {
        const char *error = fd >= 0 && S_ISDIR(st.st_mode) ? "is a directory" : strerror(errno);
        if (fd >= 0)
            close(fd);
        return refuse(path, error, what, why, why_size);
    }
    char part[65536];
    size_t begin = out->len;
    ssize_t got;
    while ((got = read(fd, part, sizeof part)) != 0 && out->len - begin <= max) {
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            break;
        writer_raw(out, part, (size_t)got);
    }
    int error = errno;
    close(fd);
    if (got < 0)
        return refuse(path, strerror(error), what, why, why_size);
    if (out->len - begin <= max)
        return true;
    snprintf(why, why_size, "%s: over %zu MiB: %s is never so large", path, max >> 20, what);
    return false;
}
