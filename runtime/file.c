#include "runtime/file.h"

#include <errno.h>
#include <fcntl.h>
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
