/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * The monitor's questions. What one says is checked already (its texts end, its numbers are in
 * their ranges); that a name is a guest's is for each to find out.
 *
 * A question has up to three steps: `first` is what the broker knows; `files` is what files say,
 * in a child where that may take its time (files.c, work.c); `then` is what follows of it.
 */

#include "broker-private.h"

#include <errno.h>

static int first_look(FsJob *job)
{
    if (*job->question->guest)
        broker_watch_folder(job->broker, job->question->guest);
    return BROKER_GO_ON;
}

/* Something happened to it: it may be another folder now. */
static int first_file(FsJob *job)
{
    broker_forget_folder(job->broker, job->question->guest);
    return first_look(job);
}

static int first_instantiate(FsJob *job)
{
    if (!job->broker->local->is_domains)
        return BROKER_GO_ON;
    g_strlcpy(job->answer.text, FS_PLACE_NOT_STARTED, sizeof(job->answer.text));
    return -EROFS;
}

static void then_make(FsJob *job)
{
    broker_watch_folder(job->broker, job->question->guest);
}

static int first_ready(FsJob *job)
{
    if (job->broker->options->ready)
        job->broker->options->ready();
    return 0;
}

/* A clean end. */
static int first_unmount(FsJob *job)
{
    job->broker->unmounted = true;
    return 0;
}

/* How its engine is to be started. */
static void then_start(FsJob *job)
{
    if (broker_domain_is_saved(job->broker, job->question->guest))
        job->answer.look.flags |= FS_LOOK_SAVED;
}

/* Bits of a row. */
#define WRITES 1 /* refused on a read-only mount */
#define SLOW 2   /* always done by a child, one after the other for each guest */
#define EDITS 4  /* only of a folder's guests */
#define FAR 8    /* whatever SOURCE is: likely in another file system */

static const struct {
    int (*first)(FsJob *job);
    FsFilesWork files;
    void (*then)(FsJob *job);
    uint8_t bits, least_fds, most_fds;
} table[FS_ASKS] = {
    [FS_ASK_LIST] = {.first = broker_list},
    [FS_ASK_LOOK] = {.first = first_look, .files = broker_look},
    [FS_ASK_FILE] = {.first = first_file, .files = broker_file},
    [FS_ASK_FOLLOW] = {.first = broker_follow},
    [FS_ASK_READ] = {.files = broker_read},
    [FS_ASK_WRITE] = {.files = broker_write, .bits = WRITES | SLOW, .least_fds = 1, .most_fds = 1},
    [FS_ASK_MAKE] = {.files = broker_make, .then = then_make, .bits = WRITES | SLOW | EDITS},
    [FS_ASK_REMOVE] = {.files = broker_remove, .bits = WRITES | SLOW | EDITS},
    [FS_ASK_RENAME] = {.files = broker_rename, .bits = WRITES | SLOW | EDITS},
    [FS_ASK_SET_ASIDE] = {.files = broker_set_aside, .bits = WRITES | SLOW},
    [FS_ASK_INSTANTIATE] = {.first = first_instantiate,
                            .files = broker_instantiate,
                            .bits = WRITES | SLOW,
                            .most_fds = 2},
    [FS_ASK_IMAGE] = {.files = broker_image},
    [FS_ASK_HOLDER] = {.files = broker_holder, .bits = SLOW},
    [FS_ASK_START] = {.files = broker_start, .then = then_start},
    [FS_ASK_CLEAN] = {.files = broker_clean},
    [FS_ASK_LISTEN] = {.files = broker_listen},
    [FS_ASK_WATCH] = {.files = broker_listen},
    [FS_ASK_UNMOUNT] = {.first = first_unmount},
    [FS_ASK_READY] = {.first = first_ready},
    [FS_ASK_LOOKS] = {.files = broker_looks},
    [FS_ASK_DOMAINS] = {.first = broker_domains_take, .most_fds = 1},
    [FS_ASK_CLEAR] = {.files = broker_domain_clear, .bits = WRITES | SLOW | FAR},
};

static int ask(FsJob *job)
{
    const FsAsk kind = job->question->kind;
    const FsLocal *local = job->broker->local;
    const size_t n_fds = fs_packet_count(job->fds);
    int result = BROKER_GO_ON;

    if (n_fds < table[kind].least_fds || n_fds > table[kind].most_fds)
        return -EINVAL;
    if (table[kind].bits & WRITES && job->broker->options->read_only)
        return -EROFS;
    if (table[kind].bits & EDITS && (local->store || local->is_domains))
        return -EPERM;
    if (table[kind].first)
        result = table[kind].first(job);
    if (result != BROKER_GO_ON)
        return result;
    if (!table[kind].files)
        return -EINVAL; /* the monitor's own */
    /* What is kept lazily is written at once, where there is a folder for it. */
    const bool slow =
        table[kind].bits & SLOW && !(kind == FS_ASK_WRITE && job->question->text == FS_TEXT_HINT);
    result = slow ? 0 : table[kind].files(job);
    const bool far = table[kind].bits & FAR || (slow ? broker_is_far(job) : result == -EXDEV);
    if (slow || far) {
        fs_packet_close(job->answer_fds);
        result = broker_work(job, table[kind].files, slow, far);
        return result == 0 ? BROKER_LATER : result;
    }
    return result;
}

void broker_conclude(FsJob *job, int result)
{
    if (result == 0 && table[job->question->kind].then)
        table[job->question->kind].then(job);
    job->answer.error = result;
    broker_tell(job->broker, &job->answer, job->answer_fds, fs_packet_count(job->answer_fds));
    fs_packet_close(job->answer_fds);
}

void broker_ask(FsBroker *broker, const FsQuestion *question, int fds[FS_QUESTION_FDS])
{
    FsJob job = broker_job(broker, question, fds);
    const int result = ask(&job);

    fs_packet_close(fds);
    if (result != BROKER_LATER)
        broker_conclude(&job, result);
}
