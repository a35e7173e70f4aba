/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "sockets.h"

#include "filelock.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define RUN_FOLDER "uefivarsfs"
#define LOCK_FILE "lock"
#define HEX_DIGITS 16
#define PREDECESSOR_US (2 * G_USEC_PER_SEC)
/* "/", the digits, ".session" and a NUL. */
#define FILE_ROOM (1 + HEX_DIGITS + 9)

static bool fail(GError **error, const char *path, const char *what)
{
    int saved = errno;
    g_set_error(error, G_FILE_ERROR, g_file_error_from_errno(saved), "%s: %s: %s", path, what,
                g_strerror(saved));
    return false;
}

/* /run/uefivarsfs, or $XDG_RUNTIME_DIR/uefivarsfs for an ordinary user. */
static char *run_folder(GError **error)
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

/* Ours, and nobody else can put anything there. */
static int open_private_folder(const char *path, mode_t mode, GError **error)
{
    struct stat st;

    if (g_mkdir_with_parents(path, 0755) < 0) {
        fail(error, path, "can't make the folder for sockets");
        return -1;
    }
    int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) < 0) {
        fail(error, path, "can't open the folder for sockets");
        if (fd >= 0)
            close(fd);
        return -1;
    }
    if (st.st_uid != geteuid() || (st.st_mode & 022)) {
        g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_PERM,
                    "%s: the folder for sockets must belong to this user and be writable by no "
                    "other",
                    path);
        close(fd);
        return -1;
    }
    if (mode)
        chmod(path, mode);
    return fd;
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

/* Locks an open file for as long as it is open: fd itself, or -1 with an error. Owns `fd`. */
static int lock_or_close(int fd, const char *path, const char *holder, bool shared, GError **error)
{
    if (fd < 0) {
        fail(error, path, "can't open it to lock it");
        return -1;
    }
    if (try_lock(fd, shared))
        return fd;
    if (errno == EWOULDBLOCK) {
        g_autofree char *link = g_strdup_printf("/proc/self/fd/%d", fd);
        g_autofree char *locked = g_file_read_link(link, NULL);
        g_autofree char *who = locked ? uv_filelock_who(locked, getpid()) : NULL;
        g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_AGAIN, "%s: %s%s%s", path, holder,
                    who ? ", by " : "", who ? who : "");
    } else {
        fail(error, path, "can't lock it");
    }
    close(fd);
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
        int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        fd = lock_or_close(fd, subject, holder, shared, error);
        if (fd < 0)
            return -1;
        if (fstat(fd, &locked) == 0 && stat(path, &named) == 0 && locked.st_dev == named.st_dev &&
            locked.st_ino == named.st_ino)
            return fd;
        close(fd);
    }
}

/*
 * A folder is locked itself, so that it counts for every user and every sockdir. A store is not: it
 * is replaced by renaming, and whether somebody has it open means something to its engine.
 */
