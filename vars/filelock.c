/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "filelock.h"

#include "store.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define RETRY_MS 20

bool uv_filelock_take(int fd, const char *name, unsigned wait_ms, GError **error)
{
    int64_t end = g_get_monotonic_time() + (int64_t)wait_ms * 1000;

    for (;;) {
        struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

        if (fcntl(fd, F_OFD_SETLK, &lock) == 0)
            return true;
        if (errno != EAGAIN && errno != EACCES && errno != EINTR) {
            g_set_error(error, UV_STORE_ERROR, UV_STORE_ERROR_IO, "%s: cannot lock: %s", name,
                        g_strerror(errno));
            return false;
        }
        if (g_get_monotonic_time() >= end)
            break;
        g_usleep(RETRY_MS * 1000);
    }
    g_set_error(error, UV_STORE_ERROR, UV_STORE_ERROR_READ_ONLY, "%s: locked by another engine",
                name);
    return false;
}

void uv_filelock_drop(int fd)
{
    struct flock lock = {.l_type = F_UNLCK, .l_whence = SEEK_SET};

    fcntl(fd, F_OFD_SETLK, &lock);
}

/*
 * The kernel grants a write lease only to the sole opener, and a read lease while nobody writes.
 * Should somebody open the file between our two calls, he waits for the second, and we are sent a
 * signal: one that is ignored by default, as SIGIO would not be.
 */
UvFilelockSharing uv_filelock_sharing(int fd)
{
    int mode = fcntl(fd, F_GETFL);
    int lease = mode >= 0 && (mode & O_ACCMODE) == O_RDONLY ? F_RDLCK : F_WRLCK;

    fcntl(fd, F_SETSIG, SIGURG);
    if (fcntl(fd, F_SETLEASE, lease) == 0) {
        fcntl(fd, F_SETLEASE, F_UNLCK);
        return UV_FILELOCK_ALONE;
    }
    return errno == EAGAIN ? UV_FILELOCK_SHARED : UV_FILELOCK_UNKNOWN;
}

static bool has_open(const char *pid, const struct stat *wanted)
{
    g_autofree char *path = g_strdup_printf("/proc/%s/fd", pid);
    g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
    const char *name;

    while (dir && (name = g_dir_read_name(dir))) {
        g_autofree char *fd_path = g_build_filename(path, name, NULL);
        struct stat st;

        if (stat(fd_path, &st) == 0 && st.st_dev == wanted->st_dev && st.st_ino == wanted->st_ino)
            return true;
    }
    return false;
}

char *uv_filelock_who(int fd)
{
    g_autoptr(GDir) dir = g_dir_open("/proc", 0, NULL);
    g_autofree char *self = g_strdup_printf("%d", (int)getpid());
    struct stat wanted;
    const char *pid;

    if (!dir || fstat(fd, &wanted) < 0)
        return NULL;
    while ((pid = g_dir_read_name(dir))) {
        g_autofree char *comm_path = NULL, *comm = NULL;

        if (!g_ascii_isdigit(*pid) || g_str_equal(pid, self) || !has_open(pid, &wanted))
            continue;
        comm_path = g_strdup_printf("/proc/%s/comm", pid);
        if (!g_file_get_contents(comm_path, &comm, NULL, NULL))
            return g_strdup_printf("pid %s", pid);
        return g_strdup_printf("%s (pid %s)", g_strchomp(comm), pid);
    }
    return NULL;
}
