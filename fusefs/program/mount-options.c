/* SPDX-License-Identifier: GPL-2.0-or-later */

/* The -o options that are ours: a table of their names, what takes the value, and what --help
 * tells.
 */

#include "mount-options.h"

#include <gio/gio.h>
#include <stdio.h>
#include <string.h>

#include "uv-limits.h"

bool fs_options_fail(GError **error, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    g_clear_error(error);
    if (error)
        *error = g_error_new_valist(G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT, format, arguments);
    va_end(arguments);
    return false;
}

/* Values */

static bool number(const char *name, const char *value, guint64 least, guint64 most,
                   guint64 *ret_number, GError **error)
{
    if (!g_ascii_string_to_unsigned(value, 10, least, most, ret_number, NULL))
        return fs_options_fail(error, "%s=%s: not a number from %llu to %llu", name, value,
                               (unsigned long long)least, (unsigned long long)most);
    return true;
}

static bool set_mode(const char *name, const char *value, mode_t *ret_mode, GError **error)
{
    guint64 mode;

    if (!g_ascii_string_to_unsigned(value, 8, 0, 0777, &mode, NULL))
        return fs_options_fail(error, "%s=%s: not a mode (octal, up to 777)", name, value);
    *ret_mode = mode;
    return true;
}

static bool set_count(const char *name, const char *value, guint64 least, guint64 most,
                      unsigned *ret_count, GError **error)
{
    guint64 count;

    if (!number(name, value, least, most, &count, error))
        return false;
    *ret_count = count;
    return true;
}

static bool set_choice(const char *name, const char *value, const char *const *choices,
                       size_t *ret_index, GError **error)
{
    g_autofree char *all = NULL;

    for (size_t i = 0; choices[i]; i++) {
        if (strcmp(choices[i], value) == 0) {
            *ret_index = i;
            return true;
        }
    }
    all = g_strjoinv(", ", (char **)choices);
    return fs_options_fail(error, "%s=%s: not one of %s", name, value, all);
}

static bool set_text(char **place, const char *value)
{
    g_free(*place);
    *place = g_strdup(value);
    return true;
}

static bool set_list(char ***place, const char *value)
{
    g_strfreev(*place);
    *place = g_strsplit(value, ":", -1);
    return true;
}

/* Options */

static bool set_sockdir(FsOptions *options, const char *name, const char *value, GError **error)
{
    return set_text(&options->sockdir, value);
}

static bool set_sock_group(FsOptions *options, const char *name, const char *value, GError **error)
{
    return set_text(&options->sock_group, value);
}

static bool set_sock_mode(FsOptions *options, const char *name, const char *value, GError **error)
{
    return set_mode(name, value, &options->sock_mode, error);
}

static bool set_engine_user(FsOptions *options, const char *name, const char *value, GError **error)
{
    return set_text(&options->engine_user, value);
}

static bool set_front_user(FsOptions *options, const char *name, const char *value, GError **error)
{
    return set_text(&options->front_user, value);
}

static bool set_engine(FsOptions *options, const char *name, const char *value, GError **error)
{
    return set_text(&options->engine_path, value);
}

static bool set_engines(FsOptions *options, const char *name, const char *value, GError **error)
{
    return set_count(name, value, 1, 100000, &options->engines, error);
}

static bool set_idle(FsOptions *options, const char *name, const char *value, GError **error)
{
    return set_count(name, value, 0, 86400, &options->idle_s, error);
}

static bool set_firmware(FsOptions *options, const char *name, const char *value, GError **error)
{
    return set_list(&options->firmware, value);
}

static bool set_templates(FsOptions *options, const char *name, const char *value, GError **error)
{
    return set_list(&options->templates, value);
}

static bool set_keys(FsOptions *options, const char *name, const char *value, GError **error)
{
    return set_list(&options->keys, value);
}

static bool set_views(FsOptions *options, const char *name, const char *value, GError **error)
{
    size_t index;
    if (!set_choice(name, value, (const char *const[]){"off", "on", NULL}, &index, error))
        return false;
    options->views = index == 1;
    return true;
}

static bool set_view(FsOptions *options, const char *name, const char *value, GError **error)
{
    size_t index;
    if (!set_choice(name, value, (const char *const[]){"host", "guest", NULL}, &index, error))
        return false;
    options->view = index == 0 ? FS_VIEW_HOST : FS_VIEW_GUEST;
    return true;
}

static bool set_varcheck(FsOptions *options, const char *name, const char *value, GError **error)
{
    size_t index;
    return set_choice(name, value, (const char *const[]){"strict", "edk2", "off", NULL}, &index,
                      error) &&
           set_text(&options->varcheck, value);
}

static bool set_saved(FsOptions *options, const char *name, const char *value, GError **error)
{
    size_t index;
    return set_choice(name, value, (const char *const[]){"refuse", "warn", NULL}, &index, error) &&
           set_text(&options->saved, value);
}

static bool set_immutable(FsOptions *options, const char *name, const char *value, GError **error)
{
    size_t index;
    if (!set_choice(name, value, (const char *const[]){"none", "kernel", NULL}, &index, error))
        return false;
    options->immutable_kernel = index == 1;
    return true;
}

