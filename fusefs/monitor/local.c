/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "local.h"

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

/* Of the file itself or, through links that root owns, of what it means. */
static int stat_beneath(const FsLocal *source, const char *path, struct stat *ret_stat)
{
    const int result = fs_beneath_stat(source->fd, path, ret_stat);

    if (result < 0 || !S_ISLNK(ret_stat->st_mode))
        return result;
    uv_autofd int fd = fs_beneath_open(source->fd, path, O_PATH, 0);
    if (fd < 0)
        return fd;
    return fstat(fd, ret_stat) < 0 ? -errno : 0;
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

/* Which of folder_files are in guest's folder, as bits; -errno if there is no such folder. */
static int folder_contents(const FsLocal *source, const char *folder)
{
    uv_autofd int fd = fs_beneath_open(source->fd, folder, O_PATH | O_DIRECTORY, 0);
    int contents = 0;

    if (fd < 0)
        return fd;
    uv_rights_scope rights = uv_rights_take_of(fd);
    for (size_t i = 0; i < G_N_ELEMENTS(folder_files); i++) {
        struct stat st;
        const int result = fs_beneath_stat(fd, folder_files[i], &st);
        if (result == -EXDEV)
            return result;
        if (result == 0 && (S_ISREG(st.st_mode) || S_ISLNK(st.st_mode)))
            contents |= 1 << i;
    }
    if (contents == 0 && source->any_layout) {
        g_autofree char *others = others_store(fd, folder, &contents);
        if (others)
            contents = OTHERS_STORE;
    }
    return contents;
}

/* 1: it does, 0: not, or -EXDEV. */
static int rule_holds(const FsLocal *source, UvGuestRule rule, const char *guest)
{
    g_autofree char *file = uv_guest_file(rule, guest);
    struct stat st = {0};
    int result;

    if (!uv_guest_fits(source->libvirts, rule, guest))
        return 0;
    result =
        rule == UV_GUEST_FOLDER ? folder_contents(source, guest) : stat_beneath(source, file, &st);
    if (result < 0)
        return result == -EXDEV ? result : 0;
    if (rule == UV_GUEST_FOLDER)
        return result > 0;
    return S_ISREG(st.st_mode) || (S_ISBLK(st.st_mode) && source->any_layout);
}

static void add_shadowed(GString *shadowed, char *file)
{
    g_string_append_printf(shadowed, "%s%s", shadowed->len ? "\n" : "", file);
    g_free(file);
}

int fs_local_find(const FsLocal *source, const char *guest, UvGuestRule *ret_rule,
                  GString *ret_shadowed)
{
    bool found = false;

    if (source->store) {
        *ret_rule = UV_GUEST_SOURCE;
        return guest[0] == '\0' ? 0 : -ENOENT;
    }
    for (UvGuestRule rule = 0;
         rule < UV_GUEST_RULES && uv_guest_name_valid(source->libvirts, guest); rule++) {
        const int holds = rule_holds(source, rule, guest);
        if (holds < 0)
            return holds;
        if (!holds)
            continue;
        if (!found)
            *ret_rule = rule;
        else
            add_shadowed(ret_shadowed, uv_guest_file(rule, guest));
        found = true;
        if (!ret_shadowed)
            break;
        if (rule == UV_GUEST_FOLDER &&
            (folder_contents(source, guest) & BOTH_STORES) == BOTH_STORES)
            add_shadowed(ret_shadowed, g_strconcat(guest, "/", folder_files[1], NULL));
    }
    return found ? 0 : -ENOENT;
}

/* What a link means. Where root's lead is root's business: that is waited for. */
static int stat_link(const FsLocal *source, const char *name, struct stat *ret_stat)
{
    const bool stayed = fs_beneath_stay(false);
    const int result = stat_beneath(source, name, ret_stat);

    fs_beneath_stay(stayed);
    return result;
}

/* What readdir's entry is: DT_REG, DT_DIR, or DT_UNKNOWN for what is of no interest. */
static unsigned char entry_type(const FsLocal *source, const struct dirent *entry)
{
    struct stat st;

    if (entry->d_type == DT_REG || entry->d_type == DT_DIR)
        return entry->d_type;
    if (entry->d_type != DT_LNK && entry->d_type != DT_UNKNOWN)
        return DT_UNKNOWN;
    if ((entry->d_type == DT_LNK ? stat_link : stat_beneath)(source, entry->d_name, &st) < 0)
        return DT_UNKNOWN;
    if (entry->d_type == DT_LNK && S_ISBLK(st.st_mode) && source->any_layout)
        return DT_REG;
    return S_ISREG(st.st_mode) ? DT_REG : S_ISDIR(st.st_mode) ? DT_DIR : DT_UNKNOWN;
}

static const char *why_not_link(const FsLocal *source, const char *name)
{
    struct stat st;
    const int result = stat_link(source, name, &st);

    if (result == -ENOENT)
        return "the link leads nowhere";
    if (result == 0 && S_ISBLK(st.st_mode))
        return "the link leads to a block device (see layout=auto)";
    return result == 0 ? "the link leads to no regular file" : "root does not own the link";
}

int fs_local_entry(const FsLocal *source, const struct dirent *entry, char *ret_guest,
                   UvGuestRule *ret_rule, const char **ret_why)
{
    unsigned char type;
    size_t size;
    int contents;

    *ret_why = NULL;
    if (entry->d_name[0] == '.' && !source->libvirts)
        return -EINVAL;
    type = entry_type(source, entry);
    if (!uv_guest_classify(source->libvirts, entry->d_name, type == DT_DIR, ret_rule, &size)) {
        if (strlen(entry->d_name) > UV_GUEST_NAME_MAX)
            *ret_why = "its name has more than 200 bytes";
        return -EINVAL;
    }
    if (type == DT_UNKNOWN) {
        *ret_why = entry->d_type == DT_LNK ? why_not_link(source, entry->d_name)
                                           : "it is not a regular file";
        return -EINVAL;
    }
    memcpy(ret_guest, entry->d_name, size);
    ret_guest[size] = '\0';
    contents = type == DT_DIR ? folder_contents(source, ret_guest) : 1;
    return contents > 0 || contents == -EXDEV ? 0 : -ENOENT;
}

char *fs_local_folder_store(const FsLocal *source, const char *guest, int folder_fd)
{
    char *others = NULL;
    struct stat st;
    int ignored;

    for (int i = 0; i < FOLDER_STORES; i++) {
        const int result = fs_beneath_stat(folder_fd, folder_files[i], &st);
        if (result == 0 || result == -EXDEV)
            return g_strdup(folder_files[i]);
    }
    if (source->any_layout)
        others = others_store(folder_fd, guest, &ignored);
    return others ? others : g_strdup(folder_files[0]);
}
