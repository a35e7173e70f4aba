/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * What is known of a guest's files, and how it is learnt.
 *
 * A look is current where inotify would tell of a change, while nothing has happened to the guest
 * since it was asked for and it is young; where an engine follows the store itself, it need not be
 * young. On shared storage age alone counts. Texts and the rest are kept by the identity that a
 * look told: they are read anew when that is another.
 *
 * Looks, texts and states are counted as asked and as done. A call that waits notes the number that
 * must be done. So a program that changes a file again and again delays no call: none waits for
 * changes that came after it.
 */

#include "fleet-private.h"

#include "fd.h"
#include "file-io.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

/* Changes that inotify does not tell (of another host, through a hard link) show that late. */
#define UNTOLD_US (G_USEC_PER_SEC / 10)

/* How long what a look told may be shown. */
static int64_t shown_us(const FsFleet *fleet)
{
    return fs_fleet_is_shared(fleet) ? (int64_t)fleet->options->look_s * G_USEC_PER_SEC : SHOWN_US;
}

/* What takes no more than that the guest's store is what it was: what is kept beside it says itself
 * of which store it is. */
static unsigned listed_needs(const FsFleet *fleet)
{
    const unsigned shown = FS_NEED_LOOK | FS_NEED_SOCKET;

    return fs_fleet_has_many(fleet)
               ? shown | FS_NEED_FRESH_LOOK | FS_NEED_REPLICA | FS_NEED_NAMES | FS_NEED_HINT
               : shown;
}

/* Of many guests one list says as much as a look at each, but for what lies beside their stores: a
 * journal that another program's engine has begun is seen when its store changes. */
static bool list_confirms(const FsGuest *guest)
{
    const FsFleet *fleet = guest->fleet;

    return guest->looked_at && !guest->look_stale &&
           (guest->look.flags & FS_LOOK_WATCHED || fs_fleet_is_shared(fleet)) &&
           !(guest->look.flags & FS_LOOK_FOLDER) && guest->list_number == fleet->list_number &&
           g_get_monotonic_time() - fleet->listed_at < shown_us(fleet);
}

bool guest_look_current(const FsGuest *guest, unsigned needs)
{
    bool follows = guest->live && guest->live->engine && guest->live->engine->io;
    bool shared = fs_fleet_is_shared(guest->fleet);
    int64_t age_us = g_get_monotonic_time() - guest->looked_at;

    if (!guest->looked_at || guest->look_stale || guest->look_asked != guest->look_done)
        return false;
    if (!shared && !(guest->look.flags & FS_LOOK_WATCHED))
        return false;
    if (!shared && follows) /* which neither it nor inotify does for what another host writes */
        return true;
    if (!(needs & ~listed_needs(guest->fleet)) && list_confirms(guest))
        return true;
    if (shared)
        return age_us < shown_us(guest->fleet);
    return age_us <
           (needs & (FS_NEED_REPLICA | FS_NEED_NAMES | FS_NEED_FRESH_LOOK) ? UNTOLD_US : SHOWN_US);
}

bool fs_guest_is_followed(const FsGuest *guest)
{
    return guest->look.flags & FS_LOOK_WATCHED && !fs_fleet_is_shared(guest->fleet);
}

void guest_tell_changed(FsGuest *guest)
{
    const FsFleet *fleet = guest->fleet;

    if (fleet->events.files_changed)
        fleet->events.files_changed(guest, fleet->events_data);
}

void guest_is_stale(FsGuest *guest)
{
    guest->look_stale = true;
    guest_tell_changed(guest);
}

bool looks_agree(const FsGuestLook *known, const FsLook *brief)
{
    return brief->flags & FS_LOOK_FOLDER ||
           (fs_identity_equal(&known->store, &brief->store) && known->uid == brief->uid &&
            known->gid == brief->gid && known->mode == brief->mode);
}

bool fs_guest_look_serves(const FsGuest *guest)
{
    const uint32_t unknown = FS_LOOK_BRIEF | FS_LOOK_FOLDER;

    if (guest->look.flags & FS_LOOK_BRIEF)
        return !guest->look_stale && !(guest->look.flags & FS_LOOK_NAME) &&
               (guest->look.flags & unknown) != unknown;
    return guest_look_current(guest, FS_NEED_LOOK);
}

typedef struct {
    FsGuest *guest;
    FsGuestAnswered answered;
    void *data;
} Asking;

static void on_answer(const FsAnswer *answer, int fds[FS_QUESTION_FDS], void *data)
{
    g_autofree Asking *asking = data;
    FsGuest *guest = asking->guest;

    asking->answered(guest, answer, fds, asking->data);
    fs_guest_release(guest);
}