static int lock_source(const FsLocal *source, const char *lock, bool shared, GError **error)
{
    static const char holder[] = "it is mounted already";

    if (source->store)
        return lock_file(lock, source->path, holder, shared, error);
    return lock_or_close(openat(source->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), source->path,
                         holder, shared, error);
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

/* Nobody needs it to serve guests. NULL: it can't be had. */
static char *open_by_store(const char *run)
{
    g_autofree char *path = g_build_filename(run, "by-store", NULL);
    g_autoptr(GError) error = NULL;
    int fd = open_private_folder(path, 0711, &error);

    if (fd < 0)
        return NULL;
    close(fd);
    return g_steal_pointer(&path);
}

FsSockdir *fs_sockdir_open(const FsLocal *source, const FsOptions *options, GError **error)
{
    g_autoptr(FsSockdir) sockdir = g_new0(FsSockdir, 1);
    sockdir->fd = sockdir->lock_fd = sockdir->source_lock_fd = -1;
    sockdir->group = (gid_t)-1;
    sockdir->mode = options->sock_mode ? options->sock_mode : 0660;
    if (options->sock_group && !lookup_group(options->sock_group, &sockdir->group, error))
        return NULL;

    bool own = !options->sockdir;
    g_autofree char *run = run_folder(own || source->store ? error : NULL);
    if (!run && (own || source->store))
        return NULL;
    if (run && (own || source->store)) {
        int fd = open_private_folder(run, 0, error);
        if (fd < 0)
            return NULL;
        close(fd);
    }
    if (run)
        sockdir->by_store = open_by_store(run);
    g_autofree char *id = fs_local_id(source);
    if (source->store)
        sockdir->source_lock = g_strdup_printf("%s/%s.lock", run, id);
    sockdir->source_lock_fd = lock_source(source, sockdir->source_lock, options->read_only, error);
    if (sockdir->source_lock_fd < 0)
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
    sockdir->fd = open_private_folder(sockdir->path, own ? 0711 : 0, error);
    if (sockdir->fd < 0)
        return NULL;
    g_autofree char *lock = g_strdup_printf("%s/" LOCK_FILE, sockdir->path);
    sockdir->lock_fd =
        lock_file(lock, sockdir->path, "another mount has its sockets there", false, error);
    return sockdir->lock_fd < 0 ? NULL : g_steal_pointer(&sockdir);
}

void fs_sockdir_free(FsSockdir *sockdir)
{
    if (!sockdir)
        return;
    int fds[] = {sockdir->fd, sockdir->lock_fd, sockdir->source_lock_fd};
    for (size_t i = 0; i < G_N_ELEMENTS(fds); i++)
        if (fds[i] >= 0)
            close(fds[i]);
    g_free(sockdir->source_lock);
    g_free(sockdir->by_store);
    g_free(sockdir->path);
    g_free(sockdir);
}

uint64_t fs_sockdir_hash(const char *guest)
{
    g_autofree char *hex = g_compute_checksum_for_string(G_CHECKSUM_SHA256, guest, -1);
    hex[HEX_DIGITS] = '\0';
    return g_ascii_strtoull(hex, NULL, 16);
}

static char *file_name(uint64_t hash, const char *suffix)
{
    return g_strdup_printf("%016" G_GINT64_MODIFIER "x%s", hash, suffix);
}

char *fs_sockdir_file(const FsSockdir *sockdir, uint64_t hash, const char *suffix)
{
    g_autofree char *file = file_name(hash, suffix);

    return g_build_filename(sockdir->path, file, NULL);
}

static void fill_address(const FsSockdir *sockdir, uint64_t hash, const char *suffix,
                         struct sockaddr_un *ret_address)
{
    g_autofree char *path = fs_sockdir_file(sockdir, hash, suffix);

    *ret_address = (struct sockaddr_un){.sun_family = AF_UNIX};
    g_strlcpy(ret_address->sun_path, path, sizeof(ret_address->sun_path));
}

/* Bound with `mode`, not listening yet: until then nobody can connect. */
static int bind_socket(const struct sockaddr_un *address, mode_t mode)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    mode_t umask_before = umask(0777 & ~mode);
    int result = bind(fd, (const struct sockaddr *)address, sizeof(*address));
    if (result < 0 && errno == EADDRINUSE && unlink(address->sun_path) == 0)
        result = bind(fd, (const struct sockaddr *)address, sizeof(*address));
    int saved = errno;
    umask(umask_before);
    if (result == 0)
        return fd;
    close(fd);
    return -saved;
}

static int listen_or_close(int fd)
{
    if (listen(fd, SOMAXCONN) == 0)
        return fd;
    int saved = errno;
    close(fd);
    return -saved;
}

int fs_sockdir_listen_guest(const FsSockdir *sockdir, uint64_t hash, uid_t uid, gid_t gid)
{
    struct sockaddr_un address;

    fill_address(sockdir, hash, ".sock", &address);
    int fd = bind_socket(&address, sockdir->mode);
    if (fd < 0)
        return fd;
    if (sockdir->group != (gid_t)-1)
        gid = sockdir->group;
    if ((uid != geteuid() || gid != getegid()) && lchown(address.sun_path, uid, gid) < 0) {
        /* An ordinary user can't give it away, and needs not: the guests are his own. */
        if (geteuid() == 0) {
            int saved = errno;
            close(fd);
            return -saved;
        }
    }
    return listen_or_close(fd);
}

bool fs_sockdir_is_guest(const FsSockdir *sockdir, uint64_t hash, int fd)
{
    struct sockaddr_un wanted, bound = {.sun_family = AF_UNSPEC};
    socklen_t size = sizeof(bound);

    fill_address(sockdir, hash, ".sock", &wanted);
    return getsockname(fd, (struct sockaddr *)&bound, &size) == 0 && bound.sun_family == AF_UNIX &&
           strncmp(bound.sun_path, wanted.sun_path, sizeof(wanted.sun_path)) == 0;
}

