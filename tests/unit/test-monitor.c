/* SPDX-License-Identifier: GPL-2.0-or-later */

/* The monitor's answers, asked as a front asks. */

#include "monitorfixture.h"
#include "told.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static void set_up(MonitorFixture *f, const void *data)
{
    const MonitorFixtureOptions options = {
        .monitor.engine = g_getenv("UV_ENGINE"),
        .broker = {.engine_uid = (uid_t)-1, .keep_days = 30, .maker = g_getenv("UV_MAKER")},
    };

    monitor_fixture_set_up(f);
    monitor_fixture_put(f, "a.json", "{\"version\": 2, \"variables\": []}");
    monitor_fixture_put(f, "b/config.json", "{}");
    monitor_fixture_put(f, "b_VARS.fd", "");
    monitor_fixture_put(f, "empty/other", "");
    monitor_fixture_put(f, ".hidden.json", "");
    monitor_fixture_start(f, &options);
}

static void tear_down(MonitorFixture *f, const void *data)
{
    monitor_fixture_tear_down(f);
}

static const FsAnswer *find_told(const MonitorFixture *f, FsTell kind, const char *guest)
{
    for (guint i = 0; i < f->told->len; i++) {
        const FsAnswer *told = &g_array_index(f->told, FsAnswer, i);
        if (told->kind == kind && strcmp(told->guest, guest) == 0)
            return told;
    }
    return NULL;
}

static unsigned count_told(const MonitorFixture *f, FsTell kind)
{
    unsigned n = 0;

    for (guint i = 0; i < f->told->len; i++)
        n += g_array_index(f->told, FsAnswer, i).kind == kind;
    return n;
}

static void test_list(MonitorFixture *f, const void *data)
{
    g_assert_cmpint(monitor_fixture_ask(f, FS_ASK_LIST, ""), ==, 0);
    g_assert_cmpuint(count_told(f, FS_TELL_GUESTS), ==, 2);
    const FsAnswer *a = find_told(f, FS_TELL_GUESTS, "a");
    g_assert_nonnull(a);
    g_assert_cmpstr(a->look.file, ==, "a.json");
    g_assert_cmpuint(a->look.flags, ==, FS_LOOK_STORE | FS_LOOK_BRIEF);
    g_assert_cmpuint(a->look.size_bytes, ==, 31);
    g_assert_cmpuint(a->look.store.word[2], ==, 31);
    const FsAnswer *b = find_told(f, FS_TELL_GUESTS, "b");
    g_assert_cmpuint(b->look.flags, ==, FS_LOOK_FOLDER | FS_LOOK_BRIEF);
}

/* Many at once, as each of them alone; who needs more is left out. */
static void test_looks(MonitorFixture *f, const void *data)
{
    FsQuestion question = {.kind = FS_ASK_LOOKS, .path = "none/a/../b//c/"};
    FsTold told[4] = {0};

    monitor_fixture_put(f, "c.fd", "");
    g_assert_cmpint(monitor_fixture_send(f, question, NULL, 0), ==, 0);
    g_assert_cmpint(f->answer.number, ==, 0); /* nothing is watched yet */
    g_assert_cmpint(monitor_fixture_ask(f, FS_ASK_FOLLOW, ""), ==, 0);
    g_assert_cmpint(monitor_fixture_send(f, question, NULL, 0), ==, 0);
    g_assert_cmpint(f->answer.number, ==, 2); /* b shadows another */
    g_assert_cmpuint(fs_told_read(f->fds[0], told, 4), ==, 2);
    g_assert_cmpstr(told[0].guest, ==, "a");
    g_assert_cmpstr(told[1].guest, ==, "c");
    g_assert_cmpint(monitor_fixture_ask(f, FS_ASK_LOOK, "a"), ==, 0);
    g_assert_cmpmem(&told[0].look, sizeof(FsLook), &f->answer.look, sizeof(FsLook));
    memset(question.path, '/', sizeof(question.path) - 1); /* more than there may be */
    g_assert_cmpint(monitor_fixture_send(f, question, NULL, 0), ==, 0);
    g_assert_cmpint(f->answer.number, ==, 0);
}

/* What was told of a guest last. */
static const FsAnswer *last_told(const MonitorFixture *f)
{
    const guint n = f->told->len;

    return n > 0 ? &g_array_index(f->told, FsAnswer, n - 1) : NULL;
}

