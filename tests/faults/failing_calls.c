/* Preloaded into a server: its calls on files fail while a control file says so.

   INGOT_FAULTS names the control file. Each line of it is `<call> <part of a path>`: from then on that call fails with
   EIO on every file whose path contains the part. `torn` is a pwritev that writes half of its first part before it
   fails. No file, no faults. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static int fails(const char *call, int descriptor)
{
    const char *control = getenv("INGOT_FAULTS");
    char link[64], path[4096], line[4224];
    int found = 0;
    if (control == NULL)
        return 0;
    FILE *rules = fopen(control, "re");
    if (rules == NULL)
        return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    ssize_t length = readlink(link, path, sizeof path - 1);
    path[length < 0 ? 0 : length] = 0;
    while (!found && fgets(line, sizeof line, rules) != NULL) {
        line[strcspn(line, "\n")] = 0;
        char *part = strchr(line, ' ');
        if (part == NULL)
            continue;
        *part++ = 0;
        found = strcmp(line, call) == 0 && strstr(path, part) != NULL;
    }
    fclose(rules);
    return found;
}

static int refused(void)
{
    errno = EIO;
    return -1;
}

int fdatasync(int fd)
{
    return fails("sync", fd) ? refused() : NEXT(fdatasync)(fd);
}

int fsync(int fd)
{
    return fails("sync", fd) ? refused() : NEXT(fsync)(fd);
}

int ftruncate(int fd, off_t length)
{
    return fails("truncate", fd) ? refused() : NEXT(ftruncate)(fd, length);
}

int ftruncate64(int fd, off64_t length)
{
    return fails("truncate", fd) ? refused() : NEXT(ftruncate64)(fd, length);
}

int fallocate(int fd, int mode, off_t offset, off_t length)
{
    return fails("allocate", fd) ? refused() : NEXT(fallocate)(fd, mode, offset, length);
}

int fallocate64(int fd, int mode, off64_t offset, off64_t length)
{
    return fails("allocate", fd) ? refused() : NEXT(fallocate64)(fd, mode, offset, length);
}

ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t offset)
{
    if (fails("write", fd))
        return refused();
    if (fails("torn", fd)) {
        (void)!pwrite(fd, parts[0].iov_base, parts[0].iov_len / 2, offset);
        return refused();
    }
    return NEXT(pwritev)(fd, parts, count, offset);
}

ssize_t pwritev64(int fd, const struct iovec *parts, int count, off64_t offset)
{
    if (fails("write", fd))
        return refused();
    if (fails("torn", fd)) {
        (void)!pwrite(fd, parts[0].iov_base, parts[0].iov_len / 2, offset);
        return refused();
    }
    return NEXT(pwritev64)(fd, parts, count, offset);
}
