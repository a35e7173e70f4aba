/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * Making and removing guests. A guest made by mkdir is a folder with a config.json of "{}", which
 * is what makes it one. Removing takes away only what belongs to a guest: whatever else lies there
 * (a journal that was set aside, a file of the administrator's) keeps it.
 */

#include "local.h"

#include "fd.h"
#include "sidecars.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int fs_local_make(const FsLocal *source, const char *guest)
{
    static const char empty[] = "{}\n";

    if (mkdirat(source->fd, guest, 0755) < 0)
        return -errno;
    g_autofree char *config = fs_local_config(FS_RULE_FOLDER, guest);
    int fd = fs_local_openat(source, config, O_WRONLY | O_CREAT | O_EXCL, 0600);
    int result = fd < 0 ? fd : 0;
    /* The guest is of whom SOURCE is: its engine runs as the owner of what we make here. */
    if (fd >= 0 && geteuid() == 0 &&
        (fchown(fd, source->st.st_uid, source->st.st_gid) < 0 ||
         fchownat(source->fd, guest, source->st.st_uid, source->st.st_gid, AT_SYMLINK_NOFOLLOW) <
             0))
        result = -errno;
    if (result == 0 && write(fd, empty, sizeof(empty) - 1) != (ssize_t)sizeof(empty) - 1)
        result = -ENOSPC;
    if (fd >= 0)
        close(fd);
    if (result < 0) {
        unlinkat(source->fd, config, 0);
        unlinkat(source->fd, guest, AT_REMOVEDIR);
    }
    return result;
}

static bool is_sidecar(const char *file, const char *store)
{
    size_t size = strlen(store);

    if (strncmp(file, store, size) != 0 || file[size] != '.')
        return false;
    for (const char *const *name = uv_sidecar_names; *name; name++)
        if (strcmp(file + size + 1, *name) == 0)
            return true;
    return false;
}

static bool is_store(const char *file, const char *store)
{
    return strcmp(file, store) == 0;
}

/* Calls `keep` for each name in the folder until it says false. */
static bool all_entries(int folder_fd, const char *folder,
                        bool (*keep)(const char *file, const char *store), const char *store)
{
    int fd = openat(folder_fd, folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    bool all = true;

    if (!dir) {
        if (fd >= 0)
            close(fd);
        return fd < 0 && errno == ENOENT;
    }
    for (struct dirent *entry; all && (entry = readdir(dir));)
        all = strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 ||
              keep(entry->d_name, store);
    closedir(dir);
    return all;
}

static bool belongs_to_folder(const char *file, const char *store)
{
    return strcmp(file, store) == 0 || strcmp(file, "config.json") == 0 ||
           strcmp(file, UV_SIDECARS) == 0 || strcmp(file, UV_SIDECARS_OTHERS) == 0;
}

/* The store's own, and the folders of them if nothing else is there. */
static void remove_sidecars(int folder_fd, const char *store)
{
    g_autofree char *path = uv_sidecars_path(folder_fd, store);
    int fd = uv_open_dir(folder_fd, path, O_NOFOLLOW);

    for (const char *const *what = uv_sidecar_names; fd >= 0 && *what; what++) {
        g_autofree char *name = uv_sidecar_name(store, *what);
        unlinkat(fd, name, 0);
    }
    unlinkat(folder_fd, path, AT_REMOVEDIR);
    unlinkat(folder_fd, UV_SIDECARS_OTHERS, AT_REMOVEDIR);
    unlinkat(folder_fd, UV_SIDECARS, AT_REMOVEDIR);
    if (fd >= 0)
        close(fd);
}

static bool only_own_sidecars(int folder_fd, const char *store)
{
    g_autofree char *own = g_build_filename(UV_SIDECARS_OTHERS, store, NULL);

    return all_entries(folder_fd, UV_SIDECARS, is_sidecar, store) &&
           all_entries(folder_fd, UV_SIDECARS_OTHERS, is_store, store) &&
           all_entries(folder_fd, own, is_sidecar, store);
}

static int remove_folder(const FsLocal *source, const char *guest)
{
    g_autofree char *store = NULL;
    int fd = fs_local_place(source, FS_RULE_FOLDER, guest, &store);

    if (fd < 0)
        return fd;
    if (!all_entries(fd, ".", belongs_to_folder, store) || !only_own_sidecars(fd, store)) {
        close(fd);
        return -ENOTEMPTY;
    }
    /* Any of these may be absent: what counts is that the folder goes. */
    remove_sidecars(fd, store);
    unlinkat(fd, store, 0);
    unlinkat(fd, "config.json", 0);
    close(fd);
    return unlinkat(source->fd, guest, AT_REMOVEDIR) < 0 ? -errno : 0;
}

int fs_local_remove(const FsLocal *source, FsRule rule, const char *guest)
{
    g_auto(GStrv) shadowed = NULL;
    FsRule now;

    if (rule == FS_RULE_SOURCE)
        return -EPERM;
    if (fs_local_find(source, guest, &now, &shadowed) && (now != rule || shadowed))
        return -ENOTEMPTY;
    if (rule == FS_RULE_FOLDER)
        return remove_folder(source, guest);
    g_autofree char *file = fs_local_file(source, rule, guest);
    g_autofree char *config = fs_local_config(rule, guest);
    if (unlinkat(source->fd, file, 0) < 0 && errno != ENOENT)
        return -errno;
    remove_sidecars(source->fd, file);
    unlinkat(source->fd, config, 0);
    return 0;
}

char *fs_local_set_aside_journal(const FsLocal *source, FsRule rule, const char *guest)
{
    g_autofree char *store = NULL, *path = NULL, *journal = NULL, *name = NULL;
    struct stat st;
    uv_autofd int fd = fs_local_place(source, rule, guest, &store);
    uv_autofd int sidecars = -1;
    unsigned number;

    if (fd < 0)
        return NULL;
    bool gone = fstatat(fd, store, &st, AT_SYMLINK_NOFOLLOW) < 0 && errno == ENOENT;
    path = uv_sidecars_path(fd, store);
    sidecars = gone ? uv_open_dir(fd, path, O_NOFOLLOW) : -1;
    if (sidecars < 0 || uv_sidecars_set_journal_aside(sidecars, store, &number) < 0)
        return NULL;
    journal = uv_sidecar_name(store, UV_SIDECAR_JOURNAL);
    name = uv_sidecar_conflict_name(journal, number);
    const char *below = rule == FS_RULE_FOLDER ? guest : "";
    return g_build_filename(source->path, below, path, name, NULL);
}
