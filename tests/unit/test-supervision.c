/* SPDX-License-Identifier: GPL-2.0-or-later */

/* The front and its engines, with an engine of the test's own that can be made to misbehave. */

#include "fleetfixture.h"

#include "views.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define GUID "12345678-9abc-def0-1122-334455667788"
#define STORE                                                                                      \
    "{\"version\":2,\"variables\":[{\"name\":\"A\",\"guid\":\"" GUID                               \
    "\",\"attr\":7,\"data\":\"0102\"}]}"

/* For so long an engine may owe an answer. */
#define SILENT_US (2 * G_USEC_PER_SEC)

static void on_changed(FsGuest *guest, const char *name, FsEntryEvent event, void *data)
{
    static const char signs[] = {
        [FS_ENTRY_APPEARED] = '+', [FS_ENTRY_CHANGED] = '~', [FS_ENTRY_REMOVED] = '-'};

    g_string_append_printf(((FleetFixture *)data)->told, "%c%.*s ", signs[event],
                           (int)strlen(name) - 37, name);
}

static void start(FleetFixture *f)
{
    static const FsFleetEvents events = {.entry_changed = on_changed};

    fleet_fixture_start(f, &events);
}

static void set_up(FleetFixture *f, const void *data)
{
    g_autofree char *program =
        g_test_build_filename(G_TEST_DIST, "..", "lib", "fakeengine.py", NULL);
    fleet_fixture_set_up(f, program);
}

typedef struct {
    bool done;
    int error;
} Result;

static char *last_reason; /* of the last that failed */

static void on_done(FsGuest *guest, int error, void *data)
{
    *(Result *)data = (Result){.done = true, .error = error};
    g_clear_pointer(&last_reason, g_free);
    last_reason = guest ? fs_guest_take_reason(guest) : NULL;
}

static int read_guest(FleetFixture *f, FsGuest *guest)
{
    return fleet_fixture_need(f, guest, FS_NEED_REPLICA);
}

static int set_variable(FleetFixture *f, FsGuest *guest, const char *name, const char *data,
                        uint32_t flags)
{
    g_autofree char *file = g_strdup_printf("%s-" GUID, name);
    g_autofree char *text = g_strdup_printf("\7___%s", data);
    g_autoptr(GBytes) content = g_bytes_new(text, strlen(text));
    Result result = {0};

    fs_guest_set(guest, NULL, file, content, flags, 0, on_done, &result);
    fleet_fixture_run_until(f, &result.done);
    return result.error;
}

/* The pid that status.json shows, 0 if none. */
static int engine_pid(FsGuest *guest)
{
    g_autofree char *status = fs_guest_status(guest);
    const char *at = strstr(status, "\"pid\":");
    return at ? atoi(at + strlen("\"pid\":")) : 0;
}

static void wait_until_ended(FleetFixture *f, FsGuest *guest)
{
    for (int i = 0; i < 1000 && engine_pid(guest); i++) {
        g_usleep(5000);
        while (g_main_context_iteration(f->context, FALSE))
            ;
    }
    g_assert_cmpint(engine_pid(guest), ==, 0);
}

static void test_read_and_write(FleetFixture *f, const void *data)
{
    fleet_fixture_put(f, "a.json", STORE);
    start(f);
    FsGuest *guest = fleet_fixture_find(f, "a");
    g_assert_cmpint(read_guest(f, guest), ==, 0);
    FsReplica *replica = fs_guest_replica(guest);
    g_assert_cmpuint(fs_replica_count(replica), ==, 1);
    g_assert_cmphex(fs_replica_lookup(replica, "A-" GUID)->attributes, ==, 7);
    g_assert_cmpuint(fs_guest_usage(guest)->total_bytes, ==, 262144);
    g_assert_cmpstr(f->told->str, ==, ""); /* the first look is no change */

    g_assert_cmpint(set_variable(f, guest, "B", "data", 0), ==, 0);
    g_assert_nonnull(fs_replica_lookup(replica, "B-" GUID));
    g_assert_cmpint(set_variable(f, guest, "B", "other", 0), ==, 0);
    g_assert_cmpint(set_variable(f, guest, "A", "", 1), ==, 0);
    g_assert_cmpint(set_variable(f, guest, "A", "", 1), ==, ENOENT);
    g_assert_cmpstr(last_reason, ==, "not there");
    g_assert_null(fs_guest_take_reason(guest));
    g_assert_cmpint(set_variable(f, guest, "C", "data", 0), ==, 0);
    g_assert_null(last_reason);
    g_assert_cmpstr(f->told->str, ==, "+B ~B -A +C ");
    g_clear_pointer(&last_reason, g_free);
}