static void test_list_of_many(MonitorFixture *f, const void *data)
{
    for (int i = 0; i < 3000; i++) {
        g_autofree char *name = g_strdup_printf("many%d.json", i);
        monitor_fixture_put(f, name, "");
    }
    g_assert_cmpint(monitor_fixture_ask(f, FS_ASK_LIST, ""), ==, 0);
    g_assert_cmpuint(count_told(f, FS_TELL_GUESTS), ==, 3002);
    const char *before = "";
    for (guint i = 0; i < f->told->len; i++) {
        const FsAnswer *told = &g_array_index(f->told, FsAnswer, i);
        if (told->kind != FS_TELL_GUESTS)
            continue;
        g_assert_cmpint(strcmp(before, told->guest), <, 0);
        g_assert_true(told->look.flags & FS_LOOK_NAME);
        before = told->guest;
    }
    /* What one look tells follows, and is told at once the next time. */
    while (count_told(f, FS_TELL_GUESTS) < 2 * 3002)
        g_assert_cmpint(monitor_fixture_ask(f, FS_ASK_LOOK, "a"), ==, 0);
    g_assert_cmpstr(last_told(f)->guest, ==, "many999");
    g_assert_cmpuint(last_told(f)->look.flags, ==, FS_LOOK_STORE | FS_LOOK_BRIEF);
    g_assert_cmpint(monitor_fixture_ask(f, FS_ASK_LIST, ""), ==, 0);
    g_assert_cmpuint(count_told(f, FS_TELL_GUESTS), ==, 3 * 3002);
    g_assert_cmpuint(last_told(f)->look.flags, ==, FS_LOOK_STORE | FS_LOOK_BRIEF);
}

/* Also while the first list goes on. */
static void test_list_again(MonitorFixture *f, const void *data)
{
    for (int i = 0; i < 3000; i++) {
        g_autofree char *name = g_strdup_printf("many%d.json", i);
        monitor_fixture_put(f, name, "");
    }
    g_assert_cmpint(monitor_fixture_ask(f, FS_ASK_LIST, ""), ==, 0);
    g_assert_cmpint(monitor_fixture_ask(f, FS_ASK_LIST, ""), ==, 0);
    g_assert_cmpuint(last_told(f)->look.flags, ==, FS_LOOK_STORE | FS_LOOK_BRIEF);
    g_assert_cmpstr(last_told(f)->guest, ==, "many999");
}

static void test_look(MonitorFixture *f, const void *data)
{
    monitor_fixture_put(f, "a.config.json", "{}");
    g_assert_cmpint(monitor_fixture_ask(f, FS_ASK_LOOK, "a"), ==, 0);
    g_assert_cmpuint(f->answer.look.flags, ==, FS_LOOK_STORE | FS_LOOK_CONFIG);
    g_assert_cmpuint(f->answer.look.config.word[2], ==, 2);
    g_assert_cmpuint(f->answer.look.uid, ==, getuid());
    g_assert_cmpuint(f->answer.look.mode & S_IFMT, ==, S_IFREG);
    g_assert_cmpstr(f->answer.text, ==, "");
    g_assert_cmpint(monitor_fixture_ask(f, FS_ASK_LOOK, "b"), ==, 0);
    g_assert_cmpuint(f->answer.look.flags, ==, FS_LOOK_FOLDER | FS_LOOK_CONFIG);
    g_assert_cmpstr(f->answer.look.store_name, ==, "vars.json");
    g_assert_cmpstr(f->answer.text, ==, "b_VARS.fd");
    static const char *const none[] = {"c", "../source", "a/../a", ".hidden", "", "empty", "x\ny"};
    for (size_t i = 0; i < G_N_ELEMENTS(none); i++)
        g_assert_cmpint(monitor_fixture_ask(f, FS_ASK_LOOK, none[i]), ==, -ENOENT);
}

static void test_file(MonitorFixture *f, const void *data)
{
    static const struct {
        const char *file, *guest;
        int result;
    } cases[] = {
        {"a.json", "a", 0},         {"b", "b", 0},         {"a.config.json", "a", 0},
        {"c.json", "c", -ENOENT},   {"b_VARS.fd", "b", 0}, {".x.json", "", -ENOENT},
        {"../a.json", "", -ENOENT},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_assert_cmpint(monitor_fixture_ask(f, FS_ASK_FILE, cases[i].file), ==, cases[i].result);
        g_assert_cmpstr(f->answer.guest, ==, cases[i].guest);
    }
}

