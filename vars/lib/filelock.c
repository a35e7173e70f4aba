/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "filelock.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define RETRY_MS 20
#define WHO_MAX 4

int uv_filelock_take(int fd, unsigned wait_ms)
{
    int64_t end = g_get_monotonic_time() + (int64_t)wait_ms * 1000;

    for (;;) {
        struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

        if (fcntl(fd, F_OFD_SETLK, &lock) == 0)
            return 0;
        if (errno != EAGAIN && errno != EACCES && errno != EINTR)
            return -errno;
        if (g_get_monotonic_time() >= end)
            return -EAGAIN;
        g_usleep(RETRY_MS * 1000);
    }
}

void uv_filelock_drop(int fd)
{
    struct flock lock = {.l_type = F_UNLCK, .l_whence = SEEK_SET};

    fcntl(fd, F_OFD_SETLK, &lock);
}

bool uv_filelock_is_taken(int fd)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

    return fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

/*
 * The kernel grants a write lease only to the sole opener, and a read lease while it is open for
 * writing nowhere. A process that opens the file between the two calls waits for the second one,
 * and the kernel sends this process a SIGIO, which store.c ignores.
 */
UvFilelockSharing uv_filelock_sharing(int fd)
{
    int mode = fcntl(fd, F_GETFL);
    int lease = mode >= 0 && (mode & O_ACCMODE) == O_RDONLY ? F_RDLCK : F_WRLCK;

    if (fcntl(fd, F_SETLEASE, lease) == 0) {
        fcntl(fd, F_SETLEASE, F_UNLCK);
        return UV_FILELOCK_ALONE;
    }
    return errno == EAGAIN ? UV_FILELOCK_SHARED : UV_FILELOCK_UNKNOWN;
}

UvFilelockSharing uv_filelock_settled(int fd, unsigned wait_ms)
{
    const int64_t end = g_get_monotonic_time() + (int64_t)wait_ms * 1000;
    UvFilelockSharing sharing = uv_filelock_sharing(fd);

    while (sharing == UV_FILELOCK_SHARED && g_get_monotonic_time() < end) {
        g_usleep(RETRY_MS * 1000);
        sharing = uv_filelock_sharing(fd);
    }
    return sharing;
}

/* By the links' text: to follow one may mean to wait for a server that is gone. */
static bool has_open(const char *pid, const char *path)
{
    g_autofree char *folder = g_strdup_printf("/proc/%s/fd", pid);
    g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
    char target[PATH_MAX];
    const char *name;

    while (dir && (name = g_dir_read_name(dir))) {
        g_autofree char *link = g_build_filename(folder, name, NULL);
        const ssize_t size = readlink(link, target, sizeof(target) - 1);

        if (size < 0)
            continue;
        target[size] = '\0';
        if (strcmp(target, path) == 0)
            return true;
    }
    return false;
}

static void add_process(GString *text, const char *pid)
{
    g_autofree char *path = g_strdup_printf("/proc/%s/comm", pid), *comm = NULL, *valid = NULL;

    if (g_file_get_contents(path, &comm, NULL, NULL))
        valid = g_utf8_make_valid(g_strchomp(comm), -1);
    g_string_append_printf(text, "%s%s (pid %s)", text->len ? ", " : "", valid ? valid : "?", pid);
}

char *uv_filelock_who(const char *path, pid_t except)
{
    g_autoptr(GDir) dir = g_dir_open("/proc", 0, NULL);
    GString *text = g_string_new(NULL);
    unsigned found = 0;
    const char *pid;

    while (dir && found < WHO_MAX && (pid = g_dir_read_name(dir))) {
        if (!g_ascii_isdigit(*pid) || atoi(pid) == except || !has_open(pid, path))
            continue;
        add_process(text, pid);
        found++;
    }
    return g_string_free(text, found == 0);
}
