/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * The command line: SOURCE MOUNTPOINT and -o lists, in any order, as mount(8) and people give them.
 * One table says what is ours; what is FUSE's own is passed on by name; what only matters to
 * mount(8) and systemd is ignored; anything else is an error that names it.
 */

#include "options.h"

#define FUSE_USE_VERSION 312
#include <errno.h>
#include <fuse3/fuse_opt.h>
#include <gio/gio.h>
#include <stdio.h>
#include <string.h>

#include "uv-limits.h"

static bool fail(GError **error, const char *format, ...) G_GNUC_PRINTF(2, 3);

static bool fail(GError **error, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    g_clear_error(error);
    if (error) {
        *error = g_error_new_valist(G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT, format, arguments);
    }
    va_end(arguments);
    return false;
}

/* Values */

typedef bool (*SetOption)(FsOptions *options, const char *name, const char *value, GError **error);

static bool number(const char *name, const char *value, guint64 least, guint64 most,
                   guint64 *ret_number, GError **error)
{
    if (!g_ascii_string_to_unsigned(value, 10, least, most, ret_number, NULL)) {
        return fail(error, "%s=%s: not a number from %llu to %llu", name, value,
                    (unsigned long long)least, (unsigned long long)most);
    }
    return true;
}

static bool set_mode(const char *name, const char *value, mode_t *ret_mode, GError **error)
{
    guint64 mode;

    if (!g_ascii_string_to_unsigned(value, 8, 0, 0777, &mode, NULL)) {
        return fail(error, "%s=%s: not a mode (octal, up to 777)", name, value);
    }
    *ret_mode = mode;
    return true;
}

static bool set_count(const char *name, const char *value, guint64 least, guint64 most,
                      unsigned *ret_count, GError **error)
{
    guint64 count;

    if (!number(name, value, least, most, &count, error)) {
        return false;
    }
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
    return fail(error, "%s=%s: not one of %s", name, value, all);
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
    if (!set_choice(name, value, (const char *const[]){"off", "on", NULL}, &index, error)) {
        return false;
    }
    options->views = index == 1;
    return true;
}

static bool set_view(FsOptions *options, const char *name, const char *value, GError **error)
{
    size_t index;
    if (!set_choice(name, value, (const char *const[]){"host", "guest", NULL}, &index, error)) {
        return false;
    }
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
    if (!set_choice(name, value, (const char *const[]){"none", "kernel", NULL}, &index, error)) {
        return false;
    }
    options->immutable_kernel = index == 1;
    return true;
}

static bool set_sandbox(FsOptions *options, const char *name, const char *value, GError **error)
{
    size_t index;
    if (!set_choice(name, value, (const char *const[]){"auto", "strict", NULL}, &index, error)) {
        return false;
    }
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
    if (!number(name, value, UV_STORAGE_MIN, UV_STORAGE_MAX, &size, error)) {
        return false;
    }
    options->size_bytes = size;
    return true;
}

static bool set_record(FsOptions *options, const char *name, const char *value, GError **error)
{
    guint64 bytes = 0;
    if (strcmp(value, "0") != 0 && !number(name, value, 4096, 1 << 30, &bytes, error)) {
        return false;
    }
    options->record_bytes = (int64_t)bytes;
    return true;
}

static const struct {
    const char *name;
    SetOption set;
    const char *value; /* NULL: not told by --help */
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
    {"engine", set_engine, NULL, NULL},
};

static const char *const for_fuse[] = {"allow_other", "allow_root", "auto_unmount", "max_read",
                                       "noatime",     "atime",      "rw",           "sync",
                                       "async",       "dirsync",    "context",      "fscontext",
                                       "defcontext",  "rootcontext"};