int fs_sockdir_give_guest(const FsSockdir *sockdir, uint64_t hash, uid_t uid, gid_t gid)
{
    g_autofree char *file = file_name(hash, ".sock");

    if (sockdir->group != (gid_t)-1)
        gid = sockdir->group;
    return geteuid() == 0 && fchownat(sockdir->fd, file, uid, gid, AT_SYMLINK_NOFOLLOW) < 0 ? -errno
                                                                                            : 0;
}

static char *store_link(const FsSockdir *sockdir, uint64_t store_hash)
{
    g_autofree char *file = file_name(store_hash, ".sock");

    return g_build_filename(sockdir->by_store, file, NULL);
}

uint64_t fs_sockdir_link_store(const FsSockdir *sockdir, uint64_t hash, const char *store)
{
    const uint64_t store_hash = fs_sockdir_hash(store);

    if (!sockdir->by_store)
        return 0;
    g_autofree char *link = store_link(sockdir, store_hash);
    g_autofree char *socket_path = fs_sockdir_file(sockdir, hash, ".sock");
    unlink(link);
    return symlink(socket_path, link) == 0 ? store_hash : 0;
}

void fs_sockdir_unlink_store(const FsSockdir *sockdir, uint64_t hash, uint64_t store_hash)
{
    g_autofree char *link = store_link(sockdir, store_hash);
    g_autofree char *socket_path = fs_sockdir_file(sockdir, hash, ".sock");
    g_autofree char *target = g_file_read_link(link, NULL);

    if (g_strcmp0(target, socket_path) == 0)
        unlink(link);
}

int fs_sockdir_listen_host(const FsSockdir *sockdir, uint64_t hash)
{
    struct sockaddr_un address;

    fill_address(sockdir, hash, ".host", &address);
    int fd = bind_socket(&address, 0600);
    return fd < 0 ? fd : listen_or_close(fd);
}

int fs_sockdir_connect_host(const FsSockdir *sockdir, uint64_t hash)
{
    struct sockaddr_un address;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0)
        return -errno;
    fill_address(sockdir, hash, ".host", &address);
    if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0)
        return fd;
    int saved = errno;
    close(fd);
    return -saved;
}

int fs_sockdir_open_session(const FsSockdir *sockdir, uint64_t hash)
{
    g_autofree char *file = file_name(hash, ".session");
    int fd = openat(sockdir->fd, file, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    return fd < 0 ? -errno : fd;
}

bool fs_sockdir_session_is_empty(const FsSockdir *sockdir, uint64_t hash)
{
    g_autofree char *file = file_name(hash, ".session");
    struct stat st;

    return fstatat(sockdir->fd, file, &st, AT_SYMLINK_NOFOLLOW) < 0 || st.st_size == 0;
}

void fs_sockdir_unlink(const FsSockdir *sockdir, uint64_t hash, const char *suffix)
{
    g_autofree char *file = file_name(hash, suffix);

    unlinkat(sockdir->fd, file, 0);
}

void fs_sockdir_each(const FsSockdir *sockdir,
                     void (*visit)(uint64_t hash, const char *suffix, void *data), void *data)
{
    int fd = openat(sockdir->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);

    if (!dir) {
        if (fd >= 0)
            close(fd);
        return;
    }
    for (struct dirent *entry; (entry = readdir(dir));) {
        char *end;
        uint64_t hash = g_ascii_strtoull(entry->d_name, &end, 16);
        if (end == entry->d_name + HEX_DIGITS && *end == '.')
            visit(hash, end, data);
    }
    closedir(dir);
}

void fs_sockdir_remove(FsSockdir *sockdir)
{
    /* With the locks held: see lock_file(). A shared one goes with the last who has it. */
    if (sockdir->source_lock && flock(sockdir->source_lock_fd, LOCK_EX | LOCK_NB) == 0)
        unlink(sockdir->source_lock);
    unlinkat(sockdir->fd, LOCK_FILE, 0);
    if (rmdir(sockdir->path) < 0 && errno != ENOTEMPTY && errno != EEXIST)
        g_debug("%s: %s", sockdir->path, g_strerror(errno));
}