static void test_idle(FleetFixture *f, const void *data)
{
    f->options.idle_s = 1;
    fleet_fixture_put(f, "a.json", STORE);
    start(f);
    FsGuest *guest = fleet_fixture_find(f, "a");
    g_assert_cmpint(set_variable(f, guest, "B", "data", 0), ==, 0);
    g_assert_cmpint(engine_pid(guest), >, 0);
    wait_until_ended(f, guest);
    /* What it left is known without another one ... */
    g_assert_cmpint(read_guest(f, guest), ==, 0);
    g_assert_cmpuint(fs_replica_count(fs_guest_replica(guest)), ==, 2);
    g_assert_cmpint(engine_pid(guest), ==, 0);
    /* ... until somebody else changes the store. */
    fleet_fixture_put(f, "a.json", STORE);
    g_assert_cmpint(read_guest(f, guest), ==, 0);
    g_assert_cmpuint(fs_replica_count(fs_guest_replica(guest)), ==, 1);
    g_assert_cmpstr(f->told->str, ==, "+B -B ");
}

/* It owes no answer to what it is told, and is not taken for silent over it. */
static void test_told(FleetFixture *f, const void *data)
{
    const FsRefusal refusal = {
        .at_us = 1, .error = EACCES, .operation = "write", .path = "vars/A", .text = "no"};

    fleet_fixture_put(f, "a.json", STORE);
    start(f);
    FsGuest *guest = fleet_fixture_find(f, "a");
    g_assert_cmpint(set_variable(f, guest, "B", "data", 0), ==, 0);
    fs_guest_follow_record(guest);
    g_assert_false(fs_guest_record_refusal(guest, NULL, &refusal, NULL, NULL));
    const int64_t end = g_get_monotonic_time() + SILENT_US + G_USEC_PER_SEC / 2;
    while (g_get_monotonic_time() < end) {
        while (g_main_context_iteration(f->context, FALSE))
            ;
        g_usleep(20 * 1000);
    }
    g_autofree char *status = fs_guest_status(guest);
    g_assert_null(strstr(status, "\"silent\""));
    g_assert_cmpint(engine_pid(guest), >, 0);
}

static void test_changed_under_engine(FleetFixture *f, const void *data)
{
    fleet_fixture_put(f, "a.json", STORE);
    start(f);
    FsGuest *guest = fleet_fixture_find(f, "a");
    g_assert_cmpint(set_variable(f, guest, "B", "data", 0), ==, 0);
    int pid = engine_pid(guest);
    fleet_fixture_put(f, "a.json", STORE);
    g_assert_cmpint(read_guest(f, guest), ==, 0);
    g_assert_cmpuint(fs_replica_count(fs_guest_replica(guest)), ==, 1);
    g_assert_cmpint(engine_pid(guest), ==, pid);
}

static void test_fails(FleetFixture *f, const void *data)
{
    fleet_fixture_put(f, "fails.json", STORE);
    start(f);
    FsGuest *guest = fleet_fixture_find(f, "fails");
    g_test_expect_message(NULL, G_LOG_LEVEL_WARNING, "*no good: line 1*");
    g_assert_cmpint(read_guest(f, guest), ==, EIO);
    g_test_assert_expected_messages();
    g_autofree char *status = fs_guest_status(guest);
    g_assert_nonnull(strstr(status, "no good: line 1"));
    g_assert_cmpint(read_guest(f, guest), ==, EIO); /* and no second warning */
}

/* Its store was replaced while it started: the next one is asked, and nobody hears of it. */
static void test_replaced(FleetFixture *f, const void *data)
{
    fleet_fixture_put(f, "replaced.json", STORE);
    start(f);
    FsGuest *guest = fleet_fixture_find(f, "replaced");
    g_assert_cmpint(read_guest(f, guest), ==, 0);
    fleet_fixture_put(f, "replaced-always.json", STORE);
    guest = fleet_fixture_find(f, "replaced-always");
    g_test_expect_message(NULL, G_LOG_LEVEL_WARNING, "*another file*");
    g_assert_cmpint(read_guest(f, guest), ==, EIO);
    g_test_assert_expected_messages();
}