/* What is always so, whatever is asked; and what is for mount(8), fstab and systemd. */
static const char *const ignored[] = {"default_permissions",
                                      "nosuid",
                                      "suid",
                                      "nodev",
                                      "dev",
                                      "noexec",
                                      "exec",
                                      "defaults",
                                      "auto",
                                      "noauto",
                                      "user",
                                      "users",
                                      "nouser",
                                      "owner",
                                      "group",
                                      "nofail",
                                      "_netdev",
                                      "silent",
                                      "loud",
                                      "fsname",
                                      "subtype",
                                      "relatime",
                                      "norelatime",
                                      "strictatime",
                                      "nostrictatime",
                                      "comment",
                                      "diratime",
                                      "nodiratime"};

static bool is_among(const char *name, const char *const *names, size_t n_names)
{
    for (size_t i = 0; i < n_names; i++) {
        if (strcmp(names[i], name) == 0) {
            return true;
        }
    }
    return false;
}

/* NULL: none of ours. */
static SetOption find_ours(const char *name)
{
    for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
        if (strcmp(table[i].name, name) == 0) {
            return table[i].set;
        }
    }
    return NULL;
}

static bool take_option(FsOptions *options, struct fuse_args *fuse, const char *option,
                        GError **error)
{
    const char *equals = strchr(option, '=');
    g_autofree char *name = equals ? g_strndup(option, equals - option) : g_strdup(option);
    SetOption set = find_ours(name);

    if (!*option) {
        return true;
    }
    if (set) {
        return equals && equals[1] ? set(options, name, equals + 1, error)
                                   : fail(error, "option %s needs a value", name);
    }
    if (strcmp(option, "ro") == 0) {
        options->read_only = true;
        fuse_opt_add_arg(fuse, "-oro");
    } else if (strcmp(option, "debug") == 0) {
        options->debug = true;
    } else if (is_among(name, for_fuse, G_N_ELEMENTS(for_fuse))) {
        g_autofree char *argument = g_strconcat("-o", option, NULL);
        fuse_opt_add_arg(fuse, argument);
    } else if (!is_among(name, ignored, G_N_ELEMENTS(ignored)) && !g_str_has_prefix(name, "x-")) {
        return fail(error, "unknown option '%s'", option);
    }
    return true;
}

/* A list of options; a comma or backslash in a value is written after a backslash. */
static bool take_list(FsOptions *options, struct fuse_args *fuse, const char *list, GError **error)
{
    g_autoptr(GString) option = g_string_new(NULL);

    for (const char *at = list;; at++) {
        if (*at == '\\' && at[1]) {
            g_string_append_c(option, *++at);
        } else if (*at == ',' || !*at) {
            if (!take_option(options, fuse, option->str, error)) {
                return false;
            }
            g_string_truncate(option, 0);
            if (!*at) {
                return true;
            }
        } else {
            g_string_append_c(option, *at);
        }
    }
}

/* The command line */

static bool take_path(FsOptions *options, const char *path, GError **error)
{
    char **place = !options->source ? &options->source : &options->mountpoint;

    if (options->mountpoint) {
        return fail(error, "'%s': one SOURCE and one MOUNTPOINT are expected", path);
    }
    if (!*path) {
        return fail(error, "an empty path is no %s", options->source ? "MOUNTPOINT" : "SOURCE");
    }
    *place = g_canonicalize_filename(path, NULL);
    return true;
}

static bool take_flag(FsOptions *options, const char *flag, GError **error)
{
    if (strcmp(flag, "-f") == 0) {
        options->foreground = true;
    } else if (strcmp(flag, "-d") == 0) {
        options->debug = options->foreground = true;
    } else if (strcmp(flag, "-h") == 0 || strcmp(flag, "--help") == 0) {
        options->show_help = true;
    } else if (strcmp(flag, "-V") == 0 || strcmp(flag, "--version") == 0) {
        options->show_version = true;
    } else if (strcmp(flag, "-s") != 0 && strcmp(flag, "-n") != 0 && strcmp(flag, "-v") != 0) {
        return fail(error, "unknown option '%s'", flag);
    }
    return true;
}

