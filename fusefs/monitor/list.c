/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * All guests, a few each turn: first the names are read, so that each guest comes once and by the
 * rule that counts, then each is told, in the order of names, in which whoever lists them goes on
 * to look at them. It waits while the front does not read.
 */

#include "monitor-private.h"

#include "rights.h"
#include "uv-limits.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define NAMES_A_TURN 1024
#define GUESTS_A_TURN 256

struct FsListing {
    FsMonitor *monitor;
    uint64_t id;
    DIR *dir;      /* NULL: all names are read */
    GTree *rules;  /* name -> FsRule */
    GTreeNode *at; /* to be told next */
    GSource *turns;
};

void monitor_free_listing(FsListing *listing)
{
    if (!listing)
        return;
    g_source_destroy(listing->turns);
    g_source_unref(listing->turns);
    if (listing->dir)
        closedir(listing->dir);
    g_tree_unref(listing->rules);
    g_free(listing);
}

static void finish(FsListing *listing, int error)
{
    FsMonitor *monitor = listing->monitor;

    monitor_raise_limit(g_tree_nnodes(listing->rules));
    monitor->deferred--;
    monitor->listing = NULL;
    monitor_answer(monitor, listing->id, error);
    monitor_free_listing(listing);
}

static void add_guest(FsListing *listing, const char *name, FsRule rule)
{
    gpointer known;

    if (g_tree_lookup_extended(listing->rules, name, NULL, &known) &&
        GPOINTER_TO_UINT(known) <= rule)
        return;
    g_tree_replace(listing->rules, g_strdup(name), GUINT_TO_POINTER(rule));
}

static void on_name(const char *guest, FsRule rule, void *data)
{
    FsListing *listing = data;

    if (rule == FS_RULE_FOLDER)
        monitor_watch_later(listing->monitor, guest);
    add_guest(listing, guest, rule);
}

/* It may become a guest. */
static void on_folder(const char *folder, void *data)
{
    monitor_watch_later(((FsListing *)data)->monitor, folder);
}

/* false: that was the last one. */
static bool read_names(FsListing *listing)
{
    FsMonitor *monitor = listing->monitor;
    fs_rights_scope rights = fs_rights_take_of(monitor->source->fd);

    for (int i = 0; i < NAMES_A_TURN; i++) {
        const struct dirent *entry = readdir(listing->dir);
        if (!entry)
            return false;
        fs_local_visit_entry(monitor->source, entry, on_name, on_folder, listing);
    }
    return true;
}

static void tell_guest(FsListing *listing, const char *name, FsRule rule)
{
    FsMonitor *monitor = listing->monitor;
    FsAnswer answer = {.kind = FS_TELL_GUEST, .id = listing->id};

    if (fs_place_look_briefly(monitor->source, rule, name, &answer.look) < 0)
        return; /* gone meanwhile */
    g_strlcpy(answer.guest, name, sizeof(answer.guest));
    monitor_tell(monitor, &answer, NULL, 0);
    monitor_tell_engine(monitor, name);
}

/* false: all are told. */
static bool tell_guests(FsListing *listing)
{
    const FsLocal *source = listing->monitor->source;
    fs_rights_scope rights = fs_rights_take_of(source->fd);

    for (int i = 0; i < GUESTS_A_TURN && !monitor_is_congested(listing->monitor); i++) {
        if (!listing->at)
            return false;
        tell_guest(listing, g_tree_node_key(listing->at),
                   GPOINTER_TO_UINT(g_tree_node_value(listing->at)));
        listing->at = g_tree_node_next(listing->at);
    }
    return true;
}

static gboolean on_turn(void *data)
{
    FsListing *listing = data;

    if (listing->dir) {
        if (!read_names(listing)) {
            closedir(g_steal_pointer(&listing->dir));
            listing->at = g_tree_node_first(listing->rules);
        }
    } else if (monitor_is_congested(listing->monitor)) {
        g_source_set_ready_time(listing->turns, g_get_monotonic_time() + 200);
    } else if (!tell_guests(listing)) {
        finish(listing, 0);
        return G_SOURCE_REMOVE;
    }
    return G_SOURCE_CONTINUE;
}

static int open_names(FsListing *listing)
{
    const FsLocal *source = listing->monitor->source;
    fs_rights_scope rights = fs_rights_take_of(source->fd);
    int fd;

    if (source->store) {
        add_guest(listing, "", FS_RULE_SOURCE);
        listing->at = g_tree_node_first(listing->rules);
        return 0;
    }
    fd = openat(source->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    listing->dir = fd < 0 ? NULL : fdopendir(fd);
    if (listing->dir)
        return 0;
    int result = -errno;
    if (fd >= 0)
        close(fd);
    return result;
}

static gboolean dispatch(GSource *source, GSourceFunc callback, gpointer data)
{
    g_source_set_ready_time(source, 0);
    return callback(data);
}

static GSourceFuncs turn_funcs = {.dispatch = dispatch};

static gint compare_names(const void *a, const void *b, void *data)
{
    return strcmp(a, b);
}

void monitor_list(FsMonitor *monitor, uint64_t id)
{
    FsListing *listing;
    int result;

    if (monitor->listing) { /* one at a time */
        monitor_answer(monitor, id, -EBUSY);
        return;
    }
    listing = g_new0(FsListing, 1);
    listing->monitor = monitor;
    listing->id = id;
    listing->rules = g_tree_new_full(compare_names, NULL, g_free, NULL);
    listing->turns = g_source_new(&turn_funcs, sizeof(GSource));
    g_source_set_callback(listing->turns, on_turn, listing, NULL);
    g_source_set_ready_time(listing->turns, 0);
    g_source_attach(listing->turns, NULL);
    monitor->deferred++;
    monitor->listing = listing;
    result = open_names(listing);
    if (result < 0)
        finish(listing, result);
}