static bool set_sandbox(FsOptions *options, const char *name, const char *value, GError **error)
{
    size_t index;
    if (!set_choice(name, value, (const char *const[]){"auto", "strict", NULL}, &index, error))
        return false;
    options->sandbox_strict = index == 1;
    return true;
}

static bool set_uid(FsOptions *options, const char *name, const char *value, GError **error)
{
    return set_count(name, value, 0, UINT32_MAX - 1, &options->uid, error);
}

static bool set_gid(FsOptions *options, const char *name, const char *value, GError **error)
{
    return set_count(name, value, 0, UINT32_MAX - 1, &options->gid, error);
}

static bool set_umask(FsOptions *options, const char *name, const char *value, GError **error)
{
    options->umask_set = true;
    return set_mode(name, value, &options->umask, error);
}

static bool set_size(FsOptions *options, const char *name, const char *value, GError **error)
{
    guint64 size;
    if (!number(name, value, UV_STORAGE_MIN, UV_STORAGE_MAX, &size, error))
        return false;
    options->size_bytes = size;
    return true;
}

static bool set_record(FsOptions *options, const char *name, const char *value, GError **error)
{
    guint64 bytes = 0;
    if (strcmp(value, "0") != 0 && !number(name, value, 4096, 1 << 30, &bytes, error))
        return false;
    options->record_bytes = (int64_t)bytes;
    return true;
}

static bool set_keep(FsOptions *options, const char *name, const char *value, GError **error)
{
    return set_count(name, value, 0, 36500, &options->keep_days, error);
}

static bool set_look(FsOptions *options, const char *name, const char *value, GError **error)
{
    return set_count(name, value, 0, 3600, &options->look_s, error);
}

static bool set_layout(FsOptions *options, const char *name, const char *value, GError **error)
{
    static const char *const layouts[] = {"own", "auto", NULL};
    size_t layout;

    if (!set_choice(name, value, layouts, &layout, error))
        return false;
    options->any_layout = layout == 1;
    return true;
}

static bool set_shared(FsOptions *options, const char *name, const char *value, GError **error)
{
    options->shared = true;
    return true;
}

static const struct {
    const char *name;
    FsSetOption set;
    const char *value; /* NULL: not told by --help; "": it takes none */
    const char *help;
} table[] = {
    {"sockdir", set_sockdir, "DIR", "where the guests' sockets are made"},
    {"sock-group", set_sock_group, "GROUP", "who may connect to them (the store's group)"},
    {"sock-mode", set_sock_mode, "MODE", "their mode (660)"},
    {"engine-user", set_engine_user, "USER", "who engines run as (the store's owner)"},
    {"front-user", set_front_user, "USER", "who serves the mount (uefivarsfs, if it exists)"},
    {"engines", set_engines, "N", "most engines without a guest (64)"},
    {"idle", set_idle, "SECONDS", "when an engine without a guest ends (5)"},
    {"firmware", set_firmware, "DIR:DIR", "firmware descriptors, general to specific"},
    {"templates", set_templates, "DIR:DIR", "where config.json may take templates from"},
    {"keys", set_keys, "DIR:DIR", "where secure-boot/enroll finds profiles"},
    {"views", set_views, "on|off", "show boot/, secure-boot/, next-boot/ (on)"},
    {"view", set_view, "host|guest", "guest: what its OS sees at runtime (host)"},
    {"varcheck", set_varcheck, "strict|edk2|off", "checks of known variables (strict)"},
    {"saved", set_saved, "refuse|warn", "changes while a saved state of the guest exists (warn)"},
    {"immutable", set_immutable, "none|kernel", "kernel: immutable as in efivarfs (none)"},
    {"uid", set_uid, "UID", "owner of all files (the store's)"},
    {"gid", set_gid, "GID", "group of all files (the store's)"},
    {"umask", set_umask, "MODE", "permission bits that files do not have"},
    {"size", set_size, "BYTES", "storage of a guest (262144)"},
    {"record", set_record, "BYTES", "who changed what, of each guest (1048576; 0: none)"},
    {"sandbox", set_sandbox, "auto|strict", "strict: no engine without all confinement (auto)"},
    {"keep", set_keep, "DAYS", "how long what was set aside stays beside a store (30)"},
    {"layout", set_layout, "own|auto", "auto: find others' stores in SOURCE, too (own)"},
    {"shared", set_shared, "", "other hosts have SOURCE, too: one has a guest"},
    {"look", set_look, "SECONDS", "how late another host's changes show, if shared (1)"},
    {"engine", set_engine, NULL, NULL},
};

FsSetOption fs_mount_option_find(const char *name, bool *ret_flag)
{
    for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
        if (strcmp(table[i].name, name) == 0) {
            *ret_flag = table[i].value && !*table[i].value;
            return table[i].set;
        }
    }
    return NULL;
}

void fs_mount_options_help(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
        if (table[i].value) {
            const char *equals = *table[i].value ? "=" : "";
            g_autofree char *option = g_strconcat(table[i].name, equals, table[i].value, NULL);
            printf("    %-26s %s\n", option, table[i].help);
        }
    }
}
