/* SPDX-License-Identifier: GPL-2.0-or-later */

/* The -o options that are ours: a table of their names, where their values go and what these may
 * be, and what --help tells. */

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

typedef enum {
    TEXT,    /* char * */
    FOLDERS, /* char **: with colons between them */
    WORD,    /* char *: one of those that --help tells */
    CHOICE,  /* bool: one of them means yes */
    FLAG,    /* bool: it is given */
    COUNT,   /* unsigned, uid_t or gid_t */
    BYTES,   /* int64_t */
    MODE,    /* mode_t */
} Kind;

struct FsMountOption {
    const char *name;
    Kind kind;
    size_t at;         /* its place in FsOptions */
    const char *value; /* NULL: not told by --help; of WORD and CHOICE: those there are */
    const char *help;
    const char *yes;     /* of CHOICE */
    guint64 least, most; /* of COUNT and BYTES */
    bool may_be_nothing; /* 0 is taken, too */
};

#define AT(field) .at = G_STRUCT_OFFSET(FsOptions, field)

static const FsMountOption table[] = {
    {"sockdir", TEXT, AT(sockdir), "DIR", "where the guests' sockets are made"},
    {"sock-group", TEXT, AT(sock_group), "GROUP", "who may connect to them (the store's group)"},
    {"sock-mode", MODE, AT(sock_mode), "MODE", "their mode (660)"},
    {"engine-user", TEXT, AT(engine_user), "USER", "who engines run as (the store's owner)"},
    {"front-user", TEXT, AT(front_user), "USER", "who serves the mount (uefivarsfs, if it exists)"},
    {"engines", COUNT, AT(engines), "N", "most engines without a guest (64)", .least = 1,
     .most = 100000},
    {"idle", COUNT, AT(idle_s), "SECONDS", "when an engine without a guest ends (5)",
     .most = 86400},
    {"firmware", FOLDERS, AT(firmware), "DIR:DIR", "firmware descriptors, general to specific"},
    {"templates", FOLDERS, AT(templates), "DIR:DIR", "where config.json may take templates from"},
    {"keys", FOLDERS, AT(keys), "DIR:DIR", "where secure-boot/enroll finds profiles"},
    {"views", CHOICE, AT(views), "on|off", "show boot/, secure-boot/, next-boot/ (on)",
     .yes = "on"},
    {"view", CHOICE, AT(guest_view), "host|guest", "guest: what its OS sees at runtime (host)",
     .yes = "guest"},
    {"varcheck", WORD, AT(varcheck), "strict|edk2|off", "checks of known variables (strict)"},
    {"saved", WORD, AT(saved), "refuse|warn",
     "changes while a saved state of the guest exists (warn)"},
    {"immutable", CHOICE, AT(immutable_kernel), "none|kernel",
     "kernel: immutable as in efivarfs (none)", .yes = "kernel"},
    {"uid", COUNT, AT(uid), "UID", "owner of all files (the store's)", .most = UINT32_MAX - 1},
    {"gid", COUNT, AT(gid), "GID", "group of all files (the store's)", .most = UINT32_MAX - 1},
    {"umask", MODE, AT(umask), "MODE", "permission bits that files do not have"},
    {"size", BYTES, AT(size_bytes), "BYTES", "storage of a guest (262144)", .least = UV_STORAGE_MIN,
     .most = UV_STORAGE_MAX},
    {"record", BYTES, AT(record_bytes), "BYTES",
     "who changed what, of each guest (1048576; 0: none)", .least = 4096, .most = 1 << 30,
     .may_be_nothing = true},
    {"sandbox", CHOICE, AT(sandbox_strict), "auto|strict",
     "strict: no engine without all confinement (auto)", .yes = "strict"},
    {"keep", COUNT, AT(keep_days), "DAYS", "how long what was set aside stays beside a store (30)",
     .most = 36500},
    {"layout", CHOICE, AT(any_layout), "own|auto", "auto: find others' stores in SOURCE, too (own)",
     .yes = "auto"},
    {"shared", FLAG, AT(shared), "", "other hosts have SOURCE, too: one has a guest"},
    {"look", COUNT, AT(look_s), "SECONDS", "how late another host's changes show, if shared (1)",
     .most = 3600},
    {"engine", TEXT, AT(engine_path)},
};

static bool take_number(const FsMountOption *option, const char *value, guint64 *ret_number,
                        GError **error)
{
    *ret_number = 0;
    if ((option->may_be_nothing && strcmp(value, "0") == 0) ||
        g_ascii_string_to_unsigned(value, 10, option->least, option->most, ret_number, NULL))
        return true;
    return fs_options_fail(error, "%s=%s: not a number from %llu to %llu", option->name, value,
                           (unsigned long long)option->least, (unsigned long long)option->most);
}

static bool take_mode(const FsMountOption *option, const char *value, mode_t *ret_mode,
                      GError **error)
{
    guint64 mode;

    if (!g_ascii_string_to_unsigned(value, 8, 0, 0777, &mode, NULL))
        return fs_options_fail(error, "%s=%s: not a mode (octal, up to 777)", option->name, value);
    *ret_mode = mode;
    return true;
}

static bool is_choice(const FsMountOption *option, const char *value, GError **error)
{
    g_auto(GStrv) choices = g_strsplit(option->value, "|", -1);
    g_autofree char *all = g_strjoinv(", ", choices);

    return g_strv_contains((const char *const *)choices, value) ||
           fs_options_fail(error, "%s=%s: not one of %s", option->name, value, all);
}

static bool take_text(char **place, const char *value)
{
    g_free(*place);
    *place = g_strdup(value);
    return true;
}

static bool take_folders(char ***place, const char *value)
{
    g_strfreev(*place);
    *place = g_strsplit(value, ":", -1);
    return true;
}

static bool take_value(const FsMountOption *option, void *place, const char *value, GError **error)
{
    guint64 number = 0;

    switch (option->kind) {
    case TEXT:
        return take_text(place, value);
    case FOLDERS:
        return take_folders(place, value);
    case WORD:
        return is_choice(option, value, error) && take_text(place, value);
    case CHOICE:
        *(bool *)place = strcmp(value, option->yes) == 0;
        return is_choice(option, value, error);
    case COUNT:
        if (!take_number(option, value, &number, error))
            return false;
        *(unsigned *)place = (unsigned)number;
        return true;
    case BYTES:
        if (!take_number(option, value, &number, error))
            return false;
        *(int64_t *)place = (int64_t)number;
        return true;
    case MODE:
        return take_mode(option, value, place, error);
    case FLAG:
        break;
    }
    *(bool *)place = true;
    return true;
}

bool fs_mount_option_take(const FsMountOption *option, FsOptions *options, const char *value,
                          GError **error)
{
    if (option->kind == FLAG && value)
        return fs_options_fail(error, "option %s takes no value", option->name);
    if (option->kind != FLAG && (!value || !*value))
        return fs_options_fail(error, "option %s needs a value", option->name);
    return take_value(option, (char *)options + option->at, value, error);
}

const FsMountOption *fs_mount_option_find(const char *name)
{
    for (size_t i = 0; i < G_N_ELEMENTS(table); i++)
        if (strcmp(table[i].name, name) == 0)
            return &table[i];
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