/* A write is tried on a second engine, and then it is enough. */
static void test_dies(FleetFixture *f, const void *data)
{
    fleet_fixture_put(f, "dies.json", STORE);
    start(f);
    FsGuest *guest = fleet_fixture_find(f, "dies");
    g_assert_cmpint(set_variable(f, guest, "B", "data", 0), ==, EIO);
    g_assert_cmpint(read_guest(f, guest), ==, 0);
}

static void test_garbage(FleetFixture *f, const void *data)
{
    fleet_fixture_put(f, "garbage.json", STORE);
    start(f);
    FsGuest *guest = fleet_fixture_find(f, "garbage");
    g_assert_cmpint(set_variable(f, guest, "B", "data", 0), ==, EIO);
}

static void test_killed(FleetFixture *f, const void *data)
{
    fleet_fixture_put(f, "a.json", STORE);
    start(f);
    FsGuest *guest = fleet_fixture_find(f, "a");
    for (int i = 0; i < 3; i++) {
        g_assert_cmpint(read_guest(f, guest), ==, 0);
        int pid = engine_pid(guest);
        g_assert_cmpint(kill(pid, SIGKILL), ==, 0);
        g_assert_cmpint(set_variable(f, guest, "B", i % 2 ? "x" : "y", 0), ==, 0);
        g_assert_cmpint(engine_pid(guest), !=, pid);
    }
}

static void test_cap(FleetFixture *f, const void *data)
{
    Result results[6] = {0};

    for (int i = 0; i < 6; i++) {
        g_autofree char *name = g_strdup_printf("g%d.json", i);
        fleet_fixture_put(f, name, STORE);
    }
    start(f);
    for (int i = 0; i < 6; i++) {
        g_autofree char *name = g_strdup_printf("g%d", i);
        fs_guest_need(fleet_fixture_find(f, name), FS_NEED_REPLICA, NULL, on_done, &results[i]);
    }
    for (int i = 0; i < 6; i++) {
        fleet_fixture_run_until(f, &results[i].done);
        g_assert_cmpint(results[i].error, ==, 0);
        int alive = 0;
        for (FsGuest *guest = NULL;
             (guest = fs_fleet_next(f->fleet, guest ? fs_guest_sequence(guest) : 0));)
            alive += engine_pid(guest) > 0;
        g_assert_cmpint(alive, <=, 2);
    }
}

static int connect_path(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    g_strlcpy(address.sun_path, path, sizeof(address.sun_path));
    g_assert_cmpint(connect(fd, (struct sockaddr *)&address, sizeof(address)), ==, 0);
    return fd;
}

static int connect_guest(FsGuest *guest)
{
    g_autofree char *path = fs_guest_socket_path(guest);
    return connect_path(path);
}

/* What the fake engine says to who connects. */
static void expect_hello(FleetFixture *f, int fd)
{
    char text[8] = "";
    ssize_t size = -1;

    for (int i = 0; i < 1000 && size < 0; i++) {
        while (g_main_context_iteration(f->context, FALSE))
            ;
        size = recv(fd, text, sizeof(text) - 1, MSG_DONTWAIT);
        g_usleep(5000);
    }
    g_assert_cmpstr(text, ==, "hello");
}

static void test_listener(FleetFixture *f, const void *data)
{
    fleet_fixture_put(f, "a.json", STORE);
    start(f);
    FsGuest *guest = fleet_fixture_find(f, "a");
    int first = connect_guest(guest);
    expect_hello(f, first);
    int second = connect_guest(guest);
    expect_hello(f, second);
    /* A connection while there is no engine is not lost either. */
    g_assert_cmpint(kill(engine_pid(guest), SIGKILL), ==, 0);
    int third = connect_guest(guest);
    expect_hello(f, third);
    close(first);
    close(second);
    close(third);
}

static void test_refusal(FleetFixture *f, const void *data)
{
    uint8_t frame[64] = {0};
    ssize_t size = -1;

    fleet_fixture_put(f, "fails.json", STORE);
    start(f);
    int fd = connect_guest(fleet_fixture_find(f, "fails"));
    g_test_expect_message(NULL, G_LOG_LEVEL_WARNING, "*no good: line 1*");
    for (int i = 0; i < 1000 && size < 0; i++) {
        while (g_main_context_iteration(f->context, FALSE))
            ;
        size = recv(fd, frame, sizeof(frame), MSG_DONTWAIT);
        g_usleep(5000);
    }
    g_test_assert_expected_messages();
    g_assert_cmpint(size, ==, 16 + 4 + 15);
    g_assert_cmphex(frame[4] | frame[5] << 8, ==, 0x80ff);
    g_assert_cmpmem(frame + 20, 15, "no good: line 1", 15);
    close(fd);
}