static void test_follow(MonitorFixture *f, const void *data)
{
    char buffer[4096] __attribute__((aligned(__alignof__(struct inotify_event))));
    FsAnswer told;

    g_assert_cmpint(monitor_fixture_ask(f, FS_ASK_LIST, ""), ==, 0);
    g_assert_cmpint(monitor_fixture_ask(f, FS_ASK_FOLLOW, ""), ==, 0);
    int fd = f->fds[0];
    f->fds[0] = -1;
    const int64_t source = find_told(f, FS_TELL_WATCH, "")->number;
    do
        g_assert_true(monitor_fixture_wait(f, FS_TELL_WATCH, &told));
    while (strcmp(told.guest, "empty") != 0);
    monitor_fixture_put(f, "empty/vars.json", "{}");
    const struct inotify_event *event = (const void *)buffer;
    g_assert_cmpint(read(fd, buffer, sizeof(buffer)), >, 0);
    g_assert_cmpint(event->wd, ==, told.number);
    g_assert_cmpint(monitor_fixture_ask(f, FS_ASK_FILE, "empty"), ==, 0);
    g_assert_cmpint(fcntl(fd, F_GETFL) & O_NONBLOCK, !=, 0);
    monitor_fixture_put(f, "new.json", "{}");
    g_assert_cmpint(read(fd, buffer, sizeof(buffer)), >, 0);
    g_assert_cmpint(((const struct inotify_event *)buffer)->wd, ==, source);
    g_assert_cmpint(monitor_fixture_ask(f, FS_ASK_LOOK, "new"), ==, 0);
    g_assert_cmpuint(f->answer.look.flags & FS_LOOK_WATCHED, !=, 0);
    close(fd);
}

static void read_back(MonitorFixture *f, FsText text, const char *guest, const char *expected)
{
    FsQuestion question = {.kind = FS_ASK_READ, .text = text};
    char found[256] = "";

    g_strlcpy(question.guest, guest, sizeof(question.guest));
    g_assert_cmpint(monitor_fixture_send(f, question, NULL, 0), ==, 0);
    g_assert_cmpint(read(f->fds[0], found, sizeof(found) - 1), >=, 0);
    g_assert_cmpstr(found, ==, expected);
}

static void test_texts(MonitorFixture *f, const void *data)
{
    static const char *const guests[] = {"a", "b"};

    for (size_t i = 0; i < G_N_ELEMENTS(guests); i++) {
        for (FsText text = 0; text < FS_TEXT_STORE; text++) {
            FsQuestion question = {.kind = FS_ASK_WRITE, .text = text};
            g_strlcpy(question.guest, guests[i], sizeof(question.guest));
            int fd = monitor_fixture_memfd("new text", true);
            g_assert_cmpint(monitor_fixture_send(f, question, &fd, 1), ==, 0);
            close(fd);
            read_back(f, text, guests[i], "new text");
        }
    }
    g_assert_true(monitor_fixture_has(f, "a.config.json"));
    g_assert_true(monitor_fixture_has(f, "b/config.json"));
    g_assert_true(monitor_fixture_has(f, ".uefivarsfs/a.json.pin"));
    g_assert_true(monitor_fixture_has(f, "b/.uefivarsfs/vars.json.export"));
    g_assert_cmpint(monitor_fixture_ask(f, FS_ASK_LOOK, "a"), ==, 0);
    g_assert_cmpuint(f->answer.look.flags, ==,
                     FS_LOOK_STORE | FS_LOOK_CONFIG | FS_LOOK_PIN | FS_LOOK_HINT);
}

