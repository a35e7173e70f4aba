/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "open-source.h"

#include "fd.h"
#include "file-error.h"
#include "filelock.h"
#include "mount-table.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/un.h>
#include <unistd.h>

#define RUN_FOLDER "uefivarsfs"
#define LOCK "lock"
#define PREDECESSOR_US (2 * G_USEC_PER_SEC)
/* "/", the digits, ".session" and a NUL. */
#define FILE_ROOM (1 + 16 + 9)

void fs_sockdir_free(FsSockdir *sockdir)
{
    if (!sockdir)
        return;
    uv_fd_clear(&sockdir->fd);
    uv_fd_clear(&sockdir->lock_fd);
    uv_fd_clear(&sockdir->source_lock_fd);
    g_free(sockdir->source_lock);
    g_free(sockdir->by_store);
    g_free(sockdir->path);
    g_free(sockdir);
}

void fs_sockdir_remove(const FsSockdir *sockdir)
{
    /* With the locks held: see lock_file(). A shared one goes with the last who has it. */
    if (sockdir->source_lock && flock(sockdir->source_lock_fd, LOCK_EX | LOCK_NB) == 0)
        unlink(sockdir->source_lock);
    unlinkat(sockdir->fd, LOCK, 0);
    if (rmdir(sockdir->path) < 0 && errno != ENOTEMPTY && errno != EEXIST)
        g_debug("%s: %s", sockdir->path, g_strerror(errno));
}

/* What names this SOURCE in /run: by device and inode, and for a store by its folder's and its
 * name. */
static char *name_source(const FsLocal *source)
{
    struct stat st;

    if (source->id)
        return g_strdup(source->id);
    if (!source->store)
        return g_strdup_printf("%lx-%lx", (unsigned long)source->st.st_dev,
                               (unsigned long)source->st.st_ino);
    /* A store is replaced by renaming: its inode does not last, its folder's does. */
    if (fstat(source->fd, &st) < 0)
        st = source->st;
    g_autofree char *digest = g_compute_checksum_for_string(G_CHECKSUM_SHA256, source->store, -1);
    return g_strdup_printf("%lx-%lx-%.8s", (unsigned long)st.st_dev, (unsigned long)st.st_ino,
                           digest);
}

char *fs_run_folder(GError **error)
{
    if (geteuid() == 0)
        return g_strdup("/run/" RUN_FOLDER);
    const char *runtime = g_getenv("XDG_RUNTIME_DIR");
    if (!runtime || runtime[0] != '/') {
        g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_NOENT,
                    "XDG_RUNTIME_DIR is not set: say where sockets go with -o sockdir=DIR");
        return NULL;
    }
    return g_build_filename(runtime, RUN_FOLDER, NULL);
}

int fs_open_private_folder(const char *path, mode_t mode, GError **error)
{
    struct stat st;

    if (g_mkdir_with_parents(path, 0755) < 0) {
        uv_file_error(error, errno, "%s: can't make the folder for sockets", path);
        return -1;
    }
    uv_autofd int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) < 0) {
        uv_file_error(error, errno, "%s: can't open the folder for sockets", path);
        return -1;
    }
    if (st.st_uid != geteuid() || (st.st_mode & 022)) {
        g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_PERM,
                    "%s: the folder for sockets must belong to this user and be writable by no "
                    "other",
                    path);
        return -1;
    }
    if (mode)
        chmod(path, mode);
    return uv_fd_steal(&fd);
}

/* umount(8) returns when the mount is gone; its front still ends engines, and has the locks. */
static bool try_lock(int fd, bool shared)
{
    int64_t end = g_get_monotonic_time() + PREDECESSOR_US;

    while (flock(fd, (shared ? LOCK_SH : LOCK_EX) | LOCK_NB) < 0) {
        if (errno != EWOULDBLOCK || g_get_monotonic_time() >= end)
            return false;
        g_usleep(10 * 1000);
        errno = EWOULDBLOCK;
    }
    return true;
}

/* Locks an open file for as long as it is open: fd itself, or -1 with an error. Takes ownership. */
static int lock_or_close(int taken, const char *path, const char *holder, bool shared,
                         GError **error)
{
    uv_autofd int fd = taken;

    if (fd < 0) {
        uv_file_error(error, errno, "%s: can't open it to lock it", path);
        return -1;
    }
    if (try_lock(fd, shared))
        return uv_fd_steal(&fd);
    if (errno == EWOULDBLOCK) {
        g_autofree char *link = g_strdup_printf("/proc/self/fd/%d", fd);
        g_autofree char *locked = g_file_read_link(link, NULL);
        g_autofree char *who = locked ? uv_filelock_who(locked, getpid()) : NULL;
        g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_AGAIN, "%s: %s%s%s", path, holder,
                    who ? ", by " : "", who ? who : "");
    } else {
        uv_file_error(error, errno, "%s: can't lock it", path);
    }
    return -1;
}

/*
 * As lock_or_close() for a file made for it. Who ends takes the file away, so it is locked only
 * when it still has its name.
 */
