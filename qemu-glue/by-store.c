/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "by-store.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define HASH_DIGITS 16
#define NEW_STORE_US (3 * G_USEC_PER_SEC)
#define NEW_STORE_PAUSE_US 10000

/* For tests, and for who keeps sockets elsewhere. */
#define FOLDER_VARIABLE "UEFIVARS_BY_STORE"

/* Where it may be: root's, and that of who runs QEMU. */
static char *folder(unsigned which)
{
    const char *given = secure_getenv(FOLDER_VARIABLE);

    if (given)
        return which == 0 ? g_strdup(given) : NULL;
    if (which == 0)
        return g_strdup("/run/uefivarsfs/by-store");
    return which == 1 ? g_strdup_printf("/run/user/%u/uefivarsfs/by-store", (unsigned)geteuid())
                      : NULL;
}

static char *entry(const char *in, const char *path, const char *suffix)
{
    g_autofree char *hex = g_compute_checksum_for_string(G_CHECKSUM_SHA256, path, -1);

    return g_strdup_printf("%s/%.*s%s", in, HASH_DIGITS, hex, suffix);
}

/* Also of a store that is yet to be made; NULL: not even its folder is there. */
static char *real_path(const char *store)
{
    g_autofree char *in = g_path_get_dirname(store);
    g_autofree char *name = g_path_get_basename(store);
    char *real = realpath(store, NULL);
    char *real_in = real ? NULL : realpath(in, NULL);
    char *path = real ? g_strdup(real) : real_in ? g_build_filename(real_in, name, NULL) : NULL;

    free(real);
    free(real_in);
    return path;
}

/* One that is too busy to take us now listens all the same. */
static bool somebody_listens(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    bool listens;

    if (fd < 0 || strlen(path) >= sizeof(address.sun_path)) {
        if (fd >= 0)
            close(fd);
        return false;
    }
    memcpy(address.sun_path, path, strlen(path));
    listens =
        connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0 || errno == EAGAIN;
    if (!listens && errno == EACCES)
        fprintf(stderr,
                "uefivarsfs: %s: not allowed to connect (is QEMU confined without leave for it? "
                "see uefivars-qemu(7))\n",
                path);
    close(fd);
    return listens;
}

/* A guest may be a folder of its own in the folder that is served. */
static bool is_folder_served(const char *in, const char *real)
{
    g_autofree char *own = g_path_get_dirname(real);
    g_autofree char *above = g_path_get_dirname(own);
    g_autofree char *own_entry = entry(in, own, ".folder");
    g_autofree char *above_entry = entry(in, above, ".folder");
    struct stat st;

    return lstat(own_entry, &st) == 0 || lstat(above_entry, &st) == 0;
}

static char *find_in(const char *in, const char *real, gint64 deadline)
{
    g_autofree char *socket_path = entry(in, real, ".sock");

    while (!somebody_listens(socket_path)) {
        if (g_get_monotonic_time() >= deadline || !is_folder_served(in, real))
            return NULL;
        g_usleep(NEW_STORE_PAUSE_US);
    }
    return g_steal_pointer(&socket_path);
}

char *glue_by_store_find(const char *store)
{
    const gint64 deadline = g_get_monotonic_time() + NEW_STORE_US;
    g_autofree char *real = real_path(store);
    char *in;

    for (unsigned i = 0; real && (in = folder(i)); i++) {
        char *found = find_in(in, real, deadline);

        g_free(in);
        if (found)
            return found;
    }
    return NULL;
}