static void test_texts_refused(MonitorFixture *f, const void *data)
{
    FsQuestion question = {.kind = FS_ASK_WRITE, .text = FS_TEXT_CONFIG, .guest = "a"};
    g_autofree char *large = g_strnfill(FS_CONFIG_BYTES_MAX + 1, ' ');
    g_autofree char *fifo = g_build_filename(f->source, "a.config.json", NULL);
    int open_fd = monitor_fixture_memfd("x", false), large_fd = monitor_fixture_memfd(large, true);
    int file = open("/dev/null", O_RDONLY);

    g_assert_cmpint(monitor_fixture_send(f, question, &open_fd, 1), ==, -EINVAL);
    g_assert_cmpint(monitor_fixture_send(f, question, &large_fd, 1), ==, -EFBIG);
    g_assert_cmpint(monitor_fixture_send(f, question, &file, 1), ==, -EINVAL);
    g_assert_cmpint(monitor_fixture_send(f, question, NULL, 0), ==, -EINVAL);
    int sealed = monitor_fixture_memfd("", true);
    for (question.text = FS_TEXT_STORE; question.text < FS_TEXTS; question.text++)
        g_assert_cmpint(monitor_fixture_send(f, question, &sealed, 1), ==, -EPERM);
    close(sealed);
    read_back(f, FS_TEXT_STORE, "a", "{\"version\": 2, \"variables\": []}");
    question.text = FS_TEXT_CONFIG;
    g_assert_false(monitor_fixture_has(f, "a.config.json"));
    question.kind = FS_ASK_READ;
    g_assert_cmpint(monitor_fixture_send(f, question, NULL, 0), ==, -ENOENT);
    g_assert_cmpint(mkfifo(fifo, 0600), ==, 0);
    g_assert_cmpint(monitor_fixture_send(f, question, NULL, 0), ==, -EINVAL);
    unlink(fifo);
    g_assert_cmpint(symlink("/etc/passwd", fifo), ==, 0);
    g_assert_cmpint(monitor_fixture_send(f, question, NULL, 0), ==, -EINVAL);
    close(open_fd);
    close(large_fd);
    close(file);
}

static void test_make_rename_remove(MonitorFixture *f, const void *data)
{
    FsQuestion rename = {.kind = FS_ASK_RENAME, .guest = "a", .to = "z"};

    g_assert_cmpint(monitor_fixture_ask(f, FS_ASK_MAKE, "new"), ==, 0);
    g_assert_cmpuint(f->answer.look.flags, ==, FS_LOOK_FOLDER | FS_LOOK_CONFIG);
    g_assert_true(monitor_fixture_has(f, "new/config.json"));
    g_assert_cmpint(monitor_fixture_ask(f, FS_ASK_MAKE, "new"), ==, -EEXIST);
    g_assert_cmpint(monitor_fixture_ask(f, FS_ASK_MAKE, "empty"), ==, -EEXIST);
    g_assert_cmpint(monitor_fixture_ask(f, FS_ASK_MAKE, "../new"), ==, -EINVAL);
    g_assert_cmpint(monitor_fixture_ask(f, FS_ASK_REMOVE, "new"), ==, 0);
    g_assert_false(monitor_fixture_has(f, "new"));
    g_assert_cmpint(monitor_fixture_ask(f, FS_ASK_REMOVE, "b"), ==, -ENOTEMPTY);
    monitor_fixture_put(f, "a.config.json", "{}");
    monitor_fixture_put(f, ".uefivarsfs/a.json.pin", "pin");
    g_assert_cmpint(monitor_fixture_send(f, rename, NULL, 0), ==, 0);
    g_assert_true(monitor_fixture_has(f, "z.json"));
    g_assert_true(monitor_fixture_has(f, "z.config.json"));
    g_assert_true(monitor_fixture_has(f, ".uefivarsfs/z.json.pin"));
    g_assert_false(monitor_fixture_has(f, "a.json"));
    g_assert_cmpint(monitor_fixture_send(f, rename, NULL, 0), ==, -EEXIST);
    g_assert_cmpint(monitor_fixture_ask(f, FS_ASK_REMOVE, "z"), ==, 0);
    g_assert_false(monitor_fixture_has(f, "z.json"));
    g_assert_false(monitor_fixture_has(f, ".uefivarsfs"));
}

static void test_set_aside(MonitorFixture *f, const void *data)
{
    FsQuestion question = {.kind = FS_ASK_SET_ASIDE, .guest = "gone", .to = "gone.json"};

    g_assert_cmpint(monitor_fixture_send(f, question, NULL, 0), ==, -ENOENT);
    monitor_fixture_put(f, ".uefivarsfs/gone.json.journal", "journal");
    g_assert_cmpint(monitor_fixture_send(f, question, NULL, 0), ==, 0);
    g_assert_true(g_file_test(f->answer.text, G_FILE_TEST_IS_REGULAR));
    g_assert_true(g_str_has_suffix(f->answer.text, ".uefivarsfs/gone.json.journal.conflict-1"));
    g_strlcpy(question.to, "a.json", sizeof(question.to));
    g_assert_cmpint(monitor_fixture_send(f, question, NULL, 0), ==, -EINVAL);
    /* What it tidies is of a guest's name, too. */
    monitor_fixture_put(f, "other.json.meta", "mine");
    g_strlcpy(question.guest, "../other", sizeof(question.guest));
    g_assert_cmpint(monitor_fixture_send(f, question, NULL, 0), ==, -EINVAL);
    g_assert_true(monitor_fixture_has(f, "other.json.meta"));
}

