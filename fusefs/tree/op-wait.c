/* SPDX-License-Identifier: GPL-2.0-or-later */

/* What an op waits for: the fleet calls back, once, and the op goes on with its next step. */

#include "op-private.h"

#include "fd.h"
#include "file-error.h"
#include "file-io.h"
#include "trace.h"
#include "virtual.h"

#include <errno.h>
#include <string.h>

static void interrupted(fuse_req_t req, void *data)
{
    FsOp *op = data;
    fs_fleet_interrupt(op->tree->fleet, req);
}

/* After a call into the fleet that may have ended the op already: only one that is parked can be
 * interrupted. */
static void park(FsOp *op, uint64_t serial)
{
    if (op->serial == serial && op->waiting)
        fuse_req_interrupt_func(op->req, interrupted, op);
}

static void go_on(FsGuest *guest, int error, void *data)
{
    FsOp *op = data;

    op->waiting = false;
    g_clear_pointer(&op->reason, g_free);
    op->on_record = error && guest && fs_guest_is_on_record(guest);
    if (!guest && !error)
        error = ENOENT;
    if (error)
        fs_op_reason(op);
    if (!error) {
        op->step(op);
    } else if (guest && op->or_else) {
        op->error = error;
        op->or_else(op);
    } else {
        fs_op_error(op, error);
    }
}

/* What is made of what was written shows at once. */
static void go_on_changed(FsGuest *guest, int error, void *data)
{
    FsOp *op = data;

    if (guest)
        fs_tree_guest_changed(op->tree, guest);
    go_on(guest, error, data);
}

static uint64_t wait_with(FsOp *op, FsStep step, FsStep or_else)
{
    op->step = step;
    op->or_else = or_else;
    op->waiting = true;
    return op->serial;
}

void fs_op_try(FsOp *op, unsigned needs, FsStep step, FsStep or_else)
{
    uint64_t serial = wait_with(op, step, or_else);
    fs_guest_need(op->node->guest, needs, op->req, go_on, op);
    park(op, serial);
}

void fs_op_need(FsOp *op, unsigned needs, FsStep step)
{
    if (op->node->guest)
        fs_op_try(op, needs, step, NULL);
    else
        step(op);
}

void fs_op_need_look(FsOp *op, FsStep step)
{
    fs_op_need(op, FS_NEED_LOOK, step);
}

void fs_op_need_names(FsOp *op, FsStep step)
{
    fs_op_need(op, FS_NEED_NAMES, step);
}

void fs_op_need_replica(FsOp *op, FsStep step)
{
    fs_op_need(op, FS_NEED_REPLICA, step);
}

void fs_op_need_if_possible(FsOp *op, unsigned needs, FsStep step)
{
    fs_op_try(op, needs, step, step);
}

/* A guest is no condition, or it is what was looked for. */
static void found(FsGuest *guest, int error, void *data)
{
    FsOp *op = data;

    op->waiting = false;
    op->found = guest;
    if (error)
        fs_op_error(op, error);
    else
        op->step(op);
}

void fs_op_need_list(FsOp *op, bool looks, FsStep step)
{
    uint64_t serial = wait_with(op, step, NULL);
    fs_fleet_need_list(op->tree->fleet, looks, op->req, found, op);
    park(op, serial);
}

void fs_op_find_guest(FsOp *op, FsStep step)
{
    uint64_t serial = wait_with(op, step, NULL);
    fs_fleet_find(op->tree->fleet, op->name, op->req, found, op);
    park(op, serial);
}

void fs_op_make_guest(FsOp *op, FsStep step)
{
    wait_with(op, step, NULL);
    fs_fleet_make_guest(op->tree->fleet, op->name, found, op);
}

void fs_op_write_text(FsOp *op, FsText text, GBytes *bytes, FsStep step, FsStep or_else)
{
    wait_with(op, step, or_else);
    fs_guest_write_text(op->node->guest, text, bytes, go_on_changed, op);
}

