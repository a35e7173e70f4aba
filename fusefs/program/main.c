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
#include <unistd.h>

#include "access.h"
#include "confine-front.h"
#include "daemon.h"
#include "fuse-session.h"
#include "libvirt-uri.h"
#include "open-source.h"
#include "split.h"

#define NOBODY 65534u

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

    if (error && g_str_has_prefix((*error)->message, name))
        g_prefix_error(error, "%s/", g_str_equal(folder, "/") ? "" : folder);
    else
        g_prefix_error(error, "%s: ", path);
}

/* A store that is SOURCE is read once: a mount of one that can't be is not usable. */
static bool read_store(FsFleet *fleet, GError **error)
{
    FsGuest *guest = fs_fleet_next(fleet, 0);
    Reading reading = {0};

    fs_guest_need(guest, FS_NEED_REPLICA, NULL, on_read, &reading);
    while (!reading.done)
        g_main_context_iteration(NULL, TRUE);
    if (reading.error) {
        const char *why = fs_guest_failure(guest);
        g_set_error(error, G_FILE_ERROR, g_file_error_from_errno(reading.error), "%s",
                    why ? why : g_strerror(reading.error));
        prefix_with_path(error, fs_fleet_source(fleet)->path);
    }
    return !reading.error;
}

static bool make_usable(FsSession *session, FsFleet *fleet, GError **error)
{
    fs_fleet_start(fleet);
    if (!fs_session_wait_usable(session)) {
        g_set_error_literal(error, G_FILE_ERROR, G_FILE_ERROR_FAILED,
                            "unmounted before it was usable");
        return false;
    }
    return !fs_fleet_is_file(fleet) || read_store(fleet, error);
}

static FsFleetOptions fleet_options(const FsOptions *options, const UvHost *host)
{
    return (FsFleetOptions){
        .host = options->shared ? host : NULL,
        .look_s = options->look_s,
        .read_only = options->read_only,
        .engines = options->engines,
        .idle_s = options->idle_s,
        .processors = g_get_num_processors(),
    };
}

/* Where profiles of keys are, unless keys= says it. */
static char etc_keys[] = "/etc/uefivarsfs/keys", data_keys[] = UV_DATADIR "/uefivarsfs/keys";
static char *const standard_keys[] = {etc_keys, data_keys, NULL};

static FsTreeOptions tree_options(const FsOptions *options)
{
    return (FsTreeOptions){
        .read_only = options->read_only,
        .immutable_kernel = options->immutable_kernel,
        .guest_view = options->guest_view,
        .uid = options->uid,
        .gid = options->gid,
        .umask = options->umask,
        .umask_set = options->umask != (mode_t)-1,
        .views = options->views,
        .shared = options->shared,
        .look_s = options->look_s,
        .keys = options->keys ? options->keys : standard_keys,
        .firmware = {.descriptors = options->firmware, .templates = options->templates},
    };
}

/* What the two processes are made of: given up piece by piece as they part. */
typedef struct {
    const FsOptions *options;
    FsFleetOptions fleet_options;
    char known_by[64]; /* fleet_options.known_by */
    FsTreeOptions tree_options;
    FsFrontUser user;
    UvConfinement confinement;
    FsTree *tree;
    FsSession *session;
} Front;

/* The front: serves the mount until it ends. */
static void serve(Front *front, FsSource *source)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(FsFleet) fleet = fs_fleet_new(source, &front->fleet_options, NULL, &error);

    if (fleet) {
        fs_tree_attach(front->tree, fleet);
        if (make_usable(front->session, fleet, &error)) {
            fs_fleet_ready(fleet);
            fs_session_run(front->session);
        }
        fs_fleet_unmount(fleet);
        fs_fleet_stop(fleet);
    }
    if (error)
        fail(error);
    fs_session_free(front->session);
    fs_tree_free(front->tree);
    uv_confinement_clear(&front->confinement);
}

static FsSource *new_source(int fd, const FsLocal *local, const FsSockdir *sockdir)
{
    UvAccessAbove above = {0};
    uv_access_walk(local->fd, &local->st, &above);
    const FsSourceFacts facts = {
        .path = local->path,
        .is_store = local->store != NULL,
        .any_name = local->libvirts,
        .uid = local->st.st_uid,
        .gid = local->st.st_gid,
        .reach = uv_access_of_folder(&above),
        .mtime_ns = (int64_t)local->st.st_mtim.tv_sec * 1000000000 + local->st.st_mtim.tv_nsec,
        .sockdir = sockdir->path,
    };

    return fs_source_monitor_new(fd, &facts);
}