static bool take_arguments(FsOptions *options, struct fuse_args *fuse, int argc, char **argv,
                           GError **error)
{
    bool only_paths = false;

    for (int i = 1; i < argc; i++) {
        const char *argument = argv[i];
        bool ok = true;

        if (only_paths || argument[0] != '-' || !argument[1]) {
            ok = take_path(options, argument, error);
        } else if (strcmp(argument, "--") == 0) {
            only_paths = true;
        } else if (strcmp(argument, "-o") == 0) {
            ok = i + 1 < argc ? take_list(options, fuse, argv[++i], error)
                              : fail(error, "-o needs a value");
        } else if (g_str_has_prefix(argument, "-o")) {
            ok = take_list(options, fuse, argument + 2, error);
        } else {
            ok = take_flag(options, argument, error);
        }
        if (!ok) {
            return false;
        }
    }
    return true;
}

/* As a value in an option list. */
static char *escape(const char *text)
{
    g_autoptr(GString) escaped = g_string_new(text);

    g_string_replace(escaped, "\\", "\\\\", 0);
    g_string_replace(escaped, ",", "\\,", 0);
    return g_string_free(g_steal_pointer(&escaped), FALSE);
}

/* Last, so that nothing overrides it. */
static void add_always(const FsOptions *options, struct fuse_args *fuse)
{
    g_autofree char *source = escape(options->source);
    g_autofree char *names = g_strdup_printf("-ofsname=%s,subtype=uefivarsfs", source);

    fuse_opt_add_arg(fuse, names);
    fuse_opt_add_arg(fuse, "-odefault_permissions,nosuid,nodev,noexec");
    if (options->debug) {
        fuse_opt_add_arg(fuse, "-odebug");
    }
}

FsOptions *fs_options_parse(int argc, char **argv, void *ret_fuse_args, GError **error)
{
    g_autoptr(FsOptions) options = g_new0(FsOptions, 1);
    struct fuse_args *fuse = ret_fuse_args;

    options->sock_mode = 0660;
    options->engines = 64;
    options->idle_s = 5;
    options->views = true;
    options->record_bytes = -1;
    options->varcheck = g_strdup("strict");
    options->uid = (uid_t)-1;
    options->gid = (gid_t)-1;
    options->size_bytes = UV_STORAGE_DEFAULT;
    fuse_opt_add_arg(fuse, "uefivarsfs");
    if (!take_arguments(options, fuse, argc, argv, error)) {
        return NULL;
    }
    if (options->show_help || options->show_version) {
        return g_steal_pointer(&options);
    }
    if (!options->mountpoint) {
        fail(error, "usage: uefivarsfs SOURCE MOUNTPOINT [-f] [-d] [-o OPTION,...]");
        return NULL;
    }
    add_always(options, fuse);
    return g_steal_pointer(&options);
}

void fs_options_free(FsOptions *options)
{
    g_free(options->source);
    g_free(options->mountpoint);
    g_free(options->sockdir);
    g_free(options->sock_group);
    g_free(options->engine_user);
    g_free(options->front_user);
    g_free(options->engine_path);
    g_strfreev(options->firmware);
    g_strfreev(options->templates);
    g_strfreev(options->keys);
    g_free(options->varcheck);
    g_free(options->saved);
    g_free(options);
}

void fs_options_help(void)
{
    printf("usage: uefivarsfs SOURCE MOUNTPOINT [-f] [-d] [-o OPTION,...]\n\n"
           "Mounts the UEFI variables of virtual machines: SOURCE is a variable store, or a\n"
           "directory of them.\n\n"
           "    -f                         stay in the foreground\n"
           "    -d                         tell every request (and stay in the foreground)\n"
           "    --help, --version\n\n"
           "Options for -o, beyond those of FUSE (ro, allow_other, ...):\n");
    for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
        if (table[i].value) {
            g_autofree char *option = g_strdup_printf("%s=%s", table[i].name, table[i].value);
            printf("    %-26s %s\n", option, table[i].help);
        }
    }
}
