/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * uefivarsfs: mounts the variable stores of a directory, or one of them.
 *
 * Order: the options, the daemon (forked before there is anything to share), SOURCE, the mount, the
 * fleet's watches and sockets, then the word to who waits. At the end the mount goes first, so that
 * nothing new comes while the engines finish their stores.
 */

#include <stdio.h>
#include <stdlib.h>

#include "daemon.h"
#include "fuse-session.h"

static G_NORETURN void fail(const GError *error)
{
    fs_daemon_fail(error->message);
}

typedef struct {
    bool done;
    int error;
} Reading;

static void on_read(FsGuest *guest, int error, void *data)
{
    *(Reading *)data = (Reading){.done = true, .error = error};
}

/* Engines know a store by its name only. */
static void prefix_with_path(GError **error, const char *path)
{
    g_autofree char *folder = g_path_get_dirname(path), *name = g_path_get_basename(path);

    if (error && g_str_has_prefix((*error)->message, name)) {
        g_prefix_error(error, "%s/", g_str_equal(folder, "/") ? "" : folder);
    } else {
        g_prefix_error(error, "%s: ", path);
    }
}

/* A store that is SOURCE is read once: a mount of one that can't be is not usable. */
static bool read_store(FsFleet *fleet, GError **error)
{
    FsGuest *guest = fs_fleet_next(fleet, 0);
    Reading reading = {0};

    fs_guest_need_replica(guest, NULL, on_read, &reading);
    while (!reading.done) {
        g_main_context_iteration(NULL, TRUE);
    }
    if (reading.error) {
        const char *why = fs_guest_failure(guest);
        g_set_error(error, G_FILE_ERROR, g_file_error_from_errno(reading.error), "%s",
                    why ? why : g_strerror(reading.error));
        prefix_with_path(error, fs_fleet_source(fleet));
    }
    return !reading.error;
}

static bool make_usable(FsSession *session, FsFleet *fleet, GError **error)
{
    if (!fs_fleet_start(fleet, error)) {
        return false;
    }
    if (!fs_session_wait_usable(session)) {
        g_set_error_literal(error, G_FILE_ERROR, G_FILE_ERROR_FAILED,
                            "unmounted before it was usable");
        return false;
    }
    return !fs_fleet_is_file(fleet) || read_store(fleet, error);
}

/* Whatever became of it, nothing is left behind. */
static void serve(const FsOptions *options, struct fuse_args *fuse_args)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(FsFleet) fleet = fs_fleet_new(options, NULL, &error);
    FsTree *tree;
    FsSession *session;

    if (!fleet) {
        fail(error);
    }
    tree = fs_tree_new(fleet, options);
    session = fs_session_new(tree, fuse_args, NULL, &error);
    if (session && make_usable(session, fleet, &error)) {
        fs_daemon_ready();
        fs_session_run(session);
    }
    if (session) {
        fs_session_unmount(session);
    }
    fs_fleet_stop(fleet);
    if (error) {
        fail(error);
    }
    fs_session_free(session);
    fs_tree_free(tree);
}

int main(int argc, char **argv)
{
    struct fuse_args fuse_args = FUSE_ARGS_INIT(0, NULL);
    g_autoptr(GError) error = NULL;
    g_autoptr(FsOptions) options = NULL;

    fs_daemon_set_log();
    options = fs_options_parse(argc, argv, &fuse_args, &error);
    if (!options) {
        fail(error);
    }
    if (options->show_help) {
        fs_options_help();
    } else if (options->show_version) {
        printf("uefivarsfs %s\n", UV_VERSION);
    } else {
        if (!options->foreground) {
            fs_daemon_start();
        }
        serve(options, &fuse_args);
    }
    fuse_opt_free_args(&fuse_args);
    return EXIT_SUCCESS;
}