/* What the front reads itself, by path. */
static char **readable_folders(const FsTreeOptions *options)
{
    g_auto(GStrv) firmware = fs_firmware_folders(&options->firmware);
    g_autoptr(GStrvBuilder) all = g_strv_builder_new();

    g_strv_builder_addv(all, (const char **)firmware);
    g_strv_builder_addv(all, (const char **)options->keys);
    return g_strv_builder_end(all);
}

/* Parts from the monitor, and gives up what the front has no use for. */
static FsSource *part(Front *front, FsSplit *split, GError **error)
{
    g_auto(GStrv) folders = readable_folders(&front->tree_options);
    FsSource *source;
    int link = fs_split(split, error);

    if (link < 0)
        return NULL;
    fs_daemon_join();
    source = new_source(link, split->local, split->sockdir);
    if (!fs_session_begin(front->session, error) ||
        !fs_front_confine(&front->user, (const char *const *)folders,
                          front->options->sandbox_strict, &front->confinement, error))
        g_clear_pointer(&source, fs_source_free);
    g_snprintf(front->known_by, sizeof(front->known_by), "%s %" G_GINT64_FORMAT, UV_VERSION,
               (gint64)front->options->size_bytes);
    front->fleet_options.known_by = front->known_by;
    front->fleet_options.confined = front->confinement.active;
    front->fleet_options.unconfined = front->confinement.missing;
    return source;
}

/* Who reads images: never root. */
static uint32_t reader(bool become, uint32_t user, uint32_t own)
{
    return become ? user : own == 0 ? NOBODY : own;
}

/* `ret_uri`: of a libvirt, or the path of its folder, allocated; else NULL. */
static FsLocal *open_source(const FsOptions *options, char **ret_uri, GError **error)
{
    const bool is_libvirt = fs_libvirt_is(options->source);

    if (is_libvirt)
        *ret_uri = fs_libvirt_uri(options->source, error);
    else if (options->any_layout)
        *ret_uri = fs_libvirt_home(options->source);
    if (*ret_uri)
        return fs_libvirt_open(is_libvirt ? options->source : *ret_uri, options->read_only, error);
    return is_libvirt ? NULL : fs_local_open(options->source, error);
}

/* Whatever became of it, nothing is left behind. */
static void mount_and_serve(const FsOptions *options, struct fuse_args *fuse_args)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *uri = NULL;
    g_autoptr(FsLocal) local = open_source(options, &uri, &error);
    g_autoptr(FsSockdir) sockdir = NULL;
    UvHost host = {0};
    Front front = {
        .options = options,
        .fleet_options = fleet_options(options, &host),
        .tree_options = tree_options(options),
    };
    FsSplit split = {
        .options = options, .uri = uri, .engine_uid = (uid_t)-1, .engine_gid = (gid_t)-1};
    FsSource *source = NULL;

    if (options->shared && !uv_host_find(&host, &error)) {
        g_prefix_error(&error, "shared: ");
        fail(error);
    }
    if (local)
        local->any_layout = options->any_layout;
    if (!local || !fs_local_check_mountpoint(local, options->mountpoint, &error) ||
        !fs_split_find_engine_user(&split, &error) || !fs_split_find_programs(&split, &error) ||
        !fs_front_user_find(options, &front.user, &error))
        fail(error);
    front.fleet_options.light = split.look != NULL;
    sockdir = fs_sockdir_open(local, options, &error);
    if (!sockdir)
        fail(error);
    front.tree = fs_tree_new(&front.tree_options);
    split.mount = fs_mount_new(options->mountpoint);
    front.session = fs_session_new(front.tree, fuse_args, options->mountpoint, &error);
    if (front.session) {
        fs_mount_note(split.mount);
        split.local = local;
        split.sockdir = sockdir;
        split.fuse_fd = fs_session_fd(front.session);
        split.front_uid = reader(front.user.become, front.user.uid, geteuid());
        split.front_gid = reader(front.user.become, front.user.gid, getegid());
        source = part(&front, &split, &error);
    }
    if (!source)
        fail(error);
    serve(&front, source);
    fs_mount_free(split.mount);
    g_free(split.engine);
    g_free(split.look);
    g_free(split.maker);
    g_free(split.libvirt);
}

int main(int argc, char **argv)
{
    struct fuse_args fuse_args = FUSE_ARGS_INIT(0, NULL);
    g_autoptr(GError) error = NULL;
    g_autoptr(FsOptions) options = NULL;

    fs_daemon_set_log();
    options = fs_options_parse(argc, argv, &fuse_args, &error);
    if (!options)
        fail(error);
    if (options->show_help) {
        fs_options_help();
    } else if (options->show_version) {
        printf("uefivarsfs %s\n", UV_VERSION);
    } else {
        if (!options->foreground)
            fs_daemon_start();
        mount_and_serve(options, &fuse_args);
    }
    fuse_opt_free_args(&fuse_args);
    return EXIT_SUCCESS;
}
