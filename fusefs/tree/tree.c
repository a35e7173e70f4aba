/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "tree.h"

#include <sys/stat.h>
#include <unistd.h>

#include "firmware.h"
#include "folder-times.h"
#include "op.h"
#include "pollers.h"
#include "restore.h"
#include "tree-parts.h"

#define NS_PER_S INT64_C(1000000000)

uint64_t fs_inode(const FsGuest *guest, uint64_t slot)
{
    return (guest ? fs_guest_sequence(guest) << 32 : 0) + slot;
}

int64_t fs_stat_mtime_ns(const struct stat *st)
{
    return (int64_t)st->st_mtim.tv_sec * NS_PER_S + st->st_mtim.tv_nsec;
}

void fs_stat_set_mtime(struct stat *attr, int64_t mtime_ns)
{
    attr->st_mtim.tv_sec = mtime_ns / NS_PER_S;
    attr->st_mtim.tv_nsec = mtime_ns % NS_PER_S;
    if (attr->st_mtim.tv_nsec < 0) {
        attr->st_mtim.tv_nsec += NS_PER_S;
        attr->st_mtim.tv_sec--;
    }
    attr->st_atim = attr->st_ctim = attr->st_mtim;
}

int64_t fs_tree_guest_mtime_ns(const FsGuest *guest)
{
    return fs_guest_look(guest)->mtime_ns;
}

/* Of 0777: what a folder lets do whom that file lets do that. */
static mode_t folder_access(mode_t access)
{
    return access | (access & 0444) >> 2 | 0700;
}

/* gid= gives the owner's access to that group. */
static mode_t access_for_gid(mode_t access)
{
    return (access & ~(mode_t)070) | (access & 0700) >> 3;
}

static mode_t mode_of(const FsTree *tree, const FsNode *node, mode_t type_and_mode)
{
    const FsTreeOptions *options = tree->options;
    mode_t access = node->guest ? fs_guest_look(node->guest)->access : fs_fleet_reach(tree->fleet);
    mode_t umask = options->umask_set ? options->umask : 0;

    if (S_ISLNK(type_and_mode))
        return type_and_mode;
    if (node->guest && S_ISDIR(type_and_mode))
        access = folder_access(access);
    if (options->gid != (gid_t)-1) {
        access = access_for_gid(access);
        umask |= options->umask_set ? 0 : 020;
    }
    return type_and_mode & ~(0777 & ~access) & ~umask;
}

void fs_tree_fill(FsTree *tree, const FsNode *node, mode_t type_and_mode, struct stat *attr)
{
    const FsTreeOptions *options = tree->options;
    const FsGuestLook *owner = node->guest ? fs_guest_look(node->guest) : NULL;

    *attr = (struct stat){
        .st_ino = node->inode,
        .st_mode = mode_of(tree, node, type_and_mode),
        .st_nlink = S_ISDIR(type_and_mode) ? 2 : 1,
        .st_uid = owner ? owner->uid : tree->uid,
        .st_gid = owner ? owner->gid : tree->gid,
        .st_blksize = 4096,
    };
    if (options->uid != (uid_t)-1)
        attr->st_uid = options->uid;
    if (options->gid != (gid_t)-1)
        attr->st_gid = options->gid;
}

/* Guests */

static void guest_tree_free(void *data)
{
    FsGuestTree *guest_tree = data;
    g_clear_handle_id(&guest_tree->folders_late, g_source_remove);
    g_clear_pointer(&guest_tree->immutable, g_hash_table_unref);
    g_clear_pointer(&guest_tree->away, g_hash_table_unref);
    g_clear_pointer(&guest_tree->restore, fs_restore_free);
    g_free(guest_tree);
}

FsGuestTree *fs_tree_guest(FsTree *tree, FsGuest *guest)
{
    FsGuestTree *guest_tree = fs_guest_data(guest, FS_ROOM_TREE);

    if (!guest_tree) {
        guest_tree = g_new0(FsGuestTree, 1);
        guest_tree->tree = tree;
        guest_tree->guest = guest;
        guest_tree->export_stale = fs_guest_state(guest) != 0;
        fs_guest_set_data(guest, FS_ROOM_TREE, guest_tree, guest_tree_free);
    }
    return guest_tree;
}

void fs_tree_invalidate(FsTree *tree, FsNode *node)
{
    node->told = false;
    if (node->lookups > 0)
        fuse_lowlevel_notify_inval_inode(tree->session, node->id, -1, 0);
}

static void tell_changed(FsTree *tree, FsGuestTree *guest_tree, bool folders)
{
    if (!guest_tree->told)
        return;
    guest_tree->told = !folders;
    for (FsNode *node = guest_tree->nodes.guest_next; node; node = node->guest_next)
        if (node->told && node->class != &fs_variable_class && /* whose own changes are told */
            (folders || !S_ISDIR(node->class->type)))
            fs_tree_invalidate(tree, node);
}

void fs_tree_guest_changed(FsTree *tree, FsGuest *guest)
{
    tell_changed(tree, fs_tree_guest(tree, guest), true);
}

/* A tick of the clock that local file systems take their times from is as long. */
#define FOLDERS_MS 4

static void tell_folders(FsGuestTree *guest_tree)
{
    guest_tree->folders_told_at = g_get_monotonic_time();
    tell_changed(guest_tree->tree, guest_tree, true);
}

static gboolean tell_folders_late(void *data)
{
    FsGuestTree *guest_tree = data;

    guest_tree->folders_late = 0;
    tell_folders(guest_tree);
    return G_SOURCE_REMOVE;
}

