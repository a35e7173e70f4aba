/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * The command line: SOURCE MOUNTPOINT and -o lists, in any order, as mount(8) and people give them.
 * What is ours is in mount-options.c; what is FUSE's own is passed on by name; what only matters to
 * mount(8) and systemd is ignored; anything else is an error that names it.
 */

#include "mount-options.h"

#define FUSE_USE_VERSION 312
#include <errno.h>
#include <fuse3/fuse_opt.h>
#include <stdio.h>
#include <string.h>

#include "libvirt-uri.h"
#include "uv-limits.h"

static const char *const for_fuse[] = {
    "allow_other", "allow_root", "auto_unmount", "max_read",    "noatime",
    "atime",       "rw",         "sync",         "async",       "dirsync",
    "context",     "fscontext",  "defcontext",   "rootcontext", NULL};

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
                                      "nodiratime",
                                      NULL};

static bool take_option(FsOptions *options, struct fuse_args *fuse, const char *option,
                        GError **error)
{
    const char *equals = strchr(option, '=');
    g_autofree char *name = equals ? g_strndup(option, equals - option) : g_strdup(option);
    const FsMountOption *ours = fs_mount_option_find(name);

    if (!*option)
        return true;
    if (ours)
        return fs_mount_option_take(ours, options, equals ? equals + 1 : NULL, error);
    if (strcmp(option, "ro") == 0) {
        options->read_only = true;
        fuse_opt_add_arg(fuse, "-oro");
    } else if (strcmp(option, "debug") == 0) {
        options->debug = true;
    } else if (g_strv_contains(for_fuse, name)) {
        g_autofree char *argument = g_strconcat("-o", option, NULL);
        fuse_opt_add_arg(fuse, argument);
    } else if (!g_strv_contains(ignored, name) && !g_str_has_prefix(name, "x-")) {
        return fs_options_fail(error, "unknown option '%s'", option);
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
            if (!take_option(options, fuse, option->str, error))
                return false;
            g_string_truncate(option, 0);
            if (!*at)
                return true;
        } else {
            g_string_append_c(option, *at);
        }
    }
}

/* The command line */

static bool take_path(FsOptions *options, const char *path, GError **error)
{
    char **place = !options->source ? &options->source : &options->mountpoint;

    if (options->mountpoint)
        return fs_options_fail(error, "'%s': one SOURCE and one MOUNTPOINT are expected", path);
    if (!*path)
        return fs_options_fail(error, "an empty path is no %s",
                               options->source ? "MOUNTPOINT" : "SOURCE");
    *place = place == &options->source && fs_libvirt_is(path) ? g_strdup(path)
                                                              : g_canonicalize_filename(path, NULL);
    return true;
}

static bool take_flag(FsOptions *options, const char *flag, GError **error)
{
    if (strcmp(flag, "-f") == 0)
        options->foreground = true;
    else if (strcmp(flag, "-d") == 0)
        options->debug = options->foreground = true;
    else if (strcmp(flag, "-h") == 0 || strcmp(flag, "--help") == 0)
        options->show_help = true;
    else if (strcmp(flag, "-V") == 0 || strcmp(flag, "--version") == 0)
        options->show_version = true;
    else if (strcmp(flag, "-s") != 0 && strcmp(flag, "-n") != 0 && strcmp(flag, "-v") != 0)
        return fs_options_fail(error, "unknown option '%s'", flag);
    return true;
}

static bool take_arguments(FsOptions *options, struct fuse_args *fuse, int argc, char **argv,
                           GError **error)
{
    bool only_paths = false;

    for (int i = 1; i < argc; i++) {
        const char *argument = argv[i];
        bool ok = true;

        if (only_paths || argument[0] != '-' || !argument[1])
            ok = take_path(options, argument, error);
        else if (strcmp(argument, "--") == 0)
            only_paths = true;
        else if (strcmp(argument, "-o") == 0)
            ok = i + 1 < argc ? take_list(options, fuse, argv[++i], error)
                              : fs_options_fail(error, "-o needs a value");
        else if (g_str_has_prefix(argument, "-o"))
            ok = take_list(options, fuse, argument + 2, error);
        else
            ok = take_flag(options, argument, error);
        if (!ok)
            return false;
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
    g_autofree char *path = g_canonicalize_filename(options->source, NULL);
    g_autofree char *source = escape(path);
    g_autofree char *names = g_strdup_printf("-ofsname=%s,subtype=uefivarsfs", source);

    fuse_opt_add_arg(fuse, names);
    fuse_opt_add_arg(fuse, "-odefault_permissions,nosuid,nodev,noexec");
    if (options->debug)
        fuse_opt_add_arg(fuse, "-odebug");
}

FsOptions *fs_options_parse(int argc, char **argv, void *ret_fuse_args, GError **error)
{
    g_autoptr(FsOptions) options = g_new0(FsOptions, 1);
    struct fuse_args *fuse = ret_fuse_args;

    options->sock_mode = 0660;
    options->engines = 64;
    options->idle_s = 5;
    options->look_s = 1;
    options->keep_days = 30;
    options->views = true;
    options->record_bytes = -1;
    options->varcheck = g_strdup("strict");
    options->uid = (uid_t)-1;
    options->gid = (gid_t)-1;
    options->umask = (mode_t)-1;
    options->size_bytes = UV_STORAGE_DEFAULT;
    fuse_opt_add_arg(fuse, "uefivarsfs");
    if (!take_arguments(options, fuse, argc, argv, error))
        return NULL;
    if (options->show_help || options->show_version)
        return g_steal_pointer(&options);
    if (!options->mountpoint) {
        fs_options_fail(error, "usage: uefivarsfs SOURCE MOUNTPOINT [-f] [-d] [-o OPTION,...]");
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
           "Mounts the UEFI variables of virtual machines: SOURCE is a variable store, a\n"
           "directory of them, or libvirt:///system or libvirt:///session.\n\n"
           "    -f                         stay in the foreground\n"
           "    -d                         tell every request (and stay in the foreground)\n"
           "    --help, --version\n\n"
           "Options for -o, beyond those of FUSE (ro, allow_other, ...):\n");
    fs_mount_options_help();
}
