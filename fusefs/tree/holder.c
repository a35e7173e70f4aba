/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * guests/G/holder, where SOURCE is on storage that other hosts have: which host the guest is on.
 * The word "break" written there is the administrator's that this host is dead and can't write any
 * more.
 */

#include <errno.h>
#include <string.h>

#include "control-private.h"

#define BREAK "break"
#define LINE_BYTES_MAX 256u

bool fs_holder_exists(const FsGuest *guest)
{
    return fs_fleet_is_shared(fs_guest_fleet(guest));
}

static void attr_ready(FsOp *op)
{
    const FsMeasure measure = {op->content ? g_bytes_get_size(op->content) : 0,
                               fs_tree_guest_mtime_ns(op->node->guest)};

    fs_control_reply_attr(op, &measure);
}

void fs_holder_getattr(FsOp *op)
{
    fs_op_ask_holder(op, attr_ready);
}

void fs_holder_open(FsOp *op)
{
    fs_op_ask_holder(op, fs_control_reply_opened);
}

/* What a backup holds: no wish. */
static bool is_of_backup(const char *line)
{
    return !*line || strstr(line, " since ");
}

void fs_holder_commit(FsOp *op, GBytes *text, FsStep done, FsStep failed)
{
    gsize size;
    const char *bytes = g_bytes_get_data(text, &size);
    g_autofree char *line = g_strchomp(g_strndup(bytes, MIN(size, LINE_BYTES_MAX)));

    if (strcmp(line, BREAK) == 0) {
        fs_op_break_hold(op, done, failed);
    } else if (is_of_backup(line)) {
        done(op);
    } else {
        fs_guest_refused(op->node->guest, "holder: '" BREAK "' is all that can be written there");
        op->error = EINVAL;
        failed(op);
    }
}