void fs_op_set(FsOp *op, const char *name, GBytes *content, uint32_t flags, int64_t mtime_ns,
               FsStep step, FsStep or_else)
{
    uint64_t serial = wait_with(op, step, or_else);
    fs_tree_guest(op->tree, op->node->guest)->export_stale = true;
    fs_guest_set(op->node->guest, op->req, name, content, flags, mtime_ns, go_on, op);
    park(op, serial);
}

void fs_op_touch(FsOp *op, const char *name, int64_t mtime_ns, FsStep step, FsStep or_else)
{
    uint64_t serial = wait_with(op, step, or_else);
    fs_guest_touch(op->node->guest, op->req, name, mtime_ns, go_on, op);
    park(op, serial);
}

void fs_op_import(FsOp *op, GBytes *json, FsStep step, FsStep or_else)
{
    uint64_t serial = wait_with(op, step, or_else);
    fs_guest_import(op->node->guest, op->req, json, go_on, op);
    park(op, serial);
}

/* The guest can have gone meanwhile. */
static void virtual_ready(void *data)
{
    FsOp *op = data;

    op->waiting = false;
    if (op->node->gone)
        fs_op_error(op, ESTALE);
    else
        fs_op_need(op, op->needs, op->step);
}

void fs_op_need_virtual(FsOp *op, const FsVirtual *virtual, FsStep step)
{
    op->needs = virtual->needs;
    wait_with(op, step, NULL);
    fs_firmware_prepare(virtual->firmware, virtual_ready, op);
}

void fs_op_write_virtual(FsOp *op, const FsVirtual *virtual, const char *path, FsStep step)
{
    gsize size;
    const char *text = g_bytes_get_data(op->content, &size);

    wait_with(op, step, NULL);
    virtual->write(virtual->firmware, op->node->guest, path, text, size, go_on_changed, op);
}

static void forgotten(void *data)
{
    FsOp *op = data;

    op->waiting = false;
    op->step(op);
}

void fs_op_need_forgotten(FsOp *op, FsStep step)
{
    wait_with(op, step, NULL);
    fs_notify_when_forgotten(op->tree->notify, forgotten, op);
}

static void removed_guest(FsGuest *guest, int error, void *data)
{
    fs_op_error(data, error);
}

void fs_op_remove_guest(FsOp *op)
{
    uint64_t serial = wait_with(op, NULL, NULL);
    fs_guest_remove(op->child->guest, op->req, removed_guest, op);
    park(op, serial);
}

static void renamed_guest(FsGuest *guest, int error, void *data)
{
    FsOp *op = data;

    if (!error) {
        /* The kernel gives the new name to a node that is gone. */
        fs_notify_forget_name(op->tree->notify, op->node->id, op->new_name);
    }
    fs_op_error(op, error);
}

void fs_op_rename_guest(FsOp *op)
{
    uint64_t serial = wait_with(op, NULL, NULL);
    fs_guest_rename(op->child->guest, op->new_name, op->req, renamed_guest, op);
    park(op, serial);
}

static void caller_told(bool makes, void *data)
{
    FsOp *op = data;

    op->waiting = false;
    if (op->node->gone)
        fs_op_error(op, ESTALE);
    else if (makes)
        op->step(op);
    else
        op->or_else(op);
}

void fs_op_ask_caller(FsOp *op, FsStep step, FsStep or_else)
{
    wait_with(op, step, or_else);
    fs_fleet_ask_caller(op->tree->fleet, fuse_req_ctx(op->req)->pid, caller_told, op);
}

static void store_made(FsGuest *guest, const GError *error, void *data)
{
    if (guest && error)
        fs_guest_refused(guest, error->message);
    else if (guest)
        fs_guest_store_changed(guest);
    go_on_changed(guest, error ? uv_file_error_number(error) : 0, data);
}

void fs_op_make_store(FsOp *op, FsFormat format, FsStep step, FsStep or_else)
{
    const FsMaking making = {.image = op->image, .format = format, .replace = true};

    wait_with(op, step, or_else);
    fs_guest_instantiate(op->node->guest, &making, store_made, op);
}