void fs_tree_contents_changed(FsTree *tree, FsGuest *guest)
{
    FsGuestTree *guest_tree = fs_tree_guest(tree, guest);

    if (!guest_tree->told)
        return;
    if (g_get_monotonic_time() - guest_tree->folders_told_at >= FOLDERS_MS * 1000) {
        tell_folders(guest_tree);
        return;
    }
    tell_changed(tree, guest_tree, false);
    if (!guest_tree->folders_late)
        guest_tree->folders_late = g_timeout_add(FOLDERS_MS, tell_folders_late, guest_tree);
}

void fs_tree_follow_owner(FsTree *tree, FsGuest *guest)
{
    FsGuestTree *guest_tree = fs_tree_guest(tree, guest);
    const FsGuestLook *look = fs_guest_look(guest);
    const FsOwner now = {look->uid, look->gid, look->access}, told = guest_tree->owner;

    guest_tree->owner = now;
    if (now.uid == told.uid && now.gid == told.gid && now.access == told.access)
        return;
    for (FsNode *node = guest_tree->nodes.guest_next; node; node = node->guest_next)
        fs_tree_invalidate(tree, node);
}

void fs_tree_node_gone(FsTree *tree, FsNode *node, bool tell_kernel)
{
    bool was_hashed = node->hashed;

    node->gone = true;
    fs_nodes_unhash(tree->nodes, node);
    if (!tell_kernel || node->lookups == 0)
        return;
    fs_tree_invalidate(tree, node);
    if (was_hashed && node->parent && node->parent->lookups > 0)
        fs_notify_forget_name(tree->notify, node->parent->id, node->name);
}

/* Events of the fleet */

static void guest_removed(FsGuest *guest, void *data)
{
    FsTree *tree = data;
    FsGuestTree *guest_tree = fs_guest_data(guest, FS_ROOM_TREE);

    if (!guest_tree)
        return;
    g_clear_handle_id(&guest_tree->folders_late, g_source_remove);
    fs_staging_forget_guest(tree, guest);
    fs_pollers_tell(guest_tree);
    if (guest_tree->vars) {
        guest_tree->vars->data_free = NULL; /* it may outlive what it points to */
    }
    for (FsNode *node = guest_tree->nodes.guest_next, *next; node; node = next) {
        next = node->guest_next;
        node->guest = NULL;
        node->guest_next = node->guest_previous = NULL;
        fs_tree_node_gone(tree, node, true);
    }
}

static void files_changed(FsGuest *guest, void *data)
{
    if (fs_guest_data(guest, FS_ROOM_TREE))
        fs_tree_guest_changed(data, guest);
}

static void entry_changed(FsGuest *guest, const char *name, FsEntryEvent event, void *data)
{
    FsTree *tree = data;
    FsGuestTree *guest_tree = fs_tree_guest(tree, guest);

    guest_tree->export_stale = true;
    fs_folder_changed(tree, guest);
    if (guest_tree->vars)
        fs_vars_entry_changed(tree, guest_tree->vars, name, event);
}

static void record_grew(FsGuest *guest, void *data)
{
    fs_tree_contents_changed(data, guest);
    fs_pollers_tell(fs_tree_guest(data, guest));
}

static bool engine_starting(FsGuest *guest, FsStart why, FsEngineWish *wish, void *data,
                            GError **error)
{
    FsTree *tree = data;
    return fs_firmware_engine_starting(guest, why, wish, tree->firmware, error);
}

static void actor(void *request, FsActor *ret_actor, void *data)
{
    const struct fuse_ctx *context = fuse_req_ctx(request);

    ret_actor->uid = context->uid;
    ret_actor->gid = context->gid;
    ret_actor->pid = (uint32_t)context->pid;
}

static void stopped(void *data)
{
    ((FsTree *)data)->stopped = true;
}

/* Of a new guest the kernel need not be told: names that are not there are never cached, and a
 * listing is asked for each time. */
static const FsFleetEvents events = {
    .guest_removed = guest_removed,
    .files_changed = files_changed,
    .entry_changed = entry_changed,
    .engine_starting = engine_starting,
    .actor = actor,
    .record_grew = record_grew,
    .stopped = stopped,
};

FsTree *fs_tree_new(const FsTreeOptions *options)
{
    FsTree *tree = g_new0(FsTree, 1);

    tree->options = options;
    tree->nodes = fs_nodes_new();
    tree->pool = fs_op_pool_new();
    tree->refusals = fs_refusals_new();
    g_queue_init(&tree->staging);
    tree->firmware = fs_firmware_new(&options->firmware);
    return tree;
}

void fs_tree_attach(FsTree *tree, FsFleet *fleet)
{
    const FsSourceFacts *source = fs_fleet_source(fleet);

    tree->fleet = fleet;
    fs_firmware_attach(tree->firmware, fleet);
    tree->mtime_ns = source->mtime_ns;
    tree->uid = source->uid;
    tree->gid = source->gid;
    if (fs_fleet_is_file(fleet)) {
        FsGuest *guest = fs_fleet_next(fleet, 0);
        tree->root = fs_vars_node(tree, guest, NULL);
    } else {
        tree->root = fs_root_node(tree);
    }
    fs_node_hold(tree->root);
    fs_fleet_set_events(fleet, &events, tree);
}

void fs_tree_free(FsTree *tree)
{
    if (tree->fleet)
        fs_fleet_set_events(tree->fleet, &(FsFleetEvents){.guest_removed = NULL}, NULL);
    g_clear_handle_id(&tree->staging_timer, g_source_remove);
    fs_staging_forget_guest(tree, NULL);
    fs_nodes_free(tree->nodes);
    fs_firmware_free(tree->firmware);
    fs_op_pool_free(tree->pool);
    fs_refusals_free(tree->refusals);
    g_free(tree);
}
