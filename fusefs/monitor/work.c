/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * What takes longer than a turn is done by a child, and answered when it ends or its time is over:
 * making a store (uefivars-make, as the owner of the folder) and asking /proc who has a store open.
 */

#include "monitor-private.h"

#include "fd.h"
#include "filelock.h"
#include "rights.h"
#include "texts.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define WORKS_MAX 8
#define MAKING_S 120
#define HOLDER_S 2

typedef struct {
    FsMonitor *monitor;
    FsQuestion question;
    int template_fd, pin_fd;
    int pidfd, output_fd; /* what it says, up to a pipe's capacity */
    FsWatch end;
    GSource *deadline;
    bool running;
} FsWork;

static void start_next(FsMonitor *monitor);

static void work_free(FsWork *work)
{
    fs_watch_remove(&work->end);
    if (work->deadline) {
        g_source_destroy(work->deadline);
        g_source_unref(work->deadline);
    }
    uv_fd_clear(&work->template_fd);
    uv_fd_clear(&work->pin_fd);
    uv_fd_clear(&work->pidfd);
    uv_fd_clear(&work->output_fd);
    g_free(work);
}

static FsWork *work_new(FsMonitor *monitor, const FsQuestion *question)
{
    FsWork *work = g_new0(FsWork, 1);

    work->monitor = monitor;
    work->question = *question;
    work->template_fd = work->pin_fd = work->pidfd = work->output_fd = -1;
    g_queue_push_tail(&monitor->works, work);
    monitor->deferred++;
    return work;
}

static void finish(FsWork *work, int error, const char *text)
{
    FsMonitor *monitor = work->monitor;
    FsAnswer answer = {.kind = FS_TELL_ANSWER, .id = work->question.id, .error = error};

    if (text)
        g_strlcpy(answer.text, text, sizeof(answer.text));
    g_queue_remove(&monitor->works, work);
    work_free(work);
    monitor->deferred--;
    monitor_tell(monitor, &answer, NULL, 0);
    start_next(monitor);
}

/* Its status is an errno; a child that was killed had its time. */
static void on_end(void *data, uint32_t events)
{
    FsWork *work = data;
    char text[FS_QUESTION_TEXT] = "";
    siginfo_t info = {0};
    ssize_t size;

    if (waitid(P_PIDFD, (id_t)work->pidfd, &info, WEXITED | WNOHANG) < 0 || info.si_pid == 0)
        return;
    size = read(work->output_fd, text, sizeof(text) - 1);
    text[MAX(size, 0)] = '\0';
    if (info.si_code != CLD_EXITED)
        finish(work, -ETIMEDOUT, "it took too long");
    else
        finish(work, info.si_status ? -info.si_status : 0, text);
}

static gboolean on_deadline(void *data)
{
    const FsWork *work = data;

    syscall(SYS_pidfd_send_signal, work->pidfd, SIGKILL, NULL, 0);
    return G_SOURCE_REMOVE;
}

static void watch(FsWork *work, unsigned seconds)
{
    work->running = true;
    fs_watch_add(&work->end, work->monitor->poll, work->pidfd, EPOLLIN, on_end, work);
    work->deadline = g_timeout_source_new_seconds(seconds);
    g_source_set_callback(work->deadline, on_deadline, work, NULL);
    g_source_attach(work->deadline, NULL);
}

/* The read end; the other is -errno on failure. */
static int open_pipe(FsWork *work)
{
    int ends[2];

    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0)
        return -errno;
    work->output_fd = ends[0];
    return ends[1];
}

/* Stores */

static const char *const formats[FS_FORMATS] = {
    [FS_FORMAT_JSON] = "json", [FS_FORMAT_FLASH] = "raw", [FS_FORMAT_QCOW2] = "qcow2"};

static int given_or_null(int *fd)
{
    int taken = *fd >= 0 ? uv_fd_steal(fd) : open("/dev/null", O_RDONLY | O_CLOEXEC);

    return taken < 0 ? -errno : taken;
}

/* In a guest's own folder the store's name says what it is; elsewhere the guest's name decided. */
static const char *store_name(const FsPlace *place, FsFormat format)
{
    if (place->rule != FS_RULE_FOLDER || place->linked)
        return place->store;
    return format == FS_FORMAT_JSON ? "vars.json" : "vars.fd";
}

/* The option that names a store of another kind, which the new one replaces; NULL: there is none.
 */