static int connect_to(const MonitorFixture *f, const char *guest)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    g_autofree char *hex = g_compute_checksum_for_string(G_CHECKSUM_SHA256, guest, -1);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    g_snprintf(address.sun_path, sizeof(address.sun_path), "%s/%.16s.sock", f->sockdir, hex);
    if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
        return fd;
    close(fd);
    return -1;
}

static void test_sockets(MonitorFixture *f, const void *data)
{
    FsAnswer told;

    g_assert_cmpint(connect_to(f, "a"), ==, -1);
    g_assert_cmpint(monitor_fixture_ask(f, FS_ASK_LISTEN, "a"), ==, 0);
    g_assert_cmpint(monitor_fixture_ask(f, FS_ASK_LISTEN, "a"), ==, 0);
    g_assert_cmpint(monitor_fixture_ask(f, FS_ASK_ACCEPT, "a"), ==, -EAGAIN);
    int fd = connect_to(f, "a");
    g_assert_cmpint(fd, >=, 0);
    g_assert_true(monitor_fixture_wait(f, FS_TELL_KNOCK, &told));
    g_assert_cmpstr(told.guest, ==, "a");
    g_assert_cmpint(monitor_fixture_ask(f, FS_ASK_ACCEPT, "a"), ==, 0);
    g_assert_cmpint(write(f->fds[0], "no", 2), ==, 2);
    char text[2];
    g_assert_cmpint(read(fd, text, 2), ==, 2);
    close(fd);
    /* Nobody is told of the next until it is asked for. */
    fd = connect_to(f, "a");
    g_assert_cmpint(monitor_fixture_ask(f, FS_ASK_LOOK, "a"), ==, 0);
    g_assert_cmpuint(count_told(f, FS_TELL_KNOCK), ==, 0);
    g_assert_cmpint(monitor_fixture_ask(f, FS_ASK_WATCH, "a"), ==, 0);
    g_assert_true(monitor_fixture_wait(f, FS_TELL_KNOCK, &told));
    close(fd);
    g_assert_cmpint(monitor_fixture_ask(f, FS_ASK_LISTEN, "none"), ==, -ENOENT);
    unlink("a.json");
}

static void test_engine(MonitorFixture *f, const void *data)
{
    if (!g_getenv("UV_ENGINE")) {
        g_test_skip("no engine");
        return;
    }
    g_assert_cmpint(monitor_fixture_ask(f, FS_ASK_CONNECT, "a"), ==, -ECONNREFUSED);
    g_assert_cmpint(monitor_fixture_ask(f, FS_ASK_START, "a"), ==, 0);
    g_assert_cmpint(f->answer.number, >, 0);
    struct pollfd end = {fcntl(f->fds[1], F_DUPFD_CLOEXEC, 0), POLLIN, 0};
    g_assert_cmpint(monitor_fixture_ask(f, FS_ASK_CONNECT, "a"), ==, 0);
    g_assert_cmpint(f->fds[1], >=, 0);
    g_assert_cmpint(monitor_fixture_ask(f, FS_ASK_CLEAN, "a"), ==, -EBUSY);
    const pid_t pid = (pid_t)f->answer.number;
    g_assert_cmpint(pid, ==, 0);
    g_assert_cmpint(monitor_fixture_ask(f, FS_ASK_KILL, "a"), ==, 0);
    g_assert_cmpint(poll(&end, 1, 5000), ==, 1);
    close(end.fd);
    g_assert_cmpint(monitor_fixture_ask(f, FS_ASK_CLEAN, "a"), ==, 0);
    g_assert_cmpstr(f->answer.text, ==, "");
    g_assert_cmpint(monitor_fixture_ask(f, FS_ASK_CONNECT, "a"), ==, -ECONNREFUSED);
}

