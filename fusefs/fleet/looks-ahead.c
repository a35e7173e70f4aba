/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * Looks at guests before they are asked about. A program that goes through the guests in the order
 * of their list asks for the next ones soon: they are looked at with one question, and with more at
 * a time the sooner the last ones were used up; the monitor looks at the next ones while half of
 * the last ones are still to be used. Looks are good for a second only, so for a slow program no
 * more is looked at than it will come to.
 */

#include "fleet-private.h"

#include "told.h"

#include <string.h>

#define AHEAD 16
/* Used up so soon, AHEAD guests are followed by FS_LOOKS_MAX, which are used up while they are
 * good. */
#define SOON_US (SHOWN_US * AHEAD / FS_LOOKS_MAX * 3 / 4)
/* A list costs less than looks at this part of all guests. */
#define LIST_PART 16

typedef struct {
    guint n;
    FsGuest *guests[FS_LOOKS_MAX];
} Looks;

/* What was left out is asked about alone. */
static void on_looks(const FsAnswer *answer, int fds[FS_QUESTION_FDS], void *data)
{
    g_autofree Looks *looks = data;
    g_autofree FsTold *told = g_new(FsTold, FS_LOOKS_MAX);
    const guint n_told = answer->error == 0 ? fs_told_read(fds[0], told, FS_LOOKS_MAX) : 0;
    FsAnswer one = *answer;

    for (guint i = 0, at = 0; i < looks->n; i++) {
        FsGuest *guest = looks->guests[i];
        const bool is_told = at < n_told && strcmp(told[at].guest, guest->name) == 0;
        if (is_told)
            one.look = told[at++].look;
        if (is_told || answer->error < 0)
            guest_take_look(guest, &one);
        else
            guest_ask_alone(guest);
        fs_guest_release(guest);
    }
}

/* false: there is no room for this one. */
static bool add(Looks *looks, FsQuestion *question, FsGuest *guest)
{
    const size_t used = strlen(question->path), size = strlen(guest->name);

    if (looks->n == FS_LOOKS_MAX || used + size + 2 > sizeof(question->path))
        return false;
    if (used > 0)
        question->path[used] = '/';
    memcpy(question->path + used + (used > 0), guest->name, size + 1);
    looks->guests[looks->n++] = fs_guest_hold(guest);
    guest_begin_look(guest);
    return true;
}

/* It would be asked about again all the same, or need not be. */
static bool is_no_use(const FsGuest *guest)
{
    const bool untold = guest->looked_at && !(guest->look.flags & FS_LOOK_WATCHED) &&
                        !fs_fleet_is_shared(guest->fleet);

    return untold || guest->look_asked != guest->look_done ||
           guest_look_current(guest, FS_NEED_LOOK);
}

/* At those from this one on. */
static void look_at(FsFleet *fleet, guint at, guint most)
{
    FsQuestion question = fs_question(FS_ASK_LOOKS, NULL);
    Looks *looks = g_new0(Looks, 1);

    for (guint i = at; i < fleet->guests->len && i < at + most; i++) {
        FsGuest *next = fleet->guests->pdata[i];
        const bool again = !(next->look.flags & FS_LOOK_BRIEF);
        if (is_no_use(next))
            continue;
        if (!add(looks, &question, next))
            break;
        fleet->walked += again;
        fleet->ahead_sequence = next->sequence;
    }
    if (looks->n == 0) {
        g_free(looks);
        return;
    }
    fleet->ahead_half = looks->guests[looks->n / 2]->sequence;
    fs_source_ask(fleet->source, &question, NULL, 0, on_looks, looks);
}

void guest_look_further(const FsGuest *guest)
{
    FsFleet *fleet = guest->fleet;
    const int64_t now = g_get_monotonic_time();

    if (guest->sequence < fleet->ahead_half || guest->sequence > fleet->ahead_sequence ||
        now - fleet->ahead_at >= SOON_US)
        return;
    fleet->ahead_at = now;
    fleet->ahead_half = G_MAXUINT64;
    look_at(fleet, fleet_index_after(fleet, fleet->ahead_sequence), FS_LOOKS_MAX);
}

void guest_look_ahead(const FsGuest *guest)
{
    FsFleet *fleet = guest->fleet;
    const guint at = fleet_index_after(fleet, guest->sequence);
    const bool walks = guest->sequence > fleet->ahead_sequence &&
                       at - fleet_index_after(fleet, fleet->ahead_sequence) <= AHEAD;
    const int64_t now = g_get_monotonic_time();
    const bool soon = now - fleet->ahead_at < SOON_US;

    fleet->ahead_sequence = guest->sequence;
    if (!walks)
        return;
    fleet->walked += !(guest->look.flags & FS_LOOK_BRIEF); /* a list confirms what is known */
    if (fs_fleet_has_many(fleet) && now - fleet->listed_at >= SHOWN_US &&
        fleet->walked >= fleet->guests->len / LIST_PART) {
        fleet->walked = 0;
        fleet_ask_list(fleet);
    }
    fleet->ahead_at = now;
    look_at(fleet, at, soon ? FS_LOOKS_MAX : AHEAD);
}