static void test_adoption(FleetFixture *f, const void *data)
{
    fleet_fixture_put(f, "guest.json", STORE);
    fleet_fixture_put(f, "b.json", STORE);
    start(f);
    FsGuest *guest = fleet_fixture_find(f, "guest");
    int fd = connect_guest(guest);
    expect_hello(f, fd);
    g_assert_cmpint(set_variable(f, guest, "B", "data", 0), ==, 0);
    int pid = engine_pid(guest);
    fleet_fixture_crash(f); /* nothing is ended */

    start(f);
    guest = fleet_fixture_find(f, "guest");
    g_assert_cmpint(read_guest(f, guest), ==, 0);
    g_assert_cmpint(engine_pid(guest), ==, pid);
    g_assert_nonnull(fs_replica_lookup(fs_guest_replica(guest), "B-" GUID));
    g_assert_cmpint(set_variable(f, guest, "C", "data", 0), ==, 0);
    /* The listening socket came back: when the engine is gone the front serves it. */
    g_assert_cmpint(kill(pid, SIGKILL), ==, 0);
    int again = connect_guest(guest);
    fs_guest_files_changed(guest); /* and a look meanwhile loses nobody who waits there */
    g_assert_cmpint(fleet_fixture_need(f, guest, FS_NEED_LOOK), ==, 0);
    expect_hello(f, again);
    g_assert_cmpint(engine_pid(guest), !=, pid);

    /* A clean end leaves an engine with a guest, and its sockets. */
    pid = engine_pid(guest);
    fleet_fixture_stop(f);
    g_assert_cmpint(kill(pid, 0), ==, 0);
    g_assert_cmpint(kill(pid, SIGKILL), ==, 0);
    close(fd);
    close(again);
}

/* An engine that a later program left: nothing is served, nothing is started beside it. */
static void test_other_version(FleetFixture *f, const void *data)
{
    fleet_fixture_put(f, "other.json", STORE);
    start(f);
    FsGuest *guest = fleet_fixture_find(f, "other");
    int fd = connect_guest(guest);
    expect_hello(f, fd);
    g_assert_cmpint(read_guest(f, guest), ==, 0);
    int pid = engine_pid(guest);
    g_autofree char *path = fs_guest_socket_path(guest);
    fleet_fixture_crash(f);

    fleet_fixture_put(f, "upgraded", "");
    g_test_expect_message(NULL, G_LOG_LEVEL_MESSAGE, "*found its engine running*");
    g_test_expect_message(NULL, G_LOG_LEVEL_WARNING, "*another version*left alone*");
    start(f);
    guest = fleet_fixture_find(f, "other");
    int64_t before = g_get_monotonic_time();
    for (int i = 0; i < 3; i++) /* before and after it said so */
        g_assert_cmpint(read_guest(f, guest), ==, EIO);
    g_test_assert_expected_messages();
    g_autofree char *status = fs_guest_status(guest);
    g_assert_nonnull(strstr(status, "another version"));
    /* Neither a request nor the end waits for it, and the end leaves it where it is. */
    fleet_fixture_stop(f);
    g_assert_cmpint(g_get_monotonic_time() - before, <, 3 * G_USEC_PER_SEC);
    g_assert_cmpint(kill(pid, 0), ==, 0);
    int another = connect_path(path);
    char text[8] = "";
    g_assert_cmpint(recv(another, text, sizeof(text) - 1, 0), ==, 5);
    g_assert_cmpstr(text, ==, "hello");
    close(another);
    kill(pid, SIGKILL);
    close(fd);
}

static void test_guest_first_needs_store(FleetFixture *f, const void *data)
{
    FsGuest *guest;

    start(f);
    Result made = {0};
    fs_fleet_make_guest(f->fleet, "new", on_done, &made);
    fleet_fixture_run_until(f, &made.done);
    g_assert_cmpint(made.error, ==, 0);
    guest = fleet_fixture_find(f, "new");
    g_assert_cmpint(read_guest(f, guest), ==, 0); /* makes no store */
    g_assert_false(fs_guest_has_store(guest));
    int pid = engine_pid(guest);
    g_assert_cmpint(set_variable(f, guest, "A", "x", 0), ==, 0);
    g_assert_cmpint(engine_pid(guest), !=, pid);
    g_assert_cmpint(fleet_fixture_need(f, guest, FS_NEED_LOOK), ==, 0);
    g_assert_true(fs_guest_has_store(guest));
}