/* A new engine waits for the end of the last one, which does not hear any more. */
static void test_engine_after_engine(MonitorFixture *f, const void *data)
{
    g_autofree char *hex = g_compute_checksum_for_string(G_CHECKSUM_SHA256, "a", -1);
    g_autofree char *host = g_strdup_printf("%s/%.16s.host", f->sockdir, hex);

    if (!g_getenv("UV_ENGINE")) {
        g_test_skip("no engine");
        return;
    }
    g_assert_cmpint(monitor_fixture_ask(f, FS_ASK_START, "a"), ==, 0);
    const pid_t first = (pid_t)f->answer.number;
    g_assert_cmpint(unlink(host), ==, 0);
    g_assert_cmpint(monitor_fixture_ask(f, FS_ASK_KILL, "a"), ==, 0);
    g_assert_cmpint(monitor_fixture_ask(f, FS_ASK_START, "a"), ==, 0);
    g_assert_cmpint(f->answer.number, !=, first);
    g_assert_cmpint(monitor_fixture_ask(f, FS_ASK_KILL, "a"), ==, 0);
}

/* Only one that stands still, and whose guest is no more. */
static void test_kill_of_stopped_engine(MonitorFixture *f, const void *data)
{
    FsQuestion question = {.kind = FS_ASK_KILL, .flags = FS_KILL_STOPPED, .guest = "a"};

    if (!g_getenv("UV_ENGINE")) {
        g_test_skip("no engine");
        return;
    }
    g_assert_cmpint(monitor_fixture_send(f, question, NULL, 0), ==, -ESRCH);
    g_assert_cmpint(monitor_fixture_ask(f, FS_ASK_START, "a"), ==, 0);
    const pid_t pid = (pid_t)f->answer.number;
    g_assert_cmpint(monitor_fixture_send(f, question, NULL, 0), ==, -EBUSY);
    g_assert_cmpint(kill(pid, SIGSTOP), ==, 0);
    question.process = (uint32_t)getpid();
    g_assert_cmpint(monitor_fixture_send(f, question, NULL, 0), ==, -EBUSY);
    question.process = UINT32_MAX; /* of which nobody knows anything */
    g_assert_cmpint(monitor_fixture_send(f, question, NULL, 0), ==, -EBUSY);
    g_assert_cmpint(kill(pid, SIGCONT), ==, 0);
    question.process = 0;
    g_assert_cmpint(monitor_fixture_send(f, question, NULL, 0), ==, -EBUSY);
    g_assert_cmpint(kill(pid, SIGSTOP), ==, 0);
    while (monitor_fixture_send(f, question, NULL, 0) == -EBUSY)
        g_usleep(1000); /* it is told to stop, and does so when it runs next */
    g_assert_cmpint(f->answer.error, ==, 0);
}

static void test_engine_with_bad_wish(MonitorFixture *f, const void *data)
{
    FsQuestion question = {.kind = FS_ASK_START, .guest = "a", .start = {.size_bytes = 17}};

    g_assert_cmpint(monitor_fixture_send(f, question, NULL, 0), ==, -EINVAL);
    g_assert_cmpstr(f->answer.text, !=, "");
}

static void test_store_of_no_file(MonitorFixture *f, const void *data)
{
    g_autofree char *fifo = g_build_filename(f->source, "b/vars.fd", NULL);

    g_assert_cmpint(mkfifo(fifo, 0600), ==, 0);
    g_assert_cmpint(monitor_fixture_ask(f, FS_ASK_START, "b"), ==, -EINVAL);
    g_assert_cmpstr(f->answer.text, ==, "the store is not a regular file");
    unlink(fifo);
    g_assert_cmpint(symlink("/etc/passwd", fifo), ==, 0);
    if (geteuid() == 0)
        g_assert_cmpint(lchown(fifo, 4242, 4242), ==, 0);
    if (geteuid() == 0)
        g_assert_cmpint(monitor_fixture_ask(f, FS_ASK_START, "b"), ==, -ELOOP);
}

static int put_template(const MonitorFixture *f, const char *text, size_t size)
{
    g_autofree char *path = g_build_filename(f->top, "template", NULL);

    g_assert_true(g_file_set_contents(path, text, (gssize)size, NULL));
    return open(path, O_RDONLY | O_CLOEXEC);
}

static char *read_file(const MonitorFixture *f, const char *name, size_t *ret_size)
{
    g_autofree char *path = g_build_filename(f->source, name, NULL);
    char *text = NULL;

    g_assert_true(g_file_get_contents(path, &text, ret_size, NULL));
    return text;
}

