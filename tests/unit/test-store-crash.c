/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * The JSON store when something goes wrong at each step of its work: killed, killed in the middle
 * of a write, cut from power, told EIO, ENOSPC or EDQUOT. Afterwards every acknowledged change is
 * there, at most the one in progress besides, and the store works.
 */

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "faults.h"
#include "journal-record.h"
#include "json.h"
#include "scratch.h"
#include "storetest.h"

/* NULL as the name is a compaction. Long values: texts of several pages, that grow and shrink. */
static const struct {
    const char *name, *value;
    int repeat;
} work[] = {
    {"A", "1", 1},    {"B", "2", 3000}, {NULL, NULL, 0}, {"A", "3", 1},  {"C", "4", 5000},
    {"B", NULL, 0},   {NULL, NULL, 0},  {NULL, NULL, 0}, {"A", NULL, 0}, {"D", "5", 100},
    {"C", "6", 2500}, {"C", "7", 2500}, {NULL, NULL, 0}, {"E", "8", 1},
};

static char *value_of(size_t i)
{
    GString *value = g_string_new(NULL);

    for (int n = 0; n < work[i].repeat; n++)
        g_string_append(value, work[i].value);
    return g_string_free(value, FALSE);
}

/* Compactions may fail: nothing is lost by that. */
static bool do_work(StoreTest *t, size_t i, GError **error)
{
    g_autofree char *value = value_of(i);

    if (!work[i].name)
        return t->store->ops->compact(t->store, t->set, error);
    return store_test_try(t, work[i].name, work[i].value ? value : NULL, error);
}

/* The state after the first n pieces of work, as text. */
static GBytes *expected_text(size_t n)
{
    g_autoptr(UvVarset) set = uv_varset_new();

    for (size_t i = 0; i < n; i++) {
        g_autofree char *value = value_of(i);
        g_autoptr(UvVariable) variable = NULL;

        if (!work[i].name)
            continue;
        variable = store_test_variable(work[i].name, value, 1000);
        if (work[i].value)
            uv_varset_put(set, variable);
        else
            uv_varset_remove(set, &variable->guid, variable->name);
    }
    return uv_json_format(set);
}

typedef enum {
    RENAMING,
    IN_PLACE, /* the store has a second name */
    ANEW,     /* as renaming, but afterwards there is another store */
    ASKED,    /* in place, because others own and label the file */
} Way;

static const char *const way_names[] = {"renaming", "in-place", "anew", "in-place-asked"};

static void open_store(StoreTest *t, const char *dir, Way way)
{
    if (way == ASKED)
        store_test_open_in_place(t, dir, "s.json", false);
    else
        store_test_open(t, dir, "s.json", false);
}

static void prepare(const char *dir, bool in_place)
{
    g_autofree char *path = scratch_path(dir, "s.json");
    g_autofree char *name = scratch_path(dir, "second-name");

    scratch_write(dir, "s.json", "");
    if (in_place)
        g_assert_cmpint(link(path, name), ==, 0);
}

/* In the child: says after each piece of work that it is done. */
static void run_child(const char *dir, FaultKind kind, int at, Way way, int ack_fd)
{
    StoreTest t;

    open_store(&t, dir, way);
    faults_set(kind, at, 0);
    for (size_t i = 0; i < G_N_ELEMENTS(work); i++) {
        g_autoptr(GError) error = NULL;

        do_work(&t, i, &error);
        g_assert_no_error(error);
        g_assert_cmpint(write(ack_fd, "x", 1), ==, 1);
    }
    _exit(0);
}

static size_t count_acks(int fd)
{
    char bytes[64];
    size_t n = 0;
    ssize_t got;

    while ((got = read(fd, bytes, sizeof(bytes))) > 0)
        n += got;
    return n;
}

