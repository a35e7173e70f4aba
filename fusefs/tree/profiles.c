/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "profiles.h"

#include "bytes.h"
#include "fd.h"
#include "file-io.h"
#include "uv-limits.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#define PROFILES_MAX 1000
/* With the names around it, it must go into a frame. */
#define PROFILE_BYTES_MAX (UV_VIEW_FRAME_MAX - 1024u)

#define IMAGE_BYTES_MAX (PROFILE_BYTES_MAX - 1024u)

static const char *const key_folders[] = {"PK", "KEK", "db", "dbx", "dbt", "dbr"};
/* Of a variable store that is a profile. */
static const char *const store_suffixes[] = {".json", ".fd"};
static const char *const suffixes[] = {".crt", ".cer",  ".pem", ".der",
                                       ".esl", ".auth", ".bin", ".txt"};

static int compare(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* What is in a folder, in order; empty if it can't be read. */
static GPtrArray *names_in(const char *folder)
{
    GPtrArray *names = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
    const char *name;

    while (dir && names->len < PROFILES_MAX && (name = g_dir_read_name(dir))) {
        if (name[0] != '.')
            g_ptr_array_add(names, g_strdup(name));
    }
    g_ptr_array_sort(names, compare);
    return names;
}

static bool is_folder(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* The profile that an entry of a folder of profiles is, or NULL. */
static char *profile_of(const char *folder, const char *entry)
{
    g_autofree char *path = g_build_filename(folder, entry, NULL);

    if (is_folder(path))
        return g_strdup(entry);
    for (size_t i = 0; i < G_N_ELEMENTS(store_suffixes); i++) {
        if (g_str_has_suffix(entry, store_suffixes[i]))
            return g_strndup(entry, strlen(entry) - strlen(store_suffixes[i]));
    }
    return NULL;
}

static GPtrArray *all_profiles(char *const *folders)
{
    GPtrArray *profiles = g_ptr_array_new_with_free_func(g_free);

    for (; folders && *folders; folders++) {
        g_autoptr(GPtrArray) entries = names_in(*folders);
        for (guint i = 0; i < entries->len; i++) {
            g_autofree char *name = profile_of(*folders, entries->pdata[i]);
            if (name && *name && !strpbrk(name, "\n\r\t ") &&
                !g_ptr_array_find_with_equal_func(profiles, name, g_str_equal, NULL))
                g_ptr_array_add(profiles, g_steal_pointer(&name));
        }
    }
    g_ptr_array_sort(profiles, compare);
    return profiles;
}

GBytes *fs_profiles_list(char *const *folders)
{
    g_autoptr(GPtrArray) profiles = all_profiles(folders);
    GString *text = g_string_new(NULL);

    for (guint i = 0; i < profiles->len; i++)
        g_string_append_printf(text, "%s\n", (char *)profiles->pdata[i]);
    return g_string_free_to_bytes(text);
}

/* Adds a file under its name in the profile; false with a reason. A flash image may be large (Arm's
 * have 64 MiB); its variables are at its begin. */
static bool add_file(UvWriter *writer, const char *path, const char *name, char **ret_reason)
{
    uv_autofd int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    g_autoptr(GBytes) bytes = NULL;
    struct stat st;
    int result = fd < 0 || fstat(fd, &st) < 0 ? -errno : S_ISREG(st.st_mode) ? 0 : -EINVAL;

    if (result == 0)
        result = g_str_has_suffix(name, ".fd") ? uv_read_begin(fd, IMAGE_BYTES_MAX, &bytes)
                                               : uv_read_to_end(fd, PROFILE_BYTES_MAX, &bytes);
    if (result < 0) {
        *ret_reason = g_strdup_printf("%s: %s", path, g_strerror(-result));
        return false;
    }
    uv_write_u16(writer, (uint16_t)strlen(name));
    uv_write_bytes(writer, name, strlen(name));
    uv_write_u32(writer, (uint32_t)g_bytes_get_size(bytes));
    uv_write_bytes(writer, g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes));
    if (writer->failed)
        *ret_reason = g_strdup_printf("%s: the profile is larger than %u bytes with it", path,
                                      PROFILE_BYTES_MAX);
    return !writer->failed;
}

static bool is_key_file(const char *name)
{
    for (size_t i = 0; i < G_N_ELEMENTS(suffixes); i++) {
        if (g_str_has_suffix(name, suffixes[i]))
            return true;
    }
    return false;
}

static bool add_key(UvWriter *writer, const char *profile, const char *key, char **ret_reason)
{
    g_autofree char *folder = g_build_filename(profile, key, NULL);
    g_autoptr(GPtrArray) entries = names_in(folder);

    for (guint i = 0; i < entries->len; i++) {
        g_autofree char *path = g_build_filename(folder, entries->pdata[i], NULL);
        g_autofree char *name = g_strconcat(key, "/", entries->pdata[i], NULL);
        if (is_key_file(name) && !add_file(writer, path, name, ret_reason))
            return false;
    }
    return true;
}

/* By the first of the suffixes that is there, or else the last. */
static bool add_store(UvWriter *writer, const char *folder, const char *name, char **ret_reason)
{
    g_autofree char *store = NULL, *path = NULL;

    for (size_t i = 0; i < G_N_ELEMENTS(store_suffixes); i++) {
        g_free(store);
        g_free(path);
        store = g_strconcat(name, store_suffixes[i], NULL);
        path = g_build_filename(folder, store, NULL);
        if (g_file_test(path, G_FILE_TEST_EXISTS))
            break;
    }
    return add_file(writer, path, store, ret_reason);
}

static bool add_profile(UvWriter *writer, const char *folder, const char *name, char **ret_reason)
{
    g_autofree char *path = g_build_filename(folder, name, NULL);

    if (!is_folder(path))
        return add_store(writer, folder, name, ret_reason);
    for (size_t i = 0; i < G_N_ELEMENTS(key_folders); i++) {
        if (!add_key(writer, path, key_folders[i], ret_reason))
            return false;
    }
    if (writer->size == 0)
        *ret_reason = g_strdup_printf("%s: no PK/, KEK/, db/ or dbx/ with keys in it", path);
    return writer->size > 0;
}

/* The first folder that has the profile, or NULL. */
static const char *folder_of(char *const *folders, const char *name)
{
    for (; folders && *folders; folders++) {
        g_autoptr(GPtrArray) entries = names_in(*folders);
        for (guint i = 0; i < entries->len; i++) {
            g_autofree char *profile = profile_of(*folders, entries->pdata[i]);
            if (g_strcmp0(profile, name) == 0)
                return *folders;
        }
    }
    return NULL;
}

GBytes *fs_profile_read(char *const *folders, const char *name, char **ret_reason)
{
    const char *folder = folder_of(folders, name);

    if (!folder) {
        g_autofree char *searched = folders ? g_strjoinv(":", (char **)folders) : g_strdup("");
        *ret_reason = g_strdup_printf("no such profile in %s", searched);
        return NULL;
    }
    g_auto(UvWriter) writer = uv_writer(PROFILE_BYTES_MAX);
    return add_profile(&writer, folder, name, ret_reason) ? uv_writer_steal(&writer) : NULL;
}