typedef struct {
    bool done;
    int error;
    char text[16];
} ViewResult;

static void on_view(FsGuest *guest, int error, GBytes *reply, void *data)
{
    ViewResult *result = data;

    *result = (ViewResult){.done = true, .error = error};
    if (reply)
        memcpy(result->text, g_bytes_get_data(reply, NULL),
               MIN(g_bytes_get_size(reply), sizeof(result->text) - 1));
}

/* What was expected to be read is asked for once, and who reads it can be interrupted. */
static void test_expected_view(FleetFixture *f, const void *data)
{
    ViewResult result = {0};
    int request;

    fleet_fixture_put(f, "a.json", STORE);
    start(f);
    FsGuest *guest = fleet_fixture_find(f, "a");
    fs_guest_view_read(guest, NULL, FS_VIEW_BOOT, "", on_view, &result);
    fleet_fixture_run_until(f, &result.done);
    g_assert_cmpint(result.error, ==, 0);

    result.done = false;
    fs_guest_view_expect(guest, FS_VIEW_BOOT, "f");
    fs_guest_view_read(guest, &request, FS_VIEW_BOOT, "f", on_view, &result);
    fleet_fixture_run_until(f, &result.done);
    g_assert_cmpstr(result.text, ==, "read 1");

    result.done = false;
    fs_guest_view_expect(guest, FS_VIEW_BOOT, "g");
    fs_guest_view_read(guest, &request, FS_VIEW_BOOT, "g", on_view, &result);
    fs_fleet_interrupt(f->fleet, &request);
    fleet_fixture_run_until(f, &result.done);
    g_assert_cmpint(result.error, ==, EINTR);
}

static void test_interrupt(FleetFixture *f, const void *data)
{
    Result result = {0};
    int request;

    fleet_fixture_put(f, "mute.json", STORE);
    start(f);
    FsGuest *guest = fleet_fixture_find(f, "mute");
    g_assert_cmpint(read_guest(f, guest), ==, 0);
    g_autoptr(GBytes) content = g_bytes_new("\7\0\0\0x", 5);
    fs_guest_set(guest, &request, "A-" GUID, content, 0, 0, on_done, &result);
    g_assert_false(result.done);
    fs_fleet_interrupt(f->fleet, &request);
    fleet_fixture_run_until(f, &result.done);
    g_assert_cmpint(result.error, ==, EINTR);
    /* At most 64 wait. */
    Result parked[64] = {0}, refused = {0};
    for (int i = 0; i < 64; i++)
        fs_guest_set(guest, NULL, "A-" GUID, content, 0, 0, on_done, &parked[i]);
    g_assert_false(parked[63].done);
    fs_guest_set(guest, NULL, "A-" GUID, content, 0, 0, on_done, &refused);
    g_assert_true(refused.done);
    g_assert_cmpint(refused.error, ==, EBUSY);
    /* Reads go on. */
    Result reading = {0};
    fs_guest_need(guest, FS_NEED_REPLICA, NULL, on_done, &reading);
    g_assert_true(reading.done && reading.error == 0);
    kill(engine_pid(guest), SIGKILL);
    fleet_fixture_crash(f);
    g_assert_true(parked[63].done);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(name, function)                                                                        \
    g_test_add(name, FleetFixture, NULL, set_up, function, fleet_fixture_tear_down)
    ADD("/supervision/read-and-write", test_read_and_write);
    ADD("/supervision/idle", test_idle);
    ADD("/supervision/told", test_told);
    ADD("/supervision/changed-under-engine", test_changed_under_engine);
    ADD("/supervision/fails", test_fails);
    ADD("/supervision/replaced", test_replaced);
    ADD("/supervision/dies", test_dies);
    ADD("/supervision/garbage", test_garbage);
    ADD("/supervision/killed", test_killed);
    ADD("/supervision/cap", test_cap);
    ADD("/supervision/listener", test_listener);
    ADD("/supervision/refusal", test_refusal);
    ADD("/supervision/adoption", test_adoption);
    ADD("/supervision/other-version", test_other_version);
    ADD("/supervision/guest-first-needs-store", test_guest_first_needs_store);
    ADD("/supervision/interrupt", test_interrupt);
    ADD("/supervision/expected-view", test_expected_view);
    return g_test_run();
}