static void check_after(const char *dir, size_t acked, FaultKind kind, int at)
{
    g_autoptr(GBytes) before = expected_text(acked);
    g_autoptr(GBytes) after = expected_text(MIN(acked + 1, G_N_ELEMENTS(work)));
    g_autoptr(GBytes) found = NULL, file = NULL;
    StoreTest t;

    store_test_open(&t, dir, "s.json", false);
    found = uv_json_format(t.set);
    if (!g_bytes_equal(found, before) && !g_bytes_equal(found, after))
        g_error("fault %d at step %d after %zu acknowledged: a state that never was:\n%s", kind, at,
                acked, (const char *)g_bytes_get_data(found, NULL));
    if (store_test_warned(&t, "set aside"))
        g_error("fault %d at step %d after %zu acknowledged: taken for a conflict", kind, at,
                acked);
    store_test_put(&t, "after", "crash");
    store_test_close(&t);
    store_test_open(&t, dir, "s.json", false);
    store_test_expect(&t, "after", "crash");
    store_test_put(&t, "after", NULL);
    g_clear_pointer(&found, g_bytes_unref);
    found = uv_json_format(t.set);
    store_test_close(&t);
    file = scratch_read(dir, "s.json");
    g_assert_true(g_bytes_equal(file, found));
    g_assert_true(g_bytes_equal(file, before) || g_bytes_equal(file, after));
    g_assert_false(scratch_exists(dir, ".uefivarsfs/s.json.journal"));
}

/* After the crash somebody makes the store anew, as it was at first: nothing of the old one shows.
 */
static void check_anew(const char *dir, FaultKind kind, int at)
{
    StoreTest t;

    scratch_remove(dir, "s.json");
    scratch_write(dir, "s.json", "");
    store_test_open(&t, dir, "s.json", false);
    if (uv_varset_count(t.set) > 0)
        g_error("fault %d at step %d: the new store has the old one's variables", kind, at);
    store_test_put(&t, "after", "crash");
    store_test_close(&t);
    store_test_open(&t, dir, "s.json", false);
    g_assert_cmpuint(uv_varset_count(t.set), ==, 1);
    store_test_drop(&t);
}

/* false: there is no such step, the work came to its end. */
static bool crash_at(FaultKind kind, int at, Way way)
{
    char *dir = scratch_new();
    int pipe_fds[2], status;
    size_t acked;
    pid_t pid;

    prepare(dir, way == IN_PLACE);
    g_assert_cmpint(pipe2(pipe_fds, O_CLOEXEC), ==, 0);
    pid = fork();
    if (pid == 0)
        run_child(dir, kind, at, way, pipe_fds[1]);
    close(pipe_fds[1]);
    acked = count_acks(pipe_fds[0]);
    close(pipe_fds[0]);
    g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
    g_assert_true(WIFSIGNALED(status) ? WTERMSIG(status) == SIGKILL : WEXITSTATUS(status) == 0);
    if (way == ANEW)
        check_anew(dir, kind, at);
    else
        check_after(dir, acked, kind, at);
    scratch_free(dir);
    return WIFSIGNALED(status);
}

static void test_crash(gconstpointer data)
{
    FaultKind kind = GPOINTER_TO_INT(data) & 0xff;
    Way way = GPOINTER_TO_INT(data) >> 8 & 0xff;
    int at = 0;

    while (crash_at(kind, at, way))
        at++;
    g_test_message("%d steps", at);
    g_assert_cmpint(at, >, 30);
}

/* An engine lives on: what was refused has not happened, what was accepted has. */
static bool errors_at(FaultKind kind, int at, int code, Way way)
{
    char *dir = scratch_new();
    StoreTest t;
    bool reached;

    prepare(dir, way == IN_PLACE);
    open_store(&t, dir, way);
    faults_set(kind, at, code);
    for (size_t i = 0; i < G_N_ELEMENTS(work); i++) {
        g_autoptr(GBytes) wanted = NULL, found = NULL;
        g_autoptr(GError) error = NULL;
        StoreTest reader;

        int expected = code == EIO ? UV_STORE_ERROR_IO : UV_STORE_ERROR_NO_SPACE;

        if (!do_work(&t, i, &error))
            g_assert_error(error, UV_STORE_ERROR, expected);
        else
            g_assert_no_error(error);
        wanted = uv_json_format(t.set);
        store_test_open(&reader, dir, "s.json", false);
        found = uv_json_format(reader.set);
        if (!g_bytes_equal(found, wanted) || store_test_warned(&reader, "set aside"))
            g_error("error %d at step %d of kind %d, after work %zu: %s", code, at, kind, i,
                    error ? error->message : "(accepted)");
        store_test_drop(&reader);
    }
    reached = faults_steps() > at;
    faults_set(FAULT_NONE, 0, 0);
    store_test_put(&t, "after", "errors");
    store_test_close(&t);
    store_test_open(&t, dir, "s.json", false);
    store_test_expect(&t, "after", "errors");
    store_test_drop(&t);
    g_assert_false(scratch_exists(dir, ".uefivarsfs/s.json.journal"));
    g_assert_false(scratch_exists(dir, ".uefivarsfs/s.json.tmp"));
    scratch_free(dir);
    return reached;
}

