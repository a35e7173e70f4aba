/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * Finding guests: all of them, one by its name, and those that a change in SOURCE means.
 *
 * Which guest a file name means only the source knows: a change of a file is asked about by its
 * name, once however often it changes. A search waits for what was asked before it (of names that
 * may mean what it looks for), and for nothing that changes later.
 */

#include "fleet-private.h"

#include "hash.h"
#include "told.h"
#include "uv-limits.h"

#include <errno.h>
#include <string.h>

/* Names that are asked about at the same time; with more, all of SOURCE is listed. */
#define FILES_MAX 1024
/* After an answer the same name is not asked about sooner, unless a search waits for it. */
#define AGAIN_US (50 * 1000)
/* What inotify does not tell of the names in SOURCE shows that late where there are many. */
#define NAMES_US (10 * G_USEC_PER_SEC)
#define MANY 256
/* Where the kernel lost events again and again, SOURCE is listed that often. */
#define LIST_AGAIN_US G_USEC_PER_SEC

typedef struct {
    FsFleet *fleet;
    uint64_t number; /* of the question */
    bool again;      /* it changed since that was asked */
    GList in_asked;  /* in fleet->files_asked */
    char name[];
} FsFileReview;

/* A request waits for what is in SOURCE. */
typedef struct {
    FsFleet *fleet;
    char *name;    /* NULL: all */
    bool any_list; /* ... also while they are listed again */
    void *request;
    FsContinue go_on;
    void *data;
    uint64_t last_file; /* questions up to this one have to be answered */
    int64_t deadline;
    bool leaving; /* `leaves` is set: what guests left that it saw go is kept by then */
    uint32_t leaves;
    bool looking, looked; /* the guest was unknown: it was asked for by name, and answered */
    GList in_fleet;
} FsSearch;

/* Lists */

static void retire_others(FsFleet *fleet)
{
    for (guint i = 0; i < fleet->guests->len; i++) {
        FsGuest *guest = fleet->guests->pdata[i];

        if (guest->list_number != fleet->list_number)
            guest_look_again(guest);
    }
}

static void on_listed(const FsAnswer *answer, int fds[FS_QUESTION_FDS], void *data)
{
    FsFleet *fleet = data;

    fleet->listing = false;
    if (answer->error == -ECANCELED)
        return;
    if (answer->error < 0)
        g_warning("%s: %s", fleet->source->facts.path, g_strerror(-answer->error));
    else
        retire_others(fleet);
    fleet->listed = true;
    listen_in_background(fleet);
    searches_go_on(fleet);
}

void fleet_ask_list(FsFleet *fleet)
{
    FsQuestion question = fs_question(FS_ASK_LIST, NULL);

    if (fleet->listing || fleet->lost)
        return;
    fleet->listing = true;
    fleet->list_stale = false;
    fleet->list_number++;
    fleet->listed_at = g_get_monotonic_time();
    fs_source_ask(fleet->source, &question, NULL, 0, on_listed, fleet);
}

void fleet_list_is_stale(FsFleet *fleet)
{
    fleet->list_stale = true;
    for (guint i = 0; i < fleet->guests->len; i++)
        guest_is_stale(fleet->guests->pdata[i]);
    fleet_due(fleet, fleet->listed_at + LIST_AGAIN_US);
}

/* A brief look at one of many: enough to know that it is there, and whose; and where it tells all
 * of a store, whether what is known of it is so still. */
static void list_guest(FsFleet *fleet, const FsTold *told)
{
    FsGuest *guest = fleet_guest(fleet, told->guest);

    fleet_take_reach(fleet, told->look.reach);
    if (!guest || (guest->look.flags & FS_LOOK_NAME && !(told->look.flags & FS_LOOK_NAME)))
        guest = fleet_take_look(fleet, told->guest, 0, &told->look);
    else if (strcmp(guest->file, told->look.file) != 0)
        guest_look_again(guest);
    else if (!(told->look.flags & FS_LOOK_NAME) && !looks_agree(&guest->look, &told->look))
        guest_is_stale(guest);
    guest->list_number = fleet->list_number;
}

void fleet_list_guests(FsFleet *fleet, const FsAnswer *tell, int fd)
{
    g_autofree FsTold *told = g_new(FsTold, FS_TOLD_MAX);
    const unsigned n = fs_told_read(fd, told, FS_TOLD_MAX);

    fleet->many |= tell->number == 0;
    if (n != tell->number)
        g_warning("%s: a list that can't be read", fleet->source->facts.path);
    for (unsigned i = 0; i < n; i++)
        list_guest(fleet, &told[i]);
}

/* Files */

static void review_free(FsFileReview *review)
{
    g_hash_table_remove(review->fleet->files, review->name); /* which owns it */
}