void guest_ask(FsGuest *guest, const FsQuestion *question, int *fds, size_t n_fds,
               FsGuestAnswered answered, void *data)
{
    Asking *asking = g_new(Asking, 1);

    *asking = (Asking){fs_guest_hold(guest), answered, data};
    fs_source_ask(guest->fleet->source, question, fds, n_fds, on_answer, asking);
}

/* Looks */

void fleet_take_answer(FsFleet *fleet, const char *name, const FsAnswer *answer)
{
    FsGuest *guest = fleet_take_look(fleet, name, answer->error, &answer->look);
    g_autofree char *lines = g_strchomp(g_strdup(answer->text));

    if (!guest || answer->error)
        return;
    if (g_strcmp0(guest->domains_store, *answer->store ? answer->store : NULL) != 0) {
        g_free(guest->domains_store);
        guest->domains_store = *answer->store ? g_strdup(answer->store) : NULL;
    }
    if (!*lines && !guest->live)
        return;
    g_strfreev(guest_live(guest)->shadowed);
    guest->live->shadowed = *lines ? g_strsplit(lines, "\n", -1) : NULL;
}

void guest_take_look(FsGuest *guest, const FsAnswer *answer)
{
    FsFleet *fleet = guest->fleet;

    fleet->looking--;
    guest->look_done++;
    if (!guest->gone && answer->error != -ECANCELED) {
        fleet_take_answer(fleet, guest->name, answer);
        if (!guest->gone)
            guest_pump(guest);
    }
    if (fleet->looking == 0)
        listen_in_background(fleet);
}

static void on_look(FsGuest *guest, const FsAnswer *answer, int fds[FS_QUESTION_FDS], void *data)
{
    guest_take_look(guest, answer);
}

void guest_ask_alone(FsGuest *guest)
{
    const FsQuestion question = fs_question(FS_ASK_LOOK, guest->name);

    guest_ask(guest, &question, NULL, 0, on_look, NULL);
}

void guest_begin_look(FsGuest *guest)
{
    guest->look_stale = false;
    guest->looked_at = g_get_monotonic_time();
    guest->look_asked++;
    guest->fleet->looking++;
}

void guest_ask_look(FsGuest *guest)
{
    if (guest->look_asked != guest->look_done)
        return; /* one is under way; when it is here, who needs another asks again */
    guest_begin_look(guest);
    guest_ask_alone(guest);
}

uint32_t guest_next_look(FsGuest *guest)
{
    bool under_way = guest->look_asked != guest->look_done;

    /* The one under way is good unless something has happened since it was asked for. */
    return guest->look_asked + (under_way && !guest->look_stale ? 0 : 1);
}

/* What happens often to a guest is looked at that often, unless a request asks. */
#define AGAIN_US (50 * 1000)

void guest_look_again(FsGuest *guest)
{
    FsFleet *fleet = guest->fleet;

    guest_is_stale(guest);
    if (guest->look_again)
        return;
    if (guest->look_asked == guest->look_done &&
        g_get_monotonic_time() - guest->looked_at >= AGAIN_US) {
        guest_ask_look(guest);
        return;
    }
    guest->look_again = true;
    g_queue_push_tail(&fleet->again, guest);
    fleet_due(fleet, g_get_monotonic_time() + AGAIN_US);
}

void looks_tick(FsFleet *fleet, int64_t now)
{
    for (guint left = fleet->again.length; left > 0; left--) {
        FsGuest *guest = fleet->again.head->data;

        if (now - guest->looked_at < AGAIN_US) {
            fleet_due(fleet, guest->looked_at + AGAIN_US);
            return; /* in the order of time, but for those that were asked about meanwhile */
        }
        g_queue_pop_head(&fleet->again);
        guest->look_again = false;
        if (guest->look_stale)
            guest_ask_look(guest);
    }
}

void fs_guest_files_changed(FsGuest *guest)
{
    guest->look_stale = true;
}

/* Texts */

static const size_t text_max[FS_TEXTS] = {
    [FS_TEXT_CONFIG] = FS_CONFIG_BYTES_MAX,
    [FS_TEXT_PIN] = FS_PIN_BYTES_MAX,
    [FS_TEXT_HINT] = FS_HINT_BYTES_MAX,
    [FS_TEXT_STORE] = FS_STORE_HEAD_BYTES,
};