static void test_errors(gconstpointer data)
{
    FaultKind kind = GPOINTER_TO_INT(data) & 0xff;
    Way way = GPOINTER_TO_INT(data) >> 8 & 0xff;
    int code = GPOINTER_TO_INT(data) >> 16, at = 0;

    while (errors_at(kind, at, code, way))
        at++;
    g_assert_cmpint(at, >, 30);
}

/* Killed at any moment, by somebody else: many short lives on one store. */
static void run_until_killed(const char *dir, int ack_fd)
{
    StoreTest t;
    uint32_t last = 0;

    store_test_open(&t, dir, "s.json", true);
    g_autofree char *before = store_test_get(&t, "count");
    last = before ? atoi(before) : 0;
    for (;;) {
        g_autofree char *text = g_strdup_printf("%u", ++last);

        store_test_put(&t, "count", text);
        g_assert_cmpint(write(ack_fd, &last, sizeof(last)), ==, sizeof(last));
        if (last % 7 == 0)
            g_assert_true(t.store->ops->compact(t.store, t.set, NULL));
    }
}

static uint32_t live_and_die(const char *dir, unsigned microseconds)
{
    int pipe_fds[2], status;
    uint32_t acked = 0, value;
    pid_t pid;

    g_assert_cmpint(pipe2(pipe_fds, O_CLOEXEC), ==, 0);
    pid = fork();
    if (pid == 0)
        run_until_killed(dir, pipe_fds[1]);
    close(pipe_fds[1]);
    g_usleep(microseconds);
    kill(pid, SIGKILL);
    while (read(pipe_fds[0], &value, sizeof(value)) == sizeof(value))
        acked = value;
    close(pipe_fds[0]);
    g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
    g_assert_true(WIFSIGNALED(status));
    return acked;
}

static void test_random_kills(void)
{
    char *dir = scratch_new();
    uint32_t last = 0;
    int lives = g_test_slow() ? 1000 : 100;

    for (int i = 0; i < lives; i++) {
        g_autofree char *found = NULL;
        uint32_t acked = live_and_die(dir, g_test_rand_int_range(0, 20000));
        StoreTest t;

        store_test_open(&t, dir, "s.json", false);
        found = store_test_get(&t, "count");
        last = MAX(last, acked);
        g_assert_cmpint(found ? atoi(found) : 0, >=, last);
        g_assert_cmpint(found ? atoi(found) : 0, <=, last + 1);
        g_assert_false(store_test_warned(&t, "set aside"));
        last = found ? atoi(found) : 0;
        store_test_drop(&t);
    }
    g_test_message("%u acknowledged writes in %d lives", last, lives);
    scratch_free(dir);
}

/* ---- a sync that failed, then a crash ---- */

static char *digits(char digit)
{
    return g_strnfill(3000, digit);
}

/* Writes 1, then 2 with an error at that step, then 3 until the kill at the other. */
static void run_unlucky_child(const char *dir, int error_at, int kill_at)
{
    g_autofree char *one = digits('1'), *two = digits('2'), *three = digits('3');
    StoreTest t;

    store_test_open(&t, dir, "s.json", false);
    store_test_put(&t, "A", one);
    g_assert_true(t.store->ops->compact(t.store, t.set, NULL));
    store_test_put(&t, "A", two);
    faults_set(FAULT_ERROR, error_at, EIO);
    if (t.store->ops->compact(t.store, t.set, NULL))
        _exit(1); /* a step that does not matter */
    faults_set(FAULT_NONE, 0, 0);
    store_test_put(&t, "A", three);
    faults_set(FAULT_KILL, kill_at, 0);
    t.store->ops->compact(t.store, t.set, NULL);
    _exit(2);
}