static void on_file(const FsAnswer *answer, int fds[FS_QUESTION_FDS], void *data)
{
    FsFileReview *review = data;
    FsFleet *fleet = review->fleet;

    g_queue_unlink(&fleet->files_asked, &review->in_asked);
    review->number = 0;
    if (answer->error == -ECANCELED || fleet->lost) {
        review_free(review);
        return;
    }
    if (*answer->guest)
        fleet_take_answer(fleet, answer->guest, answer);
    if (review->again)
        fleet_due(fleet, g_get_monotonic_time() + AGAIN_US);
    else
        review_free(review);
    searches_go_on(fleet);
}

static void ask_file(FsFileReview *review)
{
    FsFleet *fleet = review->fleet;
    FsQuestion question = fs_question(FS_ASK_FILE, review->name);

    review->again = false;
    review->number = ++fleet->last_file;
    review->in_asked.data = review;
    g_queue_push_tail_link(&fleet->files_asked, &review->in_asked);
    fs_source_ask(fleet->source, &question, NULL, 0, on_file, review);
}

void fleet_ask_file(FsFleet *fleet, const char *file)
{
    FsFileReview *review = g_hash_table_lookup(fleet->files, file);
    size_t size = strlen(file) + 1;

    if (review) {
        review->again = true;
        return;
    }
    if (size > FS_QUESTION_FILE || g_hash_table_size(fleet->files) >= FILES_MAX) {
        fleet_list_is_stale(fleet);
        return;
    }
    review = g_malloc0(sizeof(*review) + size);
    review->fleet = fleet;
    memcpy(review->name, file, size);
    g_hash_table_insert(fleet->files, review->name, review);
    ask_file(review);
}

/* Those that changed while they were asked about; `name` NULL: all, else what may mean it. */
static void ask_files_again(FsFleet *fleet, const char *name)
{
    GHashTableIter iter;
    void *value;

    g_hash_table_iter_init(&iter, fleet->files);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        FsFileReview *review = value;
        if (review->again && review->number == 0 && (!name || g_str_has_prefix(review->name, name)))
            ask_file(review);
    }
}

/* Searches */

static void search_free(FsSearch *search)
{
    g_queue_unlink(&search->fleet->searches, &search->in_fleet);
    g_free(search->name);
    g_free(search);
}

static void search_end(FsSearch *search, int error)
{
    FsContinue go_on = search->go_on;
    void *data = search->data;

    search_free(search);
    go_on(NULL, error, data);
}

/* No question from before it that may mean what it looks for is unanswered. */
static bool files_answered(const FsFleet *fleet, const char *name, uint64_t last_file)
{
    for (GList *link = fleet->files_asked.head; link; link = link->next) {
        const FsFileReview *review = link->data;

        if (review->number > last_file)
            return true;
        if (!name || g_str_has_prefix(review->name, name))
            return false;
    }
    return true;
}

static bool source_known(const FsSearch *search)
{
    const FsFleet *fleet = search->fleet;

    return fleet->listed && (search->name || search->any_list || !fleet->listing);
}

static void on_looked_up(const FsAnswer *answer, int fds[FS_QUESTION_FDS], void *data)
{
    FsFleet *fleet = data;

    if (answer->error == -ECANCELED)
        return;
    if (*answer->guest || fleet->source->facts.is_store)
        fleet_take_answer(fleet, answer->guest, answer);
    for (GList *link = fleet->searches.head; link; link = link->next) {
        FsSearch *search = link->data;
        if (search->looking && strcmp(search->name, answer->guest) == 0)
            search->looked = true;
    }
    searches_go_on(fleet);
}

static void look_up(FsSearch *search)
{
    FsQuestion question = fs_question(FS_ASK_LOOK, search->name);

    search->looking = true;
    fs_source_ask(search->fleet->source, &question, NULL, 0, on_looked_up, search->fleet);
}

/* Who sees that a guest is gone finds what it left. */
static bool list_go_on(FsSearch *search)
{
    if (!search->leaving)
        search->leaves = search->fleet->leaves_asked;
    search->leaving = true;
    if ((int32_t)(search->fleet->leaves_done - search->leaves) < 0)
        return false;
    search_end(search, 0);
    return true;
}

/* true: it was ended. */
static bool search_go_on(FsSearch *search)
{
    FsFleet *fleet = search->fleet;
    FsGuest *guest;

    if (!source_known(search) || !files_answered(fleet, search->name, search->last_file))
        return false;
    if (!search->name)
        return list_go_on(search);
    guest = fleet_guest(fleet, search->name);
    if (!guest && !search->looked) {
        if (!search->looking)
            look_up(search);
        return false;
    }
    if (!guest) {
        search_end(search, ENOENT);
        return true;
    }
    FsContinue go_on = search->go_on;
    void *data = search->data, *request = search->request;
    search_free(search);
    fs_guest_need(guest, FS_NEED_LOOK | FS_NEED_SOCKET, request, go_on, data);
    return true;
}

