/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * The control files of a guest: one table, of what each is read from and what a text written to it
 * does.
 *
 * Their names are looked up each time. A store.json is as large and as old as the store's file
 * where that is JSON (the engine exports that file's own text), so it can be told without an
 * engine, and a second backup copies nothing. status.json is told to be as old as the store and a
 * multiple of 4096 bytes for the same reason.
 */

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "control-private.h"
#include "status.h"
#include "store-image.h"
#include "uv-limits.h"
#include "wire.h"

#define STATUS_BLOCK 4096

/* status.json */

static bool status_measure(FsTree *tree, FsGuest *guest, FsMeasure *ret)
{
    ret->bytes = MAX(fs_tree_guest(tree, guest)->status_bytes, STATUS_BLOCK);
    ret->mtime_ns = fs_tree_guest_mtime_ns(guest);
    return true;
}

static void status_reply(FsOp *op)
{
    GBytes *text = fs_status_text(op->node->guest, op->content, STATUS_BLOCK);

    g_clear_pointer(&op->content, g_bytes_unref);
    op->content = text;
    fs_tree_guest(op->tree, op->node->guest)->status_bytes = g_bytes_get_size(text);
    fs_control_reply_opened(op);
}

/* With or without its engine's answer. */
static void status_answered(FsOp *op)
{
    fs_op_need_if_possible(op, FS_NEED_STATUS, status_reply);
}

static void status_recalled(FsOp *op)
{
    GBytes *known = fs_guest_known_status(op->node->guest);

    if (known) {
        op->content = g_bytes_ref(known);
        status_answered(op);
    } else {
        fs_op_call(op, UV_HOST_STATUS, NULL, status_answered, status_answered);
    }
}

/* Of a guest that is as its last engine left it no engine is asked. */
static void status_open(FsOp *op)
{
    fs_op_need(op, FS_NEED_HINT, status_recalled);
}

/* store.img: the store's file */

static bool image_measure(FsTree *tree, FsGuest *guest, FsMeasure *ret)
{
    ret->bytes = fs_store_image_exists(guest) ? fs_guest_look(guest)->size_bytes : 0;
    ret->mtime_ns = fs_guest_look(guest)->mtime_ns;
    return true;
}

static void image_open(FsOp *op)
{
    fs_store_image_read(op, fs_control_reply_opened);
}

/* config.json: a file beside the store */

static bool config_measure(FsTree *tree, FsGuest *guest, FsMeasure *ret)
{
    int error;
    GBytes *text = fs_guest_text(guest, FS_TEXT_CONFIG, &error, &ret->mtime_ns);

    ret->bytes = text ? g_bytes_get_size(text) : 0; /* 0: never written */
    return true;
}

/* mm.sock */

static bool socket_measure(FsTree *tree, FsGuest *guest, FsMeasure *ret)
{
    g_autofree char *target = fs_guest_socket_path(guest);

    ret->bytes = strlen(target);
    ret->mtime_ns = fs_tree_guest_mtime_ns(guest);
    return true;
}

static void config_open(FsOp *op)
{
    int error;
    GBytes *text = fs_guest_text(op->node->guest, FS_TEXT_CONFIG, &error, NULL);

    if (error) {
        fs_guest_log(op->node->guest, "config.json: %s", g_strerror(error));
        fs_op_error(op, EIO);
    } else {
        op->content = text ? g_bytes_ref(text) : NULL;
        fs_control_reply_opened(op);
    }
}

static void config_counts(FsOp *op)
{
    op->error = 0; /* with a guest it counts from the next start on */
    op->done(op);
}

/* An engine that no guest has was started with what config.json said before, and a guest would find
 * it: it ends. */
static void config_written(FsOp *op)
{
    fs_op_try(op, FS_NEED_NO_ENGINE, op->done, config_counts);
}

static void config_commit(FsOp *op, GBytes *text, FsStep done, FsStep failed)
{
    g_autoptr(GError) error = NULL;

    if (fs_firmware_check_config(text, &error)) {
        op->done = done;
        fs_op_write_text(op, FS_TEXT_CONFIG, text, config_written, failed);
        return;
    }
    fs_guest_refused(op->node->guest, error->message);
    op->error = EINVAL;
    failed(op);
}

static const FsControl controls[] = {
    {
        .name = "store.json",
        .type_and_mode = S_IFREG | 0600,
        .needs = FS_NEED_LOOK | FS_NEED_HINT,
        .measure = fs_store_measure,
        .getattr = fs_store_getattr,
        .open = fs_store_open,
        .text_max = UV_WIRE_BLOB_MAX,
        .rules = &uv_json_store,
        .commit = fs_store_commit,
    },
    {
        .name = "store.img",
        .type_and_mode = S_IFREG | 0600,
        .needs = FS_NEED_LOOK,
        .exists = fs_store_image_exists,
        .measure = image_measure,
        .open = image_open,
        .collected_max = FS_STORE_IMAGE_MAX,
        .commit = fs_store_image_commit,
    },
    {
        .name = "status.json",
        .type_and_mode = S_IFREG | 0600,
        .needs = FS_NEED_LOOK,
        .measure = status_measure,
        .open = status_open,
        .ignored = true,
    },
    {
        .name = "config.json",
        .type_and_mode = S_IFREG | 0600,
        .needs = FS_NEED_CONFIG,
        .measure = config_measure,
        .open = config_open,
        .text_max = FS_CONFIG_BYTES_MAX,
        .rules = &uv_json_config,
        .commit = config_commit,
    },
    {
        .name = "mm.sock",
        .type_and_mode = S_IFLNK | 0777,
        .needs = FS_NEED_LOOK,
        .measure = socket_measure,
        .link = fs_guest_socket_path,
    },
    {
        .name = "holder",
        .type_and_mode = S_IFREG | 0600,
        .needs = FS_NEED_LOOK,
        .exists = fs_holder_exists,
        .getattr = fs_holder_getattr,
        .open = fs_holder_open,
        .by_write = true,
        .ignored = true,
        .commit = fs_holder_commit,
    },
};

const FsControl *fs_control_at(size_t index)
{
    return index < G_N_ELEMENTS(controls) ? &controls[index] : NULL;
}

const FsControl *fs_control_find(const char *name)
{
    for (size_t i = 0; i < G_N_ELEMENTS(controls); i++) {
        if (strcmp(controls[i].name, name) == 0)
            return &controls[i];
    }
    return NULL;
}

bool fs_control_exists(const FsControl *control, const FsGuest *guest)
{
    return !control->exists || control->exists(guest);
}

size_t fs_control_index(const FsControl *control)
{
    return control - controls;
}
