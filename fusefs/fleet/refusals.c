/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "refusals.h"

#include <string.h>

#define FILES_MAX 16

struct FsRefusals {
    GQueue all; /* FsRefusal, the last one at the tail */
};

static void refusal_free(FsRefusal *refusal)
{
    g_free((char *)refusal->path);
    g_free((char *)refusal->text);
    g_free(refusal);
}

FsRefusals *fs_refusals_new(void)
{
    FsRefusals *refusals = g_new0(FsRefusals, 1);

    g_queue_init(&refusals->all);
    return refusals;
}

void fs_refusals_free(FsRefusals *refusals)
{
    g_queue_clear_full(&refusals->all, (GDestroyNotify)refusal_free);
    g_free(refusals);
}

bool fs_refusals_is_empty(const FsRefusals *refusals)
{
    return !refusals || refusals->all.length == 0;
}

static void forget(FsRefusals *refusals, GList *link)
{
    refusal_free(link->data);
    g_queue_delete_link(&refusals->all, link);
}

void fs_refusals_add(FsRefusals *refusals, const FsRefusal *refusal)
{
    FsRefusal *kept = g_new(FsRefusal, 1);

    *kept = *refusal;
    kept->path = g_utf8_make_valid(refusal->path, -1);
    kept->text = g_utf8_make_valid(refusal->text, -1);
    for (GList *link = refusals->all.head, *next; link; link = next) {
        next = link->next;
        if (strcmp(((FsRefusal *)link->data)->path, kept->path) == 0)
            forget(refusals, link);
    }
    if (refusals->all.length >= FILES_MAX)
        forget(refusals, refusals->all.head);
    g_queue_push_tail(&refusals->all, kept);
}

static size_t folder_bytes(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? (size_t)(slash - path) : 0;
}

static bool is_beside(const char *path, const char *other)
{
    const size_t bytes = folder_bytes(path);

    return folder_bytes(other) == bytes && memcmp(path, other, bytes) == 0;
}

void fs_refusals_succeeded(FsRefusals *refusals, const char *path)
{
    g_autofree char *valid = g_utf8_make_valid(path, -1);

    for (GList *link = refusals->all.head, *next; link; link = next) {
        const FsRefusal *refusal = link->data;
        next = link->next;
        if (strcmp(refusal->path, valid) == 0 ||
            (refusal->passing && is_beside(refusal->path, valid)))
            forget(refusals, link);
    }
}

static bool is_at_or_below(const char *path, const char *top)
{
    const size_t bytes = strlen(top);

    return bytes == 0 || (strncmp(path, top, bytes) == 0 && (!path[bytes] || path[bytes] == '/'));
}

const FsRefusal *fs_refusals_last(const FsRefusals *refusals, const char *path)
{
    g_autofree char *valid = g_utf8_make_valid(path, -1);

    for (const GList *link = refusals ? refusals->all.tail : NULL; link; link = link->prev) {
        const FsRefusal *refusal = link->data;
        if (is_at_or_below(refusal->path, valid))
            return refusal;
    }
    return NULL;
}

char *fs_refusal_time(const FsRefusal *refusal)
{
    g_autoptr(GDateTime) time = g_date_time_new_from_unix_utc(refusal->at_us / G_USEC_PER_SEC);

    return g_date_time_format(time, "%Y-%m-%dT%H:%M:%SZ");
}

const char *fs_refusal_errno(const FsRefusal *refusal)
{
    const char *name = strerrorname_np(refusal->error);

    return name ? name : "unknown";
}

char *fs_refusal_line(const FsRefusal *refusal)
{
    g_autofree char *time = fs_refusal_time(refusal);

    return g_strdup_printf("%s %s %s: %s: %s", time, refusal->operation,
                           *refusal->path ? refusal->path : ".", fs_refusal_errno(refusal),
                           refusal->text);
}
