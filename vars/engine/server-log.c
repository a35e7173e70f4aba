/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * What is recorded, told to the host's log too: refusals and the owner's acts as notices, the rest
 * for debugging, each with the fields that journalctl finds it by (uefivarsd(8), Log). Lines are
 * rationed: what a guest can cause fills no log, nor costs it time.
 */

#include <syslog.h>

#include "server-internal.h"
#include "shown-name.h"
#include "uv-limits.h"

#define MESSAGE_CHANGE "26ee2fd83e3f44ad9b157626bd3156c8"
#define MESSAGE_REFUSAL "6fa6232b08b444c3bfc5ebeb7b97ba33"
#define NUMBER_TEXT 24

typedef struct {
    GLogField at[UV_LOG_FIELDS_MAX];
    gsize n;
    char *what; /* the variable, or the path */
    char *by;   /* the program of who asked, or the guest's client */
    char status[NUMBER_TEXT], uid[NUMBER_TEXT], pid[NUMBER_TEXT];
} Fields;

static void fields_clear(Fields *fields)
{
    g_free(fields->what);
    g_free(fields->by);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Fields, fields_clear)

static const char *const by_whom[UV_RECORD_DOORS] = {
    [UV_RECORD_GUEST] = "by the guest",
    [UV_RECORD_HOST] = "by the host",
    [UV_RECORD_OWNER] = "by the owner",
    [UV_RECORD_NEXT_BOOT] = "by what was kept for this boot",
    [UV_RECORD_MIGRATION] = "by a migrated state",
    [UV_RECORD_OUTSIDE] = "from outside",
};

static void add(Fields *fields, const char *key, const char *value)
{
    g_assert(fields->n < UV_LOG_FIELDS_MAX);
    fields->at[fields->n++] = (GLogField){key, value, -1};
}

static void add_actor(Fields *fields, const UvActor *actor)
{
    add(fields, "UEFIVARSFS_DOOR", uv_record_door_name(actor->door));
    if (actor->door == UV_RECORD_GUEST || actor->door == UV_RECORD_MIGRATION) {
        fields->by = uv_log_escape(actor->client ? actor->client : "");
        add(fields, "UEFIVARSFS_CLIENT", fields->by);
    } else if (actor->known && actor->door != UV_RECORD_OUTSIDE) {
        fields->by = uv_log_escape(actor->comm);
        g_snprintf(fields->uid, sizeof(fields->uid), "%u", actor->uid);
        g_snprintf(fields->pid, sizeof(fields->pid), "%u", actor->pid);
        add(fields, "UEFIVARSFS_UID", fields->uid);
        add(fields, "UEFIVARSFS_PID", fields->pid);
        add(fields, "UEFIVARSFS_COMM", fields->by);
    }
}

static void add_shown(Fields *fields, const char *shown)
{
    fields->what = uv_log_escape(shown);
    add(fields, "UEFIVARSFS_VARIABLE", fields->what);
}

static void add_variable(Fields *fields, const UvName *name, const UvGuid *guid)
{
    g_autofree char *shown = name ? uv_shown_name_format(name, guid) : g_strdup("(no name)");

    add_shown(fields, shown);
}

static void begin(Fields *fields, const char *message_id, const UvActor *actor, EfiStatus status)
{
    const uint64_t number = status & ~EFI_ERROR_BIT;

    g_snprintf(fields->status, sizeof(fields->status), "%" G_GUINT64_FORMAT, (guint64)number);
    add(fields, "MESSAGE_ID", message_id);
    add(fields, "UEFIVARSFS_STATUS", fields->status);
    add_actor(fields, actor);
}

static const char *what_happened(bool was_there, bool is_there)
{
    return !is_there ? "deleted" : !was_there ? "created" : "changed";
}