void searches_go_on(FsFleet *fleet)
{
    for (GList *link = fleet->searches.head, *next; link; link = next) {
        next = link->next;
        search_go_on(link->data);
    }
}

static void list_again(FsFleet *fleet, int64_t now)
{
    if (now - fleet->listed_at >= LIST_AGAIN_US)
        fleet_ask_list(fleet);
    else
        fleet_due(fleet, fleet->listed_at + LIST_AGAIN_US);
}

static void search_begin(FsFleet *fleet, const char *name, bool any_list, void *request,
                         FsContinue go_on, void *data)
{
    FsSearch *search;

    if (fleet->lost) {
        go_on(NULL, EIO, data);
        return;
    }
    if (g_hash_table_size(fleet->files) > fleet->files_asked.length)
        ask_files_again(fleet, name);
    if (!name && fleet->list_stale) {
        list_again(fleet, g_get_monotonic_time());
        any_list = false;
    }
    search = g_new0(FsSearch, 1);
    search->fleet = fleet;
    search->name = g_strdup(name);
    search->any_list = any_list;
    search->request = request;
    search->go_on = go_on;
    search->data = data;
    search->last_file = fleet->last_file;
    search->in_fleet.data = search;
    search->deadline = g_get_monotonic_time() + CALL_DEADLINE_US;
    g_queue_push_tail_link(&fleet->searches, &search->in_fleet);
    if (!search_go_on(search))
        fleet_due(fleet, search->deadline);
}

void fs_fleet_find(FsFleet *fleet, const char *name, void *request, FsContinue go_on, void *data)
{
    if (strlen(name) > UV_GUEST_NAME_MAX || (name[0] == '.' && !fleet->source->facts.any_name))
        go_on(NULL, ENOENT, data);
    else
        search_begin(fleet, name, true, request, go_on, data);
}

bool fs_fleet_has_many(const FsFleet *fleet)
{
    return fleet->guests->len >= MANY && !fs_fleet_is_shared(fleet);
}

void fs_fleet_need_list(FsFleet *fleet, bool looks, void *request, FsContinue go_on, void *data)
{
    const int64_t age_us = g_get_monotonic_time() - fleet->listed_at;
    const bool any = !looks && fs_fleet_has_many(fleet);

    if (fleet->listed && age_us >= (any ? NAMES_US : looks ? SHOWN_US : SHOWN_US / 2))
        fleet_ask_list(fleet);
    search_begin(fleet, NULL, any, request, go_on, data);
}

void searches_tick(FsFleet *fleet, int64_t now)
{
    if (fleet->list_stale)
        list_again(fleet, now);
    ask_files_again(fleet, NULL);
    while (fleet->searches.head && ((FsSearch *)fleet->searches.head->data)->deadline <= now)
        search_end(fleet->searches.head->data, EIO);
    if (fleet->searches.head)
        fleet_due(fleet, ((FsSearch *)fleet->searches.head->data)->deadline);
}

bool searches_interrupt(FsFleet *fleet, const void *request)
{
    for (GList *link = fleet->searches.head; link; link = link->next)
        if (((FsSearch *)link->data)->request == request) {
            search_end(link->data, EINTR);
            return true;
        }
    return false;
}

void searches_stop(FsFleet *fleet)
{
    while (fleet->searches.head)
        search_end(fleet->searches.head->data, EIO);
}

/* mkdir */

typedef struct {
    FsFleet *fleet;
    FsContinue go_on;
    void *data;
} Making;

static void on_made(const FsAnswer *answer, int fds[FS_QUESTION_FDS], void *data)
{
    g_autofree Making *making = data;
    FsGuest *guest = NULL;

    if (answer->error == 0)
        guest = fleet_take_look(making->fleet, answer->guest, 0, &answer->look);
    making->go_on(guest, guest ? 0 : answer->error ? -answer->error : EIO, making->data);
}

void fs_fleet_make_guest(FsFleet *fleet, const char *name, FsContinue go_on, void *data)
{
    FsQuestion question = fs_question(FS_ASK_MAKE, name);
    Making *making;

    if (fleet->source->facts.is_store || fleet->options->read_only) {
        go_on(NULL, fleet->source->facts.is_store ? EPERM : EROFS, data);
        return;
    }
    if (strlen(name) > UV_GUEST_NAME_MAX) {
        go_on(NULL, ENAMETOOLONG, data);
        return;
    }
    if (fleet_guest(fleet, name)) {
        go_on(NULL, EEXIST, data);
        return;
    }
    making = g_new(Making, 1);
    *making = (Making){fleet, go_on, data};
    fs_source_ask(fleet->source, &question, NULL, 0, on_made, making);
}
