/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * The rules by which names make guests. How files below SOURCE are reached is in beneath.c and
 * place.c.
 */

#include "local.h"

#include "beneath.h"
#include "fd.h"
#include "rights.h"
#include "sidecars.h"
#include "uv-limits.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *const suffixes[FS_RULES] = {
    [FS_RULE_FOLDER] = "", [FS_RULE_JSON] = ".json",       [FS_RULE_VARS_JSON] = "_VARS.json",
    [FS_RULE_FD] = ".fd",  [FS_RULE_VARS_FD] = "_VARS.fd", [FS_RULE_VARS_QCOW2] = "_VARS.qcow2",
};

/* What makes a folder a guest; the stores among them in the order of precedence. */
static const char *const folder_files[] = {"vars.json", "vars.fd", "config.json"};
#define FOLDER_STORES 2

void fs_local_free(FsLocal *source)
{
    if (!source)
        return;
    if (source->fd >= 0)
        close(source->fd);
    g_free(source->store);
    g_free(source->path);
    g_free(source);
}

char *fs_local_id(const FsLocal *source)
{
    struct stat st;

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

static bool valid_name(const char *name, size_t size)
{
    return size > 0 && size <= UV_GUEST_NAME_MAX && name[0] != '.' && !memchr(name, '/', size) &&
           !memchr(name, '\n', size);
}

/* Any that libvirt lets a domain have. */
static bool valid_domain(const char *name, size_t size)
{
    const bool dots = size <= 2 && strspn(name, ".") >= size;

    return size > 0 && size <= UV_GUEST_NAME_MAX && !dots && !memchr(name, '/', size) &&
           !memchr(name, '\n', size);
}

bool fs_local_valid_name(const FsLocal *source, const char *name)
{
    if (source->libvirts)
        return valid_domain(name, strlen(name));
    return valid_name(name, strlen(name)) && !g_str_has_suffix(name, ".config.json");
}

static bool classify_domain(const char *file, bool folder, FsRule *ret_rule, size_t *ret_name_bytes)
{
    const size_t size = strlen(file), suffix = strlen(suffixes[FS_RULE_JSON]);

    if (folder || size <= suffix || !g_str_has_suffix(file, suffixes[FS_RULE_JSON]))
        return false;
    *ret_rule = FS_RULE_JSON;
    *ret_name_bytes = size - suffix;
    return valid_domain(file, size - suffix);
}

bool fs_local_classify(const FsLocal *source, const char *file, bool folder, FsRule *ret_rule,
                       size_t *ret_name_bytes)
{
    /* The longer suffix decides, so that each file belongs to one guest. */
    static const FsRule by_length[] = {FS_RULE_VARS_QCOW2, FS_RULE_VARS_JSON, FS_RULE_VARS_FD,
                                       FS_RULE_JSON, FS_RULE_FD};
    size_t size = strlen(file);

    if (source->libvirts)
        return classify_domain(file, folder, ret_rule, ret_name_bytes);
    if (folder) {
        *ret_rule = FS_RULE_FOLDER;
        *ret_name_bytes = size;
        return valid_name(file, size);
    }
    if (g_str_has_suffix(file, ".config.json"))
        return false;
    for (size_t i = 0; i < G_N_ELEMENTS(by_length); i++) {
        size_t suffix = strlen(suffixes[by_length[i]]);
        if (size <= suffix || !g_str_has_suffix(file, suffixes[by_length[i]]))
            continue;
        *ret_rule = by_length[i];
        *ret_name_bytes = size - suffix;
        return valid_name(file, size - suffix);
    }
    return false;
}

static const char *config_suffix(const FsLocal *source)
{
    return source->libvirts ? ".json.config" : ".config.json";
}

char *fs_local_guest_of(const FsLocal *source, const char *file)
{
    const char *config = config_suffix(source);
    size_t size = strlen(file);
    FsRule rule;

    if (size > strlen(config) && g_str_has_suffix(file, config)) {
        g_autofree char *name = g_strndup(file, size - strlen(config));
        if (fs_local_valid_name(source, name))
            return g_steal_pointer(&name);
    }
    return fs_local_classify(source, file, false, &rule, &size) ? g_strndup(file, size) : NULL;
}

char *fs_local_file(const FsLocal *source, FsRule rule, const char *guest)
{
    return rule == FS_RULE_SOURCE ? g_strdup(source->store)
                                  : g_strconcat(guest, suffixes[rule], NULL);
}

char *fs_local_config(const FsLocal *source, FsRule rule, const char *guest)
{
    return g_strconcat(guest, rule == FS_RULE_FOLDER ? "/config.json" : config_suffix(source),
                       NULL);
}

/* Of the file itself or, through links that root owns, of what it means. */
static int stat_beneath(const FsLocal *source, const char *path, struct stat *ret_stat)
{
    if (fstatat(source->fd, path, ret_stat, AT_SYMLINK_NOFOLLOW) < 0)
        return -errno;
    if (!S_ISLNK(ret_stat->st_mode))
        return 0;
    int fd = fs_beneath_open(source->fd, path, O_PATH, 0);
    if (fd < 0)
        return fd;
    int result = fstat(fd, ret_stat) < 0 ? -errno : 0;
    close(fd);
    return result;
}

/* Which of folder_files are in guest's folder, as bits; -errno if there is no such folder. */
static int folder_contents(const FsLocal *source, const char *folder)
{
    struct stat st;
    int contents = 0;
    uv_autofd int fd = fs_beneath_open(source->fd, folder, O_PATH | O_DIRECTORY, 0);

    if (fd < 0)
        return fd;
    fs_rights_scope rights = fs_rights_take_of(fd);
    for (size_t i = 0; i < G_N_ELEMENTS(folder_files); i++)
        if (fstatat(fd, folder_files[i], &st, AT_SYMLINK_NOFOLLOW) == 0 &&
            (S_ISREG(st.st_mode) || S_ISLNK(st.st_mode)))
            contents |= 1 << i;
    return contents;
}

static bool rule_holds(const FsLocal *source, FsRule rule, const char *guest)
{
    struct stat st;
    if (rule == FS_RULE_FOLDER)
        return folder_contents(source, guest) > 0;
    g_autofree char *file = fs_local_file(source, rule, guest);
    return stat_beneath(source, file, &st) == 0 && S_ISREG(st.st_mode);
}

bool fs_local_fits(const FsLocal *source, FsRule rule, const char *guest)
{
    g_autofree char *file = fs_local_file(source, rule, guest);
    FsRule meant;
    size_t size;
    return fs_local_classify(source, file, rule == FS_RULE_FOLDER, &meant, &size) && meant == rule;
}

bool fs_local_find(const FsLocal *source, const char *guest, FsRule *ret_rule, char ***ret_shadowed)
{
    g_autoptr(GPtrArray) shadowed = g_ptr_array_new_with_free_func(g_free);
    bool found = false;

    if (ret_shadowed)
        *ret_shadowed = NULL;
    if (source->store) {
        *ret_rule = FS_RULE_SOURCE;
        return guest[0] == '\0';
    }
    if (!fs_local_valid_name(source, guest))
        return false;
    for (FsRule rule = 0; rule < FS_RULES; rule++) {
        if (!fs_local_fits(source, rule, guest) || !rule_holds(source, rule, guest))
            continue;
        if (!found)
            *ret_rule = rule;
        else
            g_ptr_array_add(shadowed, fs_local_file(source, rule, guest));
        found = true;
        if (!ret_shadowed)
            break;
        if (rule == FS_RULE_FOLDER && (folder_contents(source, guest) & 3) == 3)
            g_ptr_array_add(shadowed, g_strconcat(guest, "/", folder_files[1], NULL));
    }
    if (ret_shadowed && shadowed->len > 0) {
        g_ptr_array_add(shadowed, NULL);
        *ret_shadowed = (char **)g_ptr_array_steal(shadowed, NULL);
    }
    return found;
}

/* What readdir's entry is: DT_REG, DT_DIR, or DT_UNKNOWN for what is of no interest. */
static unsigned char entry_type(const FsLocal *source, const struct dirent *entry)
{
    struct stat st;

    if (entry->d_type == DT_REG || entry->d_type == DT_DIR)
        return entry->d_type;
    if (entry->d_type != DT_LNK && entry->d_type != DT_UNKNOWN)
        return DT_UNKNOWN;
    if (stat_beneath(source, entry->d_name, &st) < 0)
        return DT_UNKNOWN;
    return S_ISREG(st.st_mode) ? DT_REG : S_ISDIR(st.st_mode) ? DT_DIR : DT_UNKNOWN;
}

static const char *why_not_link(const FsLocal *source, const char *name)
{
    struct stat st;
    const int result = stat_beneath(source, name, &st);

    if (result == -ENOENT)
        return "the link leads nowhere";
    if (result == 0 && S_ISBLK(st.st_mode))
        return "the link leads to a block device, which can only be mounted by itself, as SOURCE";
    return result == 0 ? "the link leads to no regular file" : "root does not own the link";
}

/* What looks like a guest and is none: somebody will miss it. */
static void tell_why_not(const FsLocal *source, const struct dirent *entry, unsigned char type)
{
    size_t size;
    FsRule rule;
    bool meant = fs_local_classify(source, entry->d_name, type == DT_DIR, &rule, &size);
    const char *why = NULL;

    if (meant && entry->d_type == DT_LNK && type == DT_UNKNOWN)
        why = why_not_link(source, entry->d_name);
    else if (meant && type == DT_UNKNOWN)
        why = "it is not a regular file";
    else if (!meant && strlen(entry->d_name) > UV_GUEST_NAME_MAX)
        why = "its name has more than 200 bytes";
    if (why)
        g_message("%s/%s: no guest: %s", source->path, entry->d_name, why);
}

void fs_local_told(FsLocal *source, bool any)
{
    if (!source->told && !any && !source->store)
        g_message("%s: no guests; looked for NAME/ with config.json, vars.json or vars.fd in it, "
                  "NAME.json, NAME_VARS.json, NAME.fd, NAME_VARS.fd and NAME_VARS.qcow2",
                  source->path);
    source->told = true;
}

void fs_local_visit_entry(FsLocal *source, const struct dirent *entry, FsLocalVisit visit,
                          void (*visit_other)(const char *, void *), void *data)
{
    char guest[UV_GUEST_NAME_MAX + 1];
    size_t size;
    FsRule rule;

    if (entry->d_name[0] == '.' && !source->libvirts)
        return;
    unsigned char type = entry_type(source, entry);
    if (type == DT_UNKNOWN ||
        !fs_local_classify(source, entry->d_name, type == DT_DIR, &rule, &size)) {
        if (!source->told)
            tell_why_not(source, entry, type);
        return;
    }
    memcpy(guest, entry->d_name, size);
    guest[size] = '\0';
    if (type == DT_REG || folder_contents(source, guest) > 0)
        visit(guest, rule, data);
    else if (visit_other)
        visit_other(guest, data);
}

const char *fs_local_folder_store(int folder_fd)
{
    struct stat st;
    for (int i = 0; i < FOLDER_STORES; i++)
        if (fstatat(folder_fd, folder_files[i], &st, AT_SYMLINK_NOFOLLOW) == 0)
            return folder_files[i];
    return folder_files[0];
}
