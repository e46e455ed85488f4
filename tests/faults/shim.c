/* A disk that fails on demand, for one process: cc -shared -fPIC -o shim.so shim.c -ldl, then LD_PRELOAD=shim.so.
 *
 * Acts on calls for files whose path contains $SHIM_MATCH. A fault is armed through the environment (SHIM_FAULT,
 * SHIM_NTH, SHIM_TIMES, SHIM_DELAY_US) or from inside, with shim_arm. The faults are
 *   write-eio, write-enospc   the nth write and the (times - 1) after it fail; a full disk makes no new files either
 *   sync-eio                  the same for fsync and fdatasync
 *   sync-slow                 each fsync and fdatasync from the nth on takes delay microseconds
 *   kill                      the process dies right before the nth open, write, sync, rename, unlink or ftruncate
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

enum fault { NONE, WRITE_EIO, WRITE_ENOSPC, SYNC_EIO, SYNC_SLOW, KILL };
enum call { OPEN, WRITE, SYNC, OTHER };

static const char *const names[] = {"none", "write-eio", "write-enospc", "sync-eio", "sync-slow", "kill"};
static atomic_int armed = NONE;
static atomic_long calls, nth, times, delay_us;
static const char *match;

void shim_arm(const char *name, long from, long count, long microseconds)
{
    atomic_store(&armed, NONE);
    atomic_store(&calls, 0);
    atomic_store(&nth, from);
    atomic_store(&times, count);
    atomic_store(&delay_us, microseconds);
    for (int fault = 0; fault <= KILL; fault++)
        if (!strcmp(name, names[fault]))
            atomic_store(&armed, fault);
}

/* How many calls the armed fault has counted. */
long shim_calls(void) { return atomic_load(&calls); }

static long number(const char *name, long otherwise)
{
    const char *text = getenv(name);
    return text ? atol(text) : otherwise;
}

__attribute__((constructor)) static void start(void)
{
    match = getenv("SHIM_MATCH");
    if (getenv("SHIM_FAULT"))
        shim_arm(getenv("SHIM_FAULT"), number("SHIM_NTH", 1), number("SHIM_TIMES", LONG_MAX), number("SHIM_DELAY_US", 0));
}

/* Count a call, and give the errno it is to fail with, or 0. */
static int strike(enum call call)
{
    int fault = atomic_load(&armed);
    int counts = (fault == WRITE_EIO && call == WRITE) || (fault == WRITE_ENOSPC && (call == WRITE || call == OPEN)) ||
                 ((fault == SYNC_EIO || fault == SYNC_SLOW) && call == SYNC) || fault == KILL;
    if (!counts)
        return 0;
    long count = atomic_fetch_add(&calls, 1) + 1;
    long from = atomic_load(&nth);
    if (count < from || count - from >= atomic_load(&times))
        return 0;
    if (fault == KILL)
        kill(getpid(), SIGKILL);
    if (fault == SYNC_SLOW)
        usleep(atomic_load(&delay_us));
    return fault == WRITE_ENOSPC ? ENOSPC : fault == SYNC_SLOW ? 0 : EIO;
}

static int is_matched_path(const char *path) { return match && path && strstr(path, match); }

static int is_matched(int fd)
{
    char link[64], path[PATH_MAX];
    int saved = errno;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    errno = saved;
    if (length < 0)
        return 0;
    path[length] = 0;
    return is_matched_path(path);
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
#define FAIL_IF(matched, call)                                                                                         \
    do {                                                                                                               \
        int error = atomic_load(&armed) && (matched) ? strike(call) : 0;                                               \
        if (error) {                                                                                                   \
            errno = error;                                                                                             \
            return -1;                                                                                                 \
        }                                                                                                              \
    } while (0)

#define OPENS(name)                                                                                                    \
    int name(const char *path, int flags, ...)                                                                         \
    {                                                                                                                  \
        va_list rest;                                                                                                  \
        va_start(rest, flags);                                                                                         \
        mode_t mode = flags & O_CREAT ? va_arg(rest, mode_t) : 0;                                                      \
        va_end(rest);                                                                                                  \
        if (flags & O_CREAT && access(path, F_OK))                                                                     \
            FAIL_IF(is_matched_path(path), OPEN);                                                                      \
        return REAL(name)(path, flags, mode);                                                                          \
    }

OPENS(open)
OPENS(open64)

ssize_t write(int fd, const void *data, size_t size)
{
    FAIL_IF(is_matched(fd), WRITE);
    return REAL(write)(fd, data, size);
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t at)
{
    FAIL_IF(is_matched(fd), WRITE);
    return REAL(pwrite)(fd, data, size, at);
}

ssize_t pwrite64(int fd, const void *data, size_t size, off64_t at)
{
    FAIL_IF(is_matched(fd), WRITE);
    return REAL(pwrite64)(fd, data, size, at);
}

int fsync(int fd)
{
    FAIL_IF(is_matched(fd), SYNC);
    return REAL(fsync)(fd);
}

int fdatasync(int fd)
{
    FAIL_IF(is_matched(fd), SYNC);
    return REAL(fdatasync)(fd);
}

int unlink(const char *path)
{
    FAIL_IF(is_matched_path(path), OTHER);
    return REAL(unlink)(path);
}

int rename(const char *from, const char *to)
{
    FAIL_IF(is_matched_path(from), OTHER);
    return REAL(rename)(from, to);
}

int ftruncate64(int fd, off64_t size)
{
    FAIL_IF(is_matched(fd), OTHER);
    return REAL(ftruncate64)(fd, size);
}