static unsigned count_images(const char *dir)
{
    g_autoptr(UvJournalContent) content = NULL;
    g_autoptr(GBytes) bytes = NULL;
    unsigned count = 0;

    if (!scratch_exists(dir, ".uefivarsfs/s.json.journal"))
        return 0;
    bytes = scratch_read(dir, ".uefivarsfs/s.json.journal");
    if (uv_journal_read(bytes, &content) != UV_JOURNAL_VALID)
        return 0;
    for (guint i = 0; i < content->records->len; i++)
        count += g_array_index(content->records, UvRecord, i).kind == UV_RECORD_IMAGE;
    return count;
}

/*
 * The disk: sectors of the first writing never got there (its sync failed, and nobody writes a page
 * again that is not dirty), those of the second were on their way.
 */
static void lose_sectors(const char *dir)
{
    g_autofree char *path = scratch_path(dir, "s.json");
    g_autofree char *one = digits('1'), *two = digits('2'), *three = digits('3');
    char *texts[] = {store_test_json("A", one, NULL), store_test_json("A", two, NULL),
                     store_test_json("A", three, NULL)};
    size_t size = strlen(texts[0]);
    int fd = open(path, O_WRONLY | O_CLOEXEC);

    for (size_t at = 0; at < size; at += 512)
        g_assert_cmpint(pwrite(fd, texts[at / 512 % 3] + at, MIN(512, size - at), at), >, 0);
    close(fd);
    for (size_t i = 0; i < G_N_ELEMENTS(texts); i++)
        g_free(texts[i]);
}

/* The child's exit status; -1: it was killed. */
static int crash_after_lost_sync(int error_at, int kill_at, bool *ret_seen)
{
    g_autofree char *three = digits('3');
    char *dir = scratch_new();
    int status;
    pid_t pid;

    prepare(dir, true);
    pid = fork();
    if (pid == 0)
        run_unlucky_child(dir, error_at, kill_at);
    g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
    if (WIFSIGNALED(status) && count_images(dir) == 2) {
        StoreTest t;

        *ret_seen = true;
        lose_sectors(dir);
        store_test_open(&t, dir, "s.json", false);
        g_assert_false(store_test_warned(&t, "set aside"));
        store_test_expect(&t, "A", three);
        store_test_close(&t);
    }
    scratch_free(dir);
    return WIFSIGNALED(status) ? -1 : WEXITSTATUS(status);
}

static void test_lost_sync(void)
{
    bool seen = false;

    for (int error_at = 0; error_at < 12; error_at++) {
        int kill_at = 0;

        while (crash_after_lost_sync(error_at, kill_at, &seen) == -1)
            kill_at++;
    }
    g_assert_true(seen);
}

static void add(const char *name, FaultKind kind, int code)
{
    for (Way way = RENAMING; way <= ASKED; way++) {
        g_autofree char *path = g_strdup_printf("/store-crash/%s/%s", name, way_names[way]);

        if (code && way == ANEW)
            continue;
        g_test_add_data_func(path, GINT_TO_POINTER(kind | way << 8 | code << 16),
                             code ? test_errors : test_crash);
    }
}

int main(int argc, char **argv)
{
    /* Thousands of syncs: in memory, where there is room for that. */
    if (access("/dev/shm", W_OK) == 0)
        g_setenv("TMPDIR", "/dev/shm", FALSE);
    g_test_init(&argc, &argv, NULL);
    add("kill", FAULT_KILL, 0);
    add("half", FAULT_HALF, 0);
    add("power", FAULT_POWER, 0);
    add("one-eio", FAULT_ERROR, EIO);
    add("one-enospc", FAULT_ERROR, ENOSPC);
    add("one-edquot", FAULT_ERROR, EDQUOT);
    add("eio", FAULT_ERRORS, EIO);
    add("enospc", FAULT_ERRORS, ENOSPC);
    add("edquot", FAULT_ERRORS, EDQUOT);
    g_test_add_func("/store-crash/lost-sync", test_lost_sync);
    g_test_add_func("/store-crash/random-kills", test_random_kills);
    return g_test_run();
}