static int lock_file(const char *path, const char *subject, const char *holder, bool shared,
                     GError **error)
{
    struct stat locked, named;

    for (;;) {
        uv_autofd int fd =
            lock_or_close(open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600), subject,
                          holder, shared, error);
        if (fd < 0)
            return -1;
        if (fstat(fd, &locked) == 0 && stat(path, &named) == 0 && locked.st_dev == named.st_dev &&
            locked.st_ino == named.st_ino)
            return uv_fd_steal(&fd);
    }
}

/*
 * A folder is locked itself, so that it counts for every user and every sockdir. A store is not: it
 * is replaced by renaming, and whether a process has it open means something to its engine.
 */
static int lock_source(const FsLocal *source, const char *lock, bool shared, GError **error)
{
    static const char holder[] = "it is mounted already";
    const int fd = source->store
                       ? lock_file(lock, source->path, holder, shared, error)
                       : lock_or_close(openat(source->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC),
                                       source->path, holder, shared, error);
    g_autofree char *where = fd < 0 ? fs_mount_where(source->path) : NULL;

    if (where && error && *error) {
        g_autofree char *said = g_strdup((*error)->message);
        g_free((*error)->message);
        (*error)->message = g_strdup_printf("%s, at %s", said, where);
    }
    return fd;
}

static bool lookup_group(const char *name, gid_t *ret_gid, GError **error)
{
    char *end;
    struct group *group = getgrnam(name);
    unsigned long number = strtoul(name, &end, 10);

    if (group)
        *ret_gid = group->gr_gid;
    else if (end != name && *end == '\0' && number < (gid_t)-1)
        *ret_gid = (gid_t)number;
    else {
        g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_INVAL, "sock-group=%s: no such group", name);
        return false;
    }
    return true;
}

/* What monitors that are gone did not come to name. It has a folder, so that a mount does not go
 * through the sockets of all mounts for it. */
static void drop_unnamed(const char *unnamed)
{
    g_autoptr(GDir) dir = g_dir_open(unnamed, 0, NULL);

    for (const char *name; dir && (name = g_dir_read_name(dir));) {
        g_autofree char *path = g_build_filename(unnamed, name, NULL);
        if (kill(atoi(name), 0) < 0 && errno == ESRCH)
            unlink(path);
    }
}

/* Guests can be served without it. NULL: it can't be had. */
static char *open_by_store(const char *run)
{
    g_autofree char *path = g_build_filename(run, "by-store", NULL);
    g_autofree char *unnamed = g_build_filename(path, FS_BY_STORE_NEW, NULL);
    g_autoptr(GError) error = NULL;
    uv_autofd int fd = fs_open_private_folder(path, 0711, &error);
    uv_autofd int unnamed_fd = fd < 0 ? -1 : fs_open_private_folder(unnamed, 0700, &error);

    if (unnamed_fd < 0)
        return NULL;
    drop_unnamed(unnamed);
    return g_steal_pointer(&path);
}

FsSockdir *fs_sockdir_open(const FsLocal *source, const FsOptions *options, GError **error)
{
    g_autoptr(FsSockdir) sockdir = g_new0(FsSockdir, 1);
    sockdir->fd = sockdir->lock_fd = sockdir->source_lock_fd = -1;
    sockdir->group = (gid_t)-1;
    sockdir->mode = options->sock_mode ? options->sock_mode : 0660;
    sockdir->read_only = options->read_only;
    if (options->sock_group && !lookup_group(options->sock_group, &sockdir->group, error))
        return NULL;

    bool own = !options->sockdir;
    g_autofree char *run = fs_run_folder(own || source->store ? error : NULL);
    if (!run && (own || source->store))
        return NULL;
    if (run && (own || source->store)) {
        uv_autofd int fd = fs_open_private_folder(run, 0, error);
        if (fd < 0)
            return NULL;
    }
    if (run)
        sockdir->by_store = open_by_store(run);
    g_autofree char *id = name_source(source);
    if (source->store)
        sockdir->source_lock = g_strdup_printf("%s/%s.lock", run, id);
    /* A folder that other hosts have is not locked: each mounts it. */
    const bool locks = source->store || !options->shared;
    if (locks)
        sockdir->source_lock_fd =
            lock_source(source, sockdir->source_lock, options->read_only, error);
    if (locks && sockdir->source_lock_fd < 0)
        return NULL;

    sockdir->temporary = own && options->read_only;
    sockdir->path = !own                 ? g_canonicalize_filename(options->sockdir, NULL)
                    : sockdir->temporary ? g_strdup_printf("%s/%s.ro.%d", run, id, (int)getpid())
                                         : g_strdup_printf("%s/%s", run, id);
    if (strlen(sockdir->path) + FILE_ROOM > sizeof(((struct sockaddr_un *)0)->sun_path)) {
        g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_NAMETOOLONG,
                    "%s: too long a path for sockets: say another with -o sockdir=DIR",
                    sockdir->path);
        return NULL;
    }
    sockdir->fd = fs_open_private_folder(sockdir->path, own ? 0711 : 0, error);
    if (sockdir->fd < 0)
        return NULL;
    g_autofree char *lock = g_strdup_printf("%s/" LOCK, sockdir->path);
    sockdir->lock_fd =
        lock_file(lock, sockdir->path, "another mount has its sockets there", false, error);
    return sockdir->lock_fd < 0 ? NULL : g_steal_pointer(&sockdir);
}