static void test_make_empty_store(MonitorFixture *f, const void *data)
{
    FsQuestion question = {.kind = FS_ASK_INSTANTIATE, .flags = FS_MAKE_EMPTY, .guest = "b"};
    int pin = monitor_fixture_memfd("the pin", true), open_pin = monitor_fixture_memfd("", false);
    size_t size;

    g_assert_cmpint(monitor_fixture_send(f, question, &open_pin, 1), ==, -EINVAL);
    g_assert_cmpint(monitor_fixture_send(f, question, &pin, 1), ==, 0);
    g_autofree char *text = read_file(f, "b/vars.json", &size);
    g_assert_nonnull(strstr(text, "\"version\": 2"));
    read_back(f, FS_TEXT_PIN, "b", "the pin");
    g_assert_false(monitor_fixture_has(f, "b/.uefivarsfs/vars.json.new"));
    g_assert_cmpint(monitor_fixture_send(f, question, NULL, 0), ==, -EEXIST);
    g_assert_nonnull(strstr(f->answer.text, "vars.json: can't make the store"));
    question.flags |= FS_MAKE_REPLACE;
    g_assert_cmpint(monitor_fixture_send(f, question, NULL, 0), ==, 0);
    g_assert_true(monitor_fixture_has(f, "b/.uefivarsfs/vars.json.before-load"));
    close(pin);
    close(open_pin);
}

static void test_make_copy(MonitorFixture *f, const void *data)
{
    FsQuestion question = {.kind = FS_ASK_INSTANTIATE,
                           .guest = "b",
                           .from = FS_FORMAT_FLASH,
                           .format = FS_FORMAT_FLASH};
    g_autofree char *image = g_malloc0(1 << 20);
    struct stat st;
    size_t size;

    image[4096] = image[(1 << 20) - 1] = 'x';
    int template = put_template(f, image, 1 << 20);
    g_assert_cmpint(monitor_fixture_send(f, question, &template, 1), ==, 0);
    close(template);
    g_autofree char *made = read_file(f, "b/vars.fd", &size);
    g_assert_cmpmem(made, size, image, 1 << 20);
    g_autofree char *path = g_build_filename(f->source, "b/vars.fd", NULL);
    g_assert_cmpint(stat(path, &st), ==, 0);
    g_assert_cmpuint(st.st_mode & 07777, ==, 0600);
    question.from = FS_FORMAT_JSON;
    template = put_template(f, "{}", 2);
    g_assert_cmpint(monitor_fixture_send(f, question, &template, 1), <, 0);
    g_assert_cmpint(monitor_fixture_send(f, question, NULL, 0), ==, -EINVAL);
    close(template);
}

/* A qcow2 file is converted without what its header names. */
static void test_make_converted(MonitorFixture *f, const void *data)
{
    FsQuestion question = {.kind = FS_ASK_INSTANTIATE,
                           .guest = "b",
                           .from = FS_FORMAT_QCOW2,
                           .format = FS_FORMAT_FLASH};
    g_autofree char *program = g_find_program_in_path("qemu-img");
    g_autofree char *secret = g_build_filename(f->top, "secret", NULL);
    g_autofree char *path = g_build_filename(f->top, "image", NULL);
    size_t size;

    if (!program) {
        g_test_skip("qemu-img is not installed");
        return;
    }
    g_autofree char *text = g_strnfill(65536, 's');
    g_assert_true(g_file_set_contents(secret, text, 65536, NULL));
    g_assert_cmpint(chmod(secret, 0644), ==, 0);
    g_autofree char *command =
        g_strdup_printf("qemu-img create -q -f qcow2 -b %s -F raw %s", secret, path);
    g_assert_cmpint(system(command), ==, 0);
    int template = open(path, O_RDONLY | O_CLOEXEC);
    g_assert_cmpint(monitor_fixture_send(f, question, &template, 1), ==, 0);
    g_autofree char *made = read_file(f, "b/vars.fd", &size);
    g_assert_cmpuint(size, ==, 65536);
    g_assert_null(memchr(made, 's', size));
    close(template);
}

static void test_image(MonitorFixture *f, const void *data)
{
    FsQuestion question = {.kind = FS_ASK_IMAGE, .path = "/etc/passwd"};

    g_assert_cmpint(monitor_fixture_send(f, question, NULL, 0), ==, 0);
    g_assert_cmpint(f->fds[0], >=, 0);
    static const char *const refused[] = {"/dev/null", "/etc", "etc/passwd", "/nowhere"};
    for (size_t i = 0; i < G_N_ELEMENTS(refused); i++) {
        g_strlcpy(question.path, refused[i], sizeof(question.path));
        g_assert_cmpint(monitor_fixture_send(f, question, NULL, 0), <, 0);
    }
}