static const FsIdentity *text_identity(const FsGuest *guest, FsText text)
{
    const FsIdentity *identities[FS_TEXTS] = {
        [FS_TEXT_CONFIG] = &guest->look.config,
        [FS_TEXT_PIN] = &guest->look.pin,
        [FS_TEXT_HINT] = &guest->look.hint,
        [FS_TEXT_STORE] = &guest->look.store,
    };

    return identities[text];
}

static bool text_exists(const FsGuest *guest, FsText text)
{
    static const FsIdentity none;

    return !fs_identity_equal(text_identity(guest, text), &none);
}

bool guest_text_current(const FsGuest *guest, FsText text)
{
    const FsCachedText *cached = guest->live ? &guest->live->texts[text] : NULL;
    static const FsIdentity none;

    if (cached && cached->asked != cached->done)
        return false;
    return fs_identity_equal(cached ? &cached->identity : &none, text_identity(guest, text));
}

uint32_t guest_next_text(FsGuest *guest, FsText text)
{
    const FsCachedText *cached = &guest_live(guest)->texts[text];
    bool under_way = cached->asked != cached->done;

    return cached->asked +
           (under_way && fs_identity_equal(&cached->identity, text_identity(guest, text)) ? 0 : 1);
}

/* What was read last, or nothing: the next look tells whether it is good. */
static void read_text(FsCachedText *cached, FsText text, int fd)
{
    size_t max = text_max[text];
    struct stat st;
    int result = fstat(fd, &st) < 0 ? -errno : 0;

    if (result == 0)
        result = text == FS_TEXT_STORE ? uv_read_begin(fd, max, &cached->bytes)
                                       : uv_read_to_end(fd, max, &cached->bytes);
    cached->error = -result;
    if (result < 0)
        return;
    cached->mtime_ns = (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec;
}

static void forget_text(FsGuest *guest, FsText text)
{
    FsCachedText *cached = &guest->live->texts[text];

    g_clear_pointer(&cached->bytes, g_bytes_unref);
    cached->error = 0;
    cached->mtime_ns = 0;
    guest->live->texts_generation++;
}

static void on_text(FsGuest *guest, const FsAnswer *answer, int fds[FS_QUESTION_FDS], void *data)
{
    const FsText text = GPOINTER_TO_UINT(data);
    FsCachedText *cached = &guest->live->texts[text];

    forget_text(guest, text);
    cached->done++;
    cached->error = answer->error == -ENOENT ? 0 : -answer->error;
    if (answer->error == 0)
        read_text(cached, text, fds[0]);
    if (text == FS_TEXT_HINT)
        guest_recall(guest);
    if (!guest->gone)
        guest_pump(guest);
}

void guest_ask_text(FsGuest *guest, FsText text)
{
    FsCachedText *cached = &guest_live(guest)->texts[text];
    FsQuestion question = fs_question(FS_ASK_READ, guest->name);

    if (cached->asked != cached->done)
        return;
    /* It is at least as new as what this identity tells. */
    cached->identity = *text_identity(guest, text);
    cached->asked++;
    if (!text_exists(guest, text)) {
        cached->done++;
        forget_text(guest, text);
        return;
    }
    question.text = text;
    guest_ask(guest, &question, NULL, 0, on_text, GUINT_TO_POINTER(text));
}

void guest_texts_clear(FsLive *live)
{
    for (FsText text = 0; text < FS_TEXTS; text++)
        g_clear_pointer(&live->texts[text].bytes, g_bytes_unref);
}

GBytes *fs_guest_text(const FsGuest *guest, FsText text, int *ret_error, int64_t *ret_mtime_ns)
{
    const FsCachedText *cached = guest->live ? &guest->live->texts[text] : NULL;

    *ret_error = cached ? cached->error : 0;
    if (ret_mtime_ns)
        *ret_mtime_ns = cached ? cached->mtime_ns : 0;
    return cached ? cached->bytes : NULL;
}

uint64_t fs_guest_texts_generation(const FsGuest *guest)
{
    return guest->live ? guest->live->texts_generation : 0;
}

/* For status.json: who has the store open */

static void on_holder(FsGuest *guest, const FsAnswer *answer, int fds[FS_QUESTION_FDS], void *data)
{
    guest->live->holder_done++;
    g_free(guest->live->holder);
    guest->live->holder = answer->error == 0 && *answer->text ? g_strdup(answer->text) : NULL;
    if (!guest->gone)
        guest_pump(guest);
}

void guest_ask_holder(FsGuest *guest)
{
    FsLive *live = guest_live(guest);
    const FsQuestion question = fs_question(FS_ASK_HOLDER, guest->name);

    if (live->holder_asked != live->holder_done)
        return;
    live->holder_asked++;
    guest_ask(guest, &question, NULL, 0, on_holder, NULL);
}
