/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "place.h"

#include "beneath.h"
#include "fd.h"
#include "rights.h"
#include "uv-limits.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

/* What makes a folder a guest; the stores among them in the order of precedence. */
static const char *const folder_files[] = {"vars.json", "vars.fd", "config.json"};
#define FOLDER_STORES 2
#define BOTH_STORES 3
#define OTHERS_STORE (1 << G_N_ELEMENTS(folder_files))

/* A qcow2 file of a store is hardly larger, another disk's hardly smaller. */
#define OTHERS_BYTES_MAX (128 * 1024 * 1024)

char *fs_local_file(const FsLocal *source, UvGuestRule rule, const char *guest)
{
    return rule == UV_GUEST_SOURCE ? g_strdup(source->store) : uv_guest_file(rule, guest);
}

/* The file itself or, through links that root owns, what it means. 0 or -errno. */
static int pin_file(const FsLocal *source, const char *path, UvPinned *pinned, bool *ret_linked)
{
    const int result = fs_beneath_pin(source->fd, path, pinned);

    *ret_linked = result == 0 && S_ISLNK(pinned->st.st_mode);
    return *ret_linked ? uv_pinned_take(pinned, fs_beneath_open(source->fd, path, O_PATH, 0))
                       : result;
}

/* The store that others made in it, allocated; NULL: none. -EXDEV likewise, in `ret_result`. */
static char *others_store(int folder_fd, const char *folder, int *ret_result)
{
    struct stat st;
    char *name;

    for (unsigned i = 0; (name = uv_guest_others_store(i, folder)); i++) {
        const int result = fs_beneath_stat(folder_fd, name, &st);
        if (result == 0 &&
            (S_ISLNK(st.st_mode) || (S_ISREG(st.st_mode) && st.st_size <= OTHERS_BYTES_MAX)))
            return name;
        if (result == -EXDEV)
            *ret_result = result;
        g_free(name);
    }
    return NULL;
}

int fs_local_folder(const FsLocal *source, const char *folder, FsPlace *place)
{
    int contents =
        uv_pinned_take(&place->base, fs_beneath_open(source->fd, folder, O_PATH | O_DIRECTORY, 0));

    if (contents < 0)
        return contents;
    if (source->is_domains) { /* a guest, whatever is in it (domain-folders.h) */
        place->store = g_strdup(folder_files[0]);
        return 1;
    }
    uv_rights_scope rights = uv_rights_take_at(&place->base);
    for (size_t i = 0; i < G_N_ELEMENTS(folder_files); i++) {
        struct stat st;
        const int result = fs_beneath_stat(place->base.fd, folder_files[i], &st);
        if (result == -EXDEV)
            return result;
        if (result == 0 && (S_ISREG(st.st_mode) || S_ISLNK(st.st_mode)))
            contents |= 1 << i;
        if (result == 0 && i < FOLDER_STORES && !place->store)
            place->store = g_strdup(folder_files[i]);
    }
    if (!place->store && source->any_layout) {
        place->store = others_store(place->base.fd, folder, &contents);
        contents = place->store ? OTHERS_STORE : contents;
    }
    if (!place->store)
        place->store = g_strdup(folder_files[0]);
    return contents;
}

/* Not 0: it does (of a folder its contents), 0: not, or -EXDEV. */
static int rule_holds(const FsLocal *source, const char *guest, FsPlace *place)
{
    g_autofree char *file = uv_guest_file(place->rule, guest);
    const bool folder = place->rule == UV_GUEST_FOLDER;
    bool linked = false;
    int result;

    if (!uv_guest_fits(source->libvirts, place->rule, guest))
        return 0;
    result = folder ? fs_local_folder(source, guest, place)
                    : pin_file(source, file, &place->file, &linked);
    if (linked) /* whose folder is another one */
        uv_fd_clear(&place->file.fd);
    if (result < 0)
        return result == -EXDEV ? result : 0;
    const mode_t mode = place->file.st.st_mode;
    return folder ? result : S_ISREG(mode) || (S_ISBLK(mode) && source->any_layout);
}

