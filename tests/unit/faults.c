/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "faults.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <unistd.h>

/* What --wrap makes of the calls; the 64 is what a 64-bit off_t makes of them. */
int __real_openat64(int dir_fd, const char *path, int flags, ...);
ssize_t __real_pwrite64(int fd, const void *bytes, size_t size, off_t offset);
int __real_ftruncate64(int fd, off_t size);
int __real_fsync(int fd);
int __real_fdatasync(int fd);
int __real_renameat(int from_fd, const char *from, int to_fd, const char *to);
int __real_renameat2(int from_fd, const char *from, int to_fd, const char *to, unsigned flags);
int __real_unlinkat(int dir_fd, const char *path, int flags);
int __real_mkdirat(int dir_fd, const char *path, mode_t mode);
int __real_fallocate64(int fd, int mode, off_t offset, off_t size);

int __wrap_openat64(int dir_fd, const char *path, int flags, ...);
ssize_t __wrap_pwrite64(int fd, const void *bytes, size_t size, off_t offset);
int __wrap_ftruncate64(int fd, off_t size);
int __wrap_fsync(int fd);
int __wrap_fdatasync(int fd);
int __wrap_renameat(int from_fd, const char *from, int to_fd, const char *to);
int __wrap_renameat2(int from_fd, const char *from, int to_fd, const char *to, unsigned flags);
int __wrap_unlinkat(int dir_fd, const char *path, int flags);
int __wrap_mkdirat(int dir_fd, const char *path, mode_t mode);
int __wrap_fallocate64(int fd, int mode, off_t offset, off_t size);

/* How a file was before a write that is not synced yet. */
typedef struct {
    int fd;
    struct stat before;
    off_t offset;
    GBytes *bytes; /* what was there */
} Undo;

static struct {
    FaultKind kind;
    int at, error, steps;
    GPtrArray *undos;
} faults;

void faults_set(FaultKind kind, int at, int error)
{
    faults.kind = kind;
    faults.at = at;
    faults.error = error;
    faults.steps = 0;
    g_clear_pointer(&faults.undos, g_ptr_array_unref);
    faults.undos = g_ptr_array_new();
}

int faults_steps(void)
{
    return faults.steps;
}

static void remember(int fd, off_t offset, size_t size)
{
    Undo *undo;
    char *bytes;

    if (faults.kind != FAULT_POWER)
        return;
    undo = g_new0(Undo, 1);
    bytes = g_malloc(size + 1);
    /* Another descriptor of the file, as this one may be closed, or be for writing only. */
    g_autofree char *path = g_strdup_printf("/proc/self/fd/%d", fd);
    undo->fd = open(path, O_RDWR | O_CLOEXEC);
    g_assert_cmpint(undo->fd, >=, 0);
    g_assert_cmpint(fstat(undo->fd, &undo->before), ==, 0);
    undo->offset = offset;
    const ssize_t found = pread(undo->fd, bytes, size, offset);
    undo->bytes = g_bytes_new_take(bytes, (gsize)MAX(found, 0));
    g_ptr_array_add(faults.undos, undo);
}

static void synced(int fd)
{
    struct stat st;

    if (faults.kind != FAULT_POWER || fstat(fd, &st) < 0)
        return;
    for (guint i = faults.undos->len; i-- > 0;) {
        Undo *undo = faults.undos->pdata[i];

        if (undo->before.st_ino != st.st_ino || undo->before.st_dev != st.st_dev)
            continue;
        close(undo->fd);
        g_ptr_array_remove_index(faults.undos, i);
    }
}

static void undo_all(void)
{
    for (guint i = faults.undos->len; i-- > 0;) {
        Undo *undo = faults.undos->pdata[i];
        size_t size;
        const void *bytes = g_bytes_get_data(undo->bytes, &size);

        if (size > 0)
            g_assert_cmpint(__real_pwrite64(undo->fd, bytes, size, undo->offset), ==, size);
        g_assert_cmpint(__real_ftruncate64(undo->fd, undo->before.st_size), ==, 0);
    }
}

static void die(void)
{
    raise(SIGKILL);
}

/* false: the step is to fail, errno is set. */
static bool step(bool cuts_off)
{
    int n = faults.steps++;

    if (n < faults.at || faults.kind == FAULT_NONE)
        return true;
    if (n == faults.at && (faults.kind == FAULT_KILL || faults.kind == FAULT_HALF))
        die();
    if (n == faults.at && faults.kind == FAULT_POWER) {
        undo_all();
        die();
    }
    errno = faults.error;
    if (faults.kind == FAULT_ERROR)
        return n != faults.at;
    return faults.kind != FAULT_ERRORS || cuts_off;
}

int __wrap_openat64(int dir_fd, const char *path, int flags, ...)
{
    va_list args;
    mode_t mode = 0;

    if (flags & O_CREAT) {
        va_start(args, flags);
        mode = va_arg(args, mode_t);
        va_end(args);
        if (!step(false))
            return -1;
    }
    return __real_openat64(dir_fd, path, flags, mode);
}

ssize_t __wrap_pwrite64(int fd, const void *bytes, size_t size, off_t offset)
{
    if (faults.kind == FAULT_HALF && faults.steps == faults.at)
        (void)!__real_pwrite64(fd, bytes, size / 2, offset);
    if (!step(false))
        return -1;
    remember(fd, offset, size);
    return __real_pwrite64(fd, bytes, size, offset);
}

int __wrap_ftruncate64(int fd, off_t size)
{
    struct stat st;

    if (!step(true))
        return -1;
    if (fstat(fd, &st) == 0 && st.st_size > size)
        remember(fd, size, st.st_size - size);
    return __real_ftruncate64(fd, size);
}

int __wrap_fsync(int fd)
{
    if (!step(false))
        return -1;
    synced(fd);
    return __real_fsync(fd);
}

int __wrap_fdatasync(int fd)
{
    if (!step(false))
        return -1;
    synced(fd);
    return __real_fdatasync(fd);
}

int __wrap_renameat(int from_fd, const char *from, int to_fd, const char *to)
{
    return step(false) ? __real_renameat(from_fd, from, to_fd, to) : -1;
}

int __wrap_renameat2(int from_fd, const char *from, int to_fd, const char *to, unsigned flags)
{
    return step(false) ? __real_renameat2(from_fd, from, to_fd, to, flags) : -1;
}

int __wrap_unlinkat(int dir_fd, const char *path, int flags)
{
    return step(false) ? __real_unlinkat(dir_fd, path, flags) : -1;
}

int __wrap_mkdirat(int dir_fd, const char *path, mode_t mode)
{
    return step(false) ? __real_mkdirat(dir_fd, path, mode) : -1;
}

int __wrap_fallocate64(int fd, int mode, off_t offset, off_t size)
{
    return step(false) ? __real_fallocate64(fd, mode, offset, size) : -1;
}