static char *other_store(const FsPlace *place, const FsQuestion *question)
{
    fs_rights_scope rights = fs_rights_take_of(place->folder_fd);
    struct stat st;

    if (!(question->flags & FS_MAKE_REPLACE) ||
        strcmp(place->store, store_name(place, question->format)) == 0 ||
        fstatat(place->folder_fd, place->store, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return NULL;
    return g_strconcat("--instead-of=", place->store, NULL);
}

/* Nothing is made in the place of somebody else's store. */
static int check_owner(const FsPlace *place, struct stat *ret_folder)
{
    fs_rights_scope rights = fs_rights_take_of(place->folder_fd);
    struct stat st;

    if (fstat(place->folder_fd, ret_folder) < 0)
        return -errno;
    if (fstatat(place->folder_fd, place->store, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return 0;
    return geteuid() != 0 || st.st_uid == ret_folder->st_uid ? 0 : -EPERM;
}

static int open_folder(const FsPlace *place)
{
    fs_rights_scope rights = fs_rights_take_of(place->folder_fd);
    int fd = openat(place->folder_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    return fd < 0 ? -errno : fd;
}

static int start_making(FsWork *work)
{
    const FsQuestion *question = &work->question;
    g_auto(FsPlace) place = {.base_fd = -1, .folder_fd = -1};
    struct stat folder;
    pid_t pid;
    int result = fs_place_open(work->monitor->source, question->guest, &place);

    if (result == 0)
        result = check_owner(&place, &folder);
    if (result < 0)
        return result;
    g_autofree char *store = g_strconcat("--store=", store_name(&place, question->format), NULL);
    g_autofree char *from = g_strconcat("--from=", formats[question->from], NULL);
    g_autofree char *format = g_strconcat("--format=", formats[question->format], NULL);
    g_autofree char *instead = other_store(&place, question);
    char name[] = "uefivars-make", replace[] = "--replace";
    char *argv[7] = {name, store, format};
    size_t n = 3;
    if (!(question->flags & FS_MAKE_EMPTY))
        argv[n++] = from;
    if (question->flags & FS_MAKE_REPLACE)
        argv[n++] = replace;
    if (instead)
        argv[n++] = instead;
    FsProgram program = {
        .path = work->monitor->options->maker,
        .argv = argv,
        .uid = folder.st_uid,
        .gid = folder.st_gid,
        .fds = {open_folder(&place), fs_place_make_sidecars(&place),
                given_or_null(&work->template_fd), given_or_null(&work->pin_fd), open_pipe(work)},
        .n_fds = 5,
    };
    result = monitor_execute(&program, &pid, &work->pidfd);
    if (result == 0)
        watch(work, MAKING_S);
    return result;
}

static bool is_making(const FsMonitor *monitor, const char *guest)
{
    for (const GList *link = monitor->works.head; link; link = link->next) {
        const FsWork *work = link->data;
        if (work->running && work->question.kind == FS_ASK_INSTANTIATE &&
            strcmp(work->question.guest, guest) == 0)
            return true;
    }
    return false;
}

/* One that waits and may start now. */
static void start_next(FsMonitor *monitor)
{
    for (GList *link = monitor->works.head; link && !monitor->unmounted; link = link->next) {
        FsWork *work = link->data;
        if (work->running || is_making(monitor, work->question.guest))
            continue;
        int result = start_making(work);
        if (result < 0)
            finish(work, result, g_strerror(-result)); /* comes here again */
        return;
    }
}

void monitor_make_store(FsMonitor *monitor, const FsQuestion *question, int fds[FS_QUESTION_FDS])
{
    const bool empty = question->flags & FS_MAKE_EMPTY;
    uint64_t size;
    int *pin = empty ? &fds[0] : &fds[1];

    if (monitor->works.length >= WORKS_MAX || (!empty && fds[0] < 0) ||
        (*pin >= 0 && fs_beside_check_sealed(*pin, FS_PIN_BYTES_MAX, &size) < 0)) {
        monitor_answer(monitor, question->id,
                       monitor->works.length >= WORKS_MAX ? -EBUSY : -EINVAL);
        return;
    }
    FsWork *work = work_new(monitor, question);
    work->template_fd = empty ? -1 : uv_fd_steal(&fds[0]);
    work->pin_fd = uv_fd_steal(pin);
    start_next(monitor);
}

/* Who has it open */

static G_GNUC_NORETURN void tell_holder(int output, const char *path, pid_t engine)
{
    g_autofree char *text = uv_filelock_who(path, engine);

    if (text && write(output, text, MIN(strlen(text), FS_QUESTION_TEXT - 1)) < 0)
        _exit(EIO);
    _exit(0);
}

void monitor_tell_holder(FsMonitor *monitor, const FsQuestion *question)
{
    g_auto(FsPlace) place = {.base_fd = -1, .folder_fd = -1};
    const FsGuestState *guest = monitor_find_guest(monitor, question->guest);
    int result = fs_place_open(monitor->source, question->guest, &place);

    if (result < 0 || monitor->works.length >= WORKS_MAX) {
        monitor_answer(monitor, question->id, result < 0 ? result : -EBUSY);
        return;
    }
    g_autofree char *path = fs_place_real_path(&place);
    FsWork *work = work_new(monitor, question);
    work->running = true;
    uv_autofd int output = open_pipe(work);
    const pid_t pid = output < 0 ? -1 : fork();
    if (pid == 0)
        tell_holder(output, path, guest ? guest->pid : 0);
    work->pidfd = pid < 0 ? -1 : (int)syscall(SYS_pidfd_open, pid, 0);
    if (work->pidfd < 0)
        finish(work, -errno, NULL);
    else
        watch(work, HOLDER_S);
}

void monitor_end_works(FsMonitor *monitor)
{
    FsWork *work;

    while ((work = g_queue_pop_head(&monitor->works))) {
        if (work->pidfd >= 0)
            on_deadline(work);
        work_free(work);
    }
}