static void add_shadowed(GString *shadowed, char *file)
{
    g_string_append_printf(shadowed, "%s%s", shadowed->len ? "\n" : "", file);
    g_free(file);
}

static int find(const FsLocal *source, const char *guest, FsPlace *ret_place, GString *ret_shadowed)
{
    int result = -ENOENT;

    for (UvGuestRule rule = 0; rule < UV_GUEST_RULES; rule++) {
        g_auto(FsPlace) place = FS_PLACE_NONE;
        place.rule = rule;
        place.source = ret_place->source;
        const int holds = rule_holds(source, guest, &place);
        if (holds < 0)
            return holds;
        if (!holds)
            continue;
        if (result == 0)
            add_shadowed(ret_shadowed, uv_guest_file(rule, guest));
        else
            *ret_place = place, place = FS_PLACE_NONE;
        result = 0;
        if (!ret_shadowed)
            break;
        if (rule == UV_GUEST_FOLDER && (holds & BOTH_STORES) == BOTH_STORES)
            add_shadowed(ret_shadowed, g_strconcat(guest, "/", folder_files[1], NULL));
    }
    return result;
}

int fs_local_find(const FsLocal *source, const char *guest, FsPlace *ret_place,
                  GString *ret_shadowed)
{
    if (fstat(source->fd, &ret_place->source) < 0)
        return -errno;
    ret_place->rule = UV_GUEST_SOURCE;
    if (source->store)
        return guest[0] == '\0' ? 0 : -ENOENT;
    if (!uv_guest_name_valid(source->libvirts, guest))
        return -ENOENT;
    uv_rights_scope rights = uv_rights_take(ret_place->source.st_uid, ret_place->source.st_gid);
    return find(source, guest, ret_place, ret_shadowed);
}

/* What readdir's entry is, or what it means: where root's link leads is root's business, and waited
 * for. 0 or -errno. */
static int entry_mode(const FsLocal *source, const struct dirent *entry, mode_t *ret_mode)
{
    UvPinned file = UV_PINNED_NONE;
    bool linked;

    *ret_mode = DTTOIF(entry->d_type);
    if (entry->d_type != DT_LNK && entry->d_type != DT_UNKNOWN)
        return 0;
    const bool stayed = fs_beneath_stay(entry->d_type != DT_LNK);
    const int result = pin_file(source, entry->d_name, &file, &linked);
    fs_beneath_stay(stayed);
    uv_fd_clear(&file.fd);
    *ret_mode = result < 0 ? 0 : file.st.st_mode;
    return result;
}

static const char *why_not(const struct dirent *entry, int result, mode_t mode)
{
    if (entry->d_type != DT_LNK)
        return "it is not a regular file";
    if (result == -ENOENT)
        return "the link leads nowhere";
    if (result == 0 && S_ISBLK(mode))
        return "the link leads to a block device (see layout=auto)";
    return result == 0 ? "the link leads to no regular file" : "root does not own the link";
}

int fs_local_entry(const FsLocal *source, const struct dirent *entry, char *ret_guest,
                   UvGuestRule *ret_rule, const char **ret_why)
{
    g_auto(FsPlace) place = FS_PLACE_NONE;
    mode_t mode;
    size_t size;

    *ret_why = NULL;
    if (entry->d_name[0] == '.' && !source->libvirts)
        return -EINVAL;
    const int result = entry_mode(source, entry, &mode);
    if (!uv_guest_classify(source->libvirts, entry->d_name, S_ISDIR(mode), ret_rule, &size)) {
        if (strlen(entry->d_name) > UV_GUEST_NAME_MAX)
            *ret_why = "its name has more than 200 bytes";
        return -EINVAL;
    }
    const bool device = entry->d_type == DT_LNK && S_ISBLK(mode) && source->any_layout;
    if (!S_ISREG(mode) && !S_ISDIR(mode) && !device) {
        *ret_why = why_not(entry, result, mode);
        return -EINVAL;
    }
    memcpy(ret_guest, entry->d_name, size);
    ret_guest[size] = '\0';
    const int contents = S_ISDIR(mode) ? fs_local_folder(source, ret_guest, &place) : 1;
    return contents > 0 || contents == -EXDEV ? 0 : -ENOENT;
}