/* The guest can have gone meanwhile. */
static void store_opened(int fd, int error, const char *reason, void *data)
{
    FsOp *op = data;
    g_autoptr(GBytes) bytes = NULL;

    if (!error)
        error = -uv_read_to_end(fd, FS_STORE_IMAGE_MAX, &bytes);
    uv_fd_clear(&fd);
    g_clear_pointer(&op->content, g_bytes_unref);
    op->content = g_steal_pointer(&bytes);
    go_on(op->node->guest, error, op);
}

void fs_op_read_store(FsOp *op, FsStep step, FsStep or_else)
{
    wait_with(op, step, or_else);
    fs_guest_open_store(op->node->guest, store_opened, op);
}

static void called(FsGuest *guest, int error, GBytes *reply, void *data)
{
    FsOp *op = data;

    g_clear_pointer(&op->content, g_bytes_unref);
    if (guest && !error)
        op->content = g_bytes_ref(reply);
    go_on(guest, error, op);
}

void fs_op_call(FsOp *op, uint16_t type, GBytes *payload, FsStep step, FsStep or_else)
{
    uint64_t serial = wait_with(op, step, or_else);
    fs_guest_call(op->node->guest, op->req, FS_START_READ, type, payload, called, op);
    park(op, serial);
}

void fs_op_view_read(FsOp *op, FsViewKind view, const char *path, FsStep step)
{
    uint64_t serial = wait_with(op, step, NULL);
    fs_guest_view_read(op->node->guest, op->req, view, path, called, op);
    park(op, serial);
}

void fs_op_view_act(FsOp *op, FsViewKind view, FsViewAct act, const char *path, GBytes *content,
                    FsStep step, FsStep or_else)
{
    uint64_t serial = wait_with(op, step, or_else);
    fs_guest_view_act(op->node->guest, op->req, view, act, path, content, go_on_changed, op);
    park(op, serial);
}

static void holder_told(FsGuest *guest, const char *holder, bool elsewhere, void *data)
{
    FsOp *op = data;
    g_autofree char *line = holder ? g_strconcat(holder, "\n", NULL) : NULL;

    g_clear_pointer(&op->content, g_bytes_unref);
    op->content = line ? g_bytes_new(line, strlen(line)) : NULL;
    go_on(guest, 0, op);
}

void fs_op_ask_holder(FsOp *op, FsStep step)
{
    wait_with(op, step, NULL);
    fs_guest_ask_holder(op->node->guest, holder_told, op);
}

void fs_op_break_hold(FsOp *op, FsStep step, FsStep or_else)
{
    uint64_t serial = wait_with(op, step, or_else);
    fs_guest_break_hold(op->node->guest, op->req, go_on, op);
    park(op, serial);
}

static void record_opened(FsGuest *guest, int fds[2], void *data)
{
    FsOp *op = data;

    op->record = fds;
    go_on(guest, 0, op);
}

void fs_op_open_record(FsOp *op, FsStep step)
{
    wait_with(op, step, NULL);
    fs_guest_open_record(op->node->guest, record_opened, op);
}

/* With or without the guest. */
static void trace_awaited(FsGuest *guest, int error, void *data)
{
    FsOp *op = data;

    op->waiting = false;
    op->error = error;
    if (error)
        op->or_else(op);
    else
        op->step(op);
}

void fs_op_await_trace(FsOp *op, FsStep step, FsStep or_else)
{
    uint64_t serial = wait_with(op, step, or_else);
    fs_trace_await(op->handle->trace, op->req, trace_awaited, op);
    park(op, serial);
}

/* That the guest is gone the step finds out. */
static void trace_came(FsGuest *guest, int error, void *data)
{
    FsOp *op = data;

    op->waiting = false;
    if (guest && error)
        fs_op_error(op, error);
    else
        op->step(op);
}

void fs_op_wait_trace(FsOp *op, FsStep step)
{
    uint64_t serial = wait_with(op, step, NULL);
    fs_trace_wait(op->handle->trace, op->req, trace_came, op);
    park(op, serial);
}
