/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * All guests, a few each turn: first the names are read, so that each guest comes once and by the
 * rule that counts, then each is told, in the order of names, in which a program that lists them
 * goes on to look at them. It waits while the front does not read.
 */

#include "broker-private.h"

#include "fd.h"
#include "fds.h"
#include "rights.h"
#include "sidecars.h"
#include "told.h"
#include "uv-limits.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define NAMES_A_TURN 1024
#define DOMAINS_US 5000

struct FsListing {
    FsBroker *broker;
    uint64_t id;   /* 0: it is answered */
    bool names;    /* of many guests the names are told first */
    DIR *dir;      /* NULL: all names are read */
    GTree *rules;  /* name -> UvGuestRule */
    GTreeNode *at; /* to be told next */
    UvNames *all;  /* what is no guest's, too; NULL: they would be no use */
    GSource *turns;
};

void broker_free_listing(FsListing *listing)
{
    if (!listing)
        return;
    g_source_destroy(listing->turns);
    g_source_unref(listing->turns);
    if (listing->dir)
        closedir(listing->dir);
    g_tree_unref(listing->rules);
    uv_names_free(listing->all);
    g_free(listing);
}

/* Once, and what is no guest is not told again. */
static void tell_of_none(const FsListing *listing)
{
    FsBroker *broker = listing->broker;

    if (!broker->told && !broker->local->is_domains && g_tree_nnodes(listing->rules) == 0)
        g_message("%s: no guests; looked for %s", broker->local->path,
                  uv_guest_names(broker->local->libvirts, broker->local->any_layout));
    broker->told = true;
}

static void answer(FsListing *listing, int error)
{
    const FsAnswer answer = {.kind = FS_TELL_ANSWER,
                             .id = listing->id,
                             .error = error,
                             .number = g_tree_nnodes(listing->rules)};
    FsBroker *broker = listing->broker;

    if (listing->id == 0)
        return;
    if (error == 0)
        tell_of_none(listing);
    broker_tell(broker, &answer, NULL, 0);
    listing->id = 0;
}

static void finish(FsListing *listing, int error)
{
    answer(listing, error);
    listing->broker->listing = NULL;
    broker_free_listing(listing);
}

static void add_guest(FsListing *listing, const char *name, UvGuestRule rule)
{
    gpointer known;

    if (g_tree_lookup_extended(listing->rules, name, NULL, &known) &&
        GPOINTER_TO_UINT(known) <= rule)
        return;
    g_tree_replace(listing->rules, g_strdup(name), GUINT_TO_POINTER(rule));
}

static void take_entry(FsListing *listing, const struct dirent *entry)
{
    FsBroker *broker = listing->broker;
    char guest[UV_GUEST_NAME_MAX + 1];
    UvGuestRule rule;
    const char *why;
    const int result = fs_local_entry(broker->local, entry, guest, &rule, &why);

    if (listing->all)
        uv_names_add(listing->all, entry->d_name);
    if (why && !broker->told)
        g_message("%s/%s: no guest: %s", broker->local->path, entry->d_name, why);
    if (result < 0 && result != -ENOENT)
        return;
    if (rule == UV_GUEST_FOLDER) /* it may become a guest */
        broker_watch_later(broker, guest);
    if (result == 0)
        add_guest(listing, guest, rule);
}

/* false: that was the last one. */
static bool read_names(FsListing *listing)
{
    FsBroker *broker = listing->broker;
    uv_rights_scope rights = uv_rights_take_of(broker->local->fd);

    for (int i = 0; i < NAMES_A_TURN; i++) {
        const struct dirent *entry = readdir(listing->dir);
        if (!entry)
            return false;
        take_entry(listing, entry);
    }
    return true;
}

/* false: it is gone meanwhile. */
static bool look_at(const FsListing *listing, const char *name, UvGuestRule rule, FsTold *ret_told)
{
    const FsBroker *broker = listing->broker;

    memset(ret_told->guest, 0, sizeof(ret_told->guest));
    g_strlcpy(ret_told->guest, name, sizeof(ret_told->guest));
    if (listing->names) {
        fs_place_name(broker->local, rule, name, &broker->above, &ret_told->look);
        return true;
    }
    return fs_place_look_briefly(broker->local, rule, name, &broker->above, &ret_told->look) == 0;
}

