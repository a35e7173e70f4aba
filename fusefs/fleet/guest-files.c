/* SPDX-License-Identifier: GPL-2.0-or-later */

/* What lies beside a guest's store: the pin of its firmware, the folder itself. */

#include "fleet-private.h"

#include "sidecars.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

/* A larger pin is none. */
#define TEXT_MAX (1024 * 1024)

static char *read_text(int fd, size_t *ret_size)
{
    g_autofree char *text = NULL;
    struct stat st;
    size_t size = 0;

    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size > TEXT_MAX) {
        close(fd);
        return NULL;
    }
    text = g_malloc((size_t)st.st_size + 1);
    while (size < (size_t)st.st_size) {
        ssize_t n = read(fd, text + size, (size_t)st.st_size - size);

        if (n <= 0)
            break;
        size += (size_t)n;
    }
    close(fd);
    text[size] = '\0';
    *ret_size = size;
    return g_steal_pointer(&text);
}

int fs_guest_open_folder(const FsGuest *guest, char **ret_store)
{
    g_autofree char *store = NULL;
    int path_fd = fs_local_place(guest->fleet->source, guest->rule, guest->name, &store);
    int fd;

    if (path_fd < 0)
        return path_fd;
    fd = openat(path_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        fd = -errno;
    close(path_fd);
    if (fd >= 0 && ret_store)
        *ret_store = g_steal_pointer(&store);
    return fd;
}

char *fs_guest_read_pin(const FsGuest *guest)
{
    g_autofree char *store = NULL, *pin = NULL;
    int folder = guest_has_store(guest) ? fs_guest_open_folder(guest, &store) : -1;
    size_t size;
    int fd, sidecars;

    if (folder < 0)
        return NULL;
    sidecars = uv_sidecars_open(folder, store);
    close(folder);
    if (sidecars < 0)
        return NULL;
    pin = uv_sidecar_name(store, "pin");
    fd = openat(sidecars, pin, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    close(sidecars);
    return fd < 0 ? NULL : read_text(fd, &size);
}

FsGuest *fs_fleet_find(FsFleet *fleet, const char *name, uint64_t sequence)
{
    FsGuest *guest = g_hash_table_lookup(fleet->by_name, name);

    return guest && guest->sequence == sequence ? guest : NULL;
}