static void log_item(UvServer *server, const UvActor *actor, const UvChangeItem *item, int priority)
{
    const UvVariable *variable = item->after ? item->after : item->before;
    g_auto(Fields) fields = {0};

    begin(&fields, MESSAGE_CHANGE, actor, EFI_SUCCESS);
    add_variable(&fields, variable->name, &variable->guid);
    uv_log_event(&server->changes, priority, fields.at, fields.n, "%s: %s %s%s%s", fields.what,
                 what_happened(item->before, item->after), by_whom[actor->door],
                 fields.by && *fields.by ? ": " : "", fields.by ? fields.by : "");
}

void uv_log_found(UvServer *server, const UvActor *actor, const UvRecordFound *found)
{
    g_auto(Fields) fields = {0};

    if (!uv_log_has_debug() || !uv_log_has_room(&server->changes))
        return;
    begin(&fields, MESSAGE_CHANGE, actor, EFI_SUCCESS);
    add_shown(&fields, found->variable);
    uv_log_event(&server->changes, LOG_DEBUG, fields.at, fields.n,
                 "%s: %s from outside while the guest had no engine", fields.what,
                 what_happened(found->before || !found->is_known, found->after));
}

void uv_log_changes(UvServer *server, const UvActor *actor, const UvChange *change)
{
    const int priority = actor->door == UV_RECORD_OWNER ? LOG_NOTICE : LOG_DEBUG;

    if (priority == LOG_DEBUG && !uv_log_has_debug())
        return;
    for (size_t i = 0; i < uv_change_count(change); i++)
        if (uv_log_has_room(&server->changes))
            log_item(server, actor, uv_change_item(change, i), priority);
}

static const char *or_dash(const char *text)
{
    return text ? text : "-";
}

/* Without a status. */
static void log_front_refusal(UvServer *server, const UvActor *actor,
                              const UvRecordRefusal *refusal)
{
    g_autofree char *reason = uv_log_escape(refusal->reason);
    g_auto(Fields) fields = {0};

    add(&fields, "MESSAGE_ID", MESSAGE_REFUSAL);
    add_actor(&fields, actor);
    fields.what = uv_log_escape(refusal->path);
    add(&fields, "UEFIVARSFS_PATH", fields.what);
    uv_log_event(&server->refusals, LOG_NOTICE, fields.at, fields.n, "%s: refused: %s", fields.what,
                 reason);
}

void uv_log_refusal(UvServer *server, const UvActor *actor, const UvRecordRefusal *refusal)
{
    g_auto(Fields) fields = {0};

    if (refusal->error) {
        log_front_refusal(server, actor, refusal);
        return;
    }
    begin(&fields, MESSAGE_REFUSAL, actor, refusal->status);
    if (refusal->request) {
        add_variable(&fields, refusal->request->name, &refusal->request->guid);
    } else {
        fields.what = uv_log_escape(refusal->path);
        add(&fields, "UEFIVARSFS_PATH", fields.what);
    }
    if (refusal->rule)
        add(&fields, "UEFIVARSFS_RULE", refusal->rule);
    uv_log_event(&server->refusals, LOG_NOTICE, fields.at, fields.n,
                 "%s: change %s refused: status 0x%" G_GINT64_MODIFIER "x, rule %s: %s",
                 fields.what, by_whom[actor->door], refusal->status, or_dash(refusal->rule),
                 or_dash(refusal->reason));
}

void uv_log_waived(UvServer *server, const UvActor *actor, const UvSetRequest *request,
                   const UvRefusal *refusal)
{
    g_auto(Fields) fields = {0};

    begin(&fields, MESSAGE_CHANGE, actor, EFI_SUCCESS);
    add_variable(&fields, request->name, &request->guid);
    add(&fields, "UEFIVARSFS_RULE", refusal->rule);
    uv_log_event(&server->refusals, LOG_NOTICE, fields.at, fields.n,
                 "%s: change %s let through against rule %s: %s", fields.what, by_whom[actor->door],
                 refusal->rule, refusal->text);
}