/* 0 or -errno. */
static int tell(FsListing *listing, const FsTold *told, unsigned n)
{
    const FsAnswer answer = {.kind = FS_TELL_GUESTS, .id = listing->id, .number = n};
    uv_autofd int fd = fs_told_write(told, n);

    if (fd < 0)
        return fd;
    if (n > 0)
        broker_tell(listing->broker, &answer, &fd, 1);
    return 0;
}

/* The next ones: 0, or -errno; at the end of a list there are none. */
static int tell_guests(FsListing *listing)
{
    UvPinned folder = {.fd = listing->broker->local->fd};
    g_autofree FsTold *told = g_new(FsTold, FS_TOLD_MAX);
    unsigned n = 0;

    if (fstat(folder.fd, &folder.st) < 0)
        return -errno;
    uv_rights_scope rights = uv_rights_take_at(&folder);
    uv_access_walk(folder.fd, &folder.st, &listing->broker->above);
    for (; n < FS_TOLD_MAX && listing->at; listing->at = g_tree_node_next(listing->at))
        n += look_at(listing, g_tree_node_key(listing->at),
                     GPOINTER_TO_UINT(g_tree_node_value(listing->at)), &told[n]);
    return tell(listing, told, n);
}

/* The first list is waited for: whether it is long is told at once, and its names before more. */
static void turn_names(FsListing *listing)
{
    const FsAnswer many = {.kind = FS_TELL_GUESTS, .id = listing->id};
    const bool more = read_names(listing);

    if (!listing->broker->told && !listing->names && more) {
        listing->names = true;
        broker_tell(listing->broker, &many, NULL, 0);
    }
    if (more)
        return;
    closedir(g_steal_pointer(&listing->dir));
    listing->at = g_tree_node_first(listing->rules);
    uv_names_free(listing->broker->names);
    listing->broker->names = g_steal_pointer(&listing->all);
}

static gboolean on_turn(void *data)
{
    FsListing *listing = data;
    int result = 0;

    if (listing->dir && broker_domains_are_awaited(listing->broker)) {
        g_source_set_ready_time(listing->turns, g_get_monotonic_time() + DOMAINS_US);
    } else if (listing->dir) {
        turn_names(listing);
    } else if (fs_link_is_congested(&listing->broker->link)) {
        g_source_set_ready_time(listing->turns, g_get_monotonic_time() + 200);
    } else if (!listing->at && listing->names) {
        answer(listing, 0);
        listing->names = false;
        listing->at = g_tree_node_first(listing->rules);
    } else if (!listing->at || (result = tell_guests(listing)) < 0) {
        finish(listing, result);
        return G_SOURCE_REMOVE;
    }
    return G_SOURCE_CONTINUE;
}

static int open_names(FsListing *listing)
{
    const FsLocal *source = listing->broker->local;
    uv_rights_scope rights = uv_rights_take_of(source->fd);

    if (source->store) {
        add_guest(listing, "", UV_GUEST_SOURCE);
        listing->at = g_tree_node_first(listing->rules);
        return 0;
    }
    uv_autofd int fd = uv_open_dir(source->fd, ".", 0);
    if (fd < 0)
        return fd;
    listing->all = uv_names_new(fd);
    listing->dir = fdopendir(fd);
    if (!listing->dir)
        return -errno;
    uv_fd_steal(&fd);
    return 0;
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

int broker_list(FsJob *job)
{
    FsBroker *broker = job->broker;
    FsListing *listing;
    int result;

    if (broker->listing && broker->listing->id != 0) /* one at a time */
        return -EBUSY;
    broker_free_listing(broker->listing);
    listing = g_new0(FsListing, 1);
    listing->broker = broker;
    listing->id = job->question->id;
    listing->rules = g_tree_new_full(compare_names, NULL, g_free, NULL);
    listing->turns = g_source_new(&turn_funcs, sizeof(GSource));
    g_source_set_callback(listing->turns, on_turn, listing, NULL);
    g_source_set_ready_time(listing->turns, 0);
    g_source_attach(listing->turns, NULL);
    broker->listing = listing;
    result = open_names(listing);
    if (result < 0)
        finish(listing, result);
    return BROKER_LATER;
}