static void test_name(MonitorFixture *f, const void *data)
{
    FsQuestion question = {.kind = FS_ASK_NAME, .process = (uint32_t)getpid()};

    char name[32] = "";

    g_assert_cmpint(monitor_fixture_send(f, question, NULL, 0), ==, 0);
    g_assert_cmpint(pread(f->fds[0], name, sizeof(name) - 1, 0), >, 0);
    g_assert_cmpstr(name, ==, "test-monitor\n");
    question.process = UINT32_MAX;
    g_assert_cmpint(monitor_fixture_send(f, question, NULL, 0), ==, -ENOENT);
    g_assert_cmpint(f->fds[0], ==, -1);
}

static void test_holder(MonitorFixture *f, const void *data)
{
    g_autofree char *path = g_build_filename(f->source, "a.json", NULL);
    int fd = open(path, O_RDONLY);

    g_assert_cmpint(monitor_fixture_ask(f, FS_ASK_HOLDER, "a"), ==, 0);
    g_autofree char *me = g_strdup_printf("test-monitor (pid %d)", getpid());
    g_assert_nonnull(strstr(f->answer.text, me));
    close(fd);
    g_assert_cmpint(monitor_fixture_ask(f, FS_ASK_HOLDER, "a"), ==, 0);
    g_assert_cmpstr(f->answer.text, ==, "");
}

/* What no front says ends it, and it leaves nothing behind. */
static void test_nonsense_ends_it(MonitorFixture *f, const void *data)
{
    g_assert_cmpint(monitor_fixture_ask(f, FS_ASK_LISTEN, "a"), ==, 0);
    g_assert_cmpint(send(f->link, "nonsense", 8, 0), ==, 8);
    char rest[sizeof(FsAnswer)];
    g_assert_cmpint(recv(f->link, rest, sizeof(rest), 0), ==, 0);
    g_assert_cmpint(monitor_fixture_stop(f), ==, 0);
    g_assert_false(g_file_test(f->sockdir, G_FILE_TEST_EXISTS));
}

static void test_stop_is_told(MonitorFixture *f, const void *data)
{
    FsAnswer told;

    g_assert_cmpint(monitor_fixture_ask(f, FS_ASK_LOOK, "a"), ==, 0);
    g_assert_cmpint(kill(f->pid, SIGTERM), ==, 0);
    g_assert_true(monitor_fixture_wait(f, FS_TELL_STOP, &told));
    g_assert_cmpint(monitor_fixture_ask(f, FS_ASK_UNMOUNT, ""), ==, 0);
    /* The front still has something to keep, and waits for that. */
    g_assert_cmpint(monitor_fixture_ask(f, FS_ASK_MAKE, "late"), ==, 0);
    g_assert_cmpint(monitor_fixture_stop(f), ==, 0);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *path;
        void (*test)(MonitorFixture *f, const void *data);
    } tests[] = {
        {"/monitor/list", test_list},
        {"/monitor/looks", test_looks},
        {"/monitor/list-of-many", test_list_of_many},
        {"/monitor/list-again", test_list_again},
        {"/monitor/look", test_look},
        {"/monitor/file", test_file},
        {"/monitor/follow", test_follow},
        {"/monitor/texts", test_texts},
        {"/monitor/texts-refused", test_texts_refused},
        {"/monitor/make-rename-remove", test_make_rename_remove},
        {"/monitor/set-aside", test_set_aside},
        {"/monitor/sockets", test_sockets},
        {"/monitor/engine", test_engine},
        {"/monitor/engine-after-engine", test_engine_after_engine},
        {"/monitor/kill-of-stopped-engine", test_kill_of_stopped_engine},
        {"/monitor/engine-with-bad-wish", test_engine_with_bad_wish},
        {"/monitor/store-of-no-file", test_store_of_no_file},
        {"/monitor/make-empty-store", test_make_empty_store},
        {"/monitor/make-copy", test_make_copy},
        {"/monitor/make-converted", test_make_converted},
        {"/monitor/image", test_image},
        {"/monitor/holder", test_holder},
        {"/monitor/name", test_name},
        {"/monitor/nonsense", test_nonsense_ends_it},
        {"/monitor/stop", test_stop_is_told},
    };

    g_test_init(&argc, &argv, NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(tests); i++)
        g_test_add(tests[i].path, MonitorFixture, NULL, set_up, tests[i].test, tear_down);
    return g_test_run();
}
