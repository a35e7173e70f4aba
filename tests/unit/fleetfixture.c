/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "fleetfixture.h"

#include "open-source.h"

#include <glib/gstdio.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

void fleet_fixture_set_up(FleetFixture *f, const char *program)
{
    f->top = g_dir_make_tmp("fleet-XXXXXX", NULL);
    f->source = g_build_filename(f->top, "source", NULL);
    f->sockdir = g_build_filename(f->top, "sock", NULL);
    f->program = g_strdup(program);
    g_mkdir(f->source, 0755);
    f->options = (FsFleetOptions){.engines = 2, .idle_s = 60};
    f->context = g_main_context_new();
    f->told = g_string_new(NULL);
}

static void wait_for_monitor(FleetFixture *f)
{
    int status = 0;

    if (f->monitor_pid > 0)
        g_assert_cmpint(waitpid(f->monitor_pid, &status, 0), ==, f->monitor_pid);
    f->monitor_pid = 0;
    g_assert_cmpint(status, ==, 0);
}

void fleet_fixture_crash(FleetFixture *f)
{
    g_clear_pointer(&f->fleet, fs_fleet_free);
    wait_for_monitor(f);
}

void fleet_fixture_stop(FleetFixture *f)
{
    fs_fleet_unmount(f->fleet);
    fs_fleet_stop(f->fleet);
    fleet_fixture_crash(f);
}

void fleet_fixture_tear_down(FleetFixture *f, const void *data)
{
    if (f->fleet)
        fleet_fixture_stop(f);
    wait_for_monitor(f);
    g_autofree char *command = g_strdup_printf("rm -rf '%s'", f->top);
    g_assert_cmpint(system(command), ==, 0);
    g_main_context_unref(f->context);
    g_string_free(f->told, TRUE);
    g_free(f->top);
    g_free(f->source);
    g_free(f->sockdir);
    g_free(f->program);
}

void fleet_fixture_put(const FleetFixture *f, const char *name, const char *text)
{
    g_autofree char *path = g_build_filename(f->source, name, NULL);
    g_autofree char *folder = g_path_get_dirname(path);

    g_mkdir_with_parents(folder, 0755);
    g_assert_true(g_file_set_contents(path, text, -1, NULL));
}

static G_GNUC_NORETURN void be_monitor(const FleetFixture *f, FsLocal *local, int link)
{
    const FsOptions mount = {.sockdir = f->sockdir};
    const FsMonitorOptions options = {
        .read_only = f->options.read_only,
        .engine_uid = (uid_t)-1,
        .engine_gid = (gid_t)-1,
        .front_uid = geteuid(),
        .front_gid = getegid(),
        .engine = f->program,
        .maker = "/nonexistent/uefivars-make",
    };
    const FsMonitorHooks hooks = {0};
    g_autoptr(GError) error = NULL;

    g_log_set_always_fatal(G_LOG_FATAL_MASK);
    FsSockdir *sockdir = fs_sockdir_open(local, &mount, &error);
    g_assert_no_error(error);
    g_autoptr(FsMonitor) monitor = fs_monitor_new(&options, local, sockdir, link, &error);
    g_assert_no_error(error);
    fs_monitor_run(monitor, &hooks);
    g_clear_pointer(&monitor, fs_monitor_free);
    _exit(0);
}

static FsSource *start_monitor(FleetFixture *f)
{
    g_autoptr(GError) error = NULL;
    FsLocal *local = fs_local_open(f->source, &error);
    int ends[2];

    g_assert_no_error(error);
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends), ==,
                    0);
    f->monitor_pid = fork();
    if (f->monitor_pid == 0) {
        close(ends[0]);
        be_monitor(f, local, ends[1]);
    }
    close(ends[1]);
    const FsSourceFacts facts = {
        .path = local->path,
        .is_store = local->store != NULL,
        .uid = local->st.st_uid,
        .gid = local->st.st_gid,
        .sockdir = f->sockdir,
    };
    FsSource *source = fs_source_monitor_new(ends[0], &facts);
    fs_local_free(local);
    return source;
}

void fleet_fixture_start(FleetFixture *f, const FsFleetEvents *events)
{
    g_autoptr(GError) error = NULL;

    f->fleet = fs_fleet_new(start_monitor(f), &f->options, f->context, &error);
    g_assert_no_error(error);
    if (events)
        fs_fleet_set_events(f->fleet, events, f);
    fs_fleet_start(f->fleet);
    fleet_fixture_list(f);
}

typedef struct {
    bool done;
    int error;
    FsGuest *guest;
} Result;

static void on_done(FsGuest *guest, int error, void *data)
{
    *(Result *)data = (Result){.done = true, .error = error, .guest = guest};
}

static gboolean on_too_late(void *data)
{
    g_error("nothing happened for 15 seconds");
    return G_SOURCE_REMOVE;
}

void fleet_fixture_run_until(FleetFixture *f, const bool *done)
{
    GSource *timeout = g_timeout_source_new_seconds(15);

    g_source_set_callback(timeout, on_too_late, NULL, NULL);
    g_source_attach(timeout, f->context);
    while (!*done)
        g_main_context_iteration(f->context, TRUE);
    g_source_destroy(timeout);
    g_source_unref(timeout);
}

/* As the front's loop does before each request. */
static void take_what_came(FleetFixture *f)
{
    g_main_context_iteration(f->context, FALSE);
}

void fleet_fixture_list(FleetFixture *f)
{
    Result result = {0};

    take_what_came(f);
    fs_fleet_need_list(f->fleet, NULL, on_done, &result);
    fleet_fixture_run_until(f, &result.done);
}

FsGuest *fleet_fixture_find(FleetFixture *f, const char *name)
{
    Result result = {0};

    take_what_came(f);
    fs_fleet_find(f->fleet, name, NULL, on_done, &result);
    fleet_fixture_run_until(f, &result.done);
    return result.guest;
}

int fleet_fixture_need(FleetFixture *f, FsGuest *guest, unsigned needs)
{
    Result result = {0};

    take_what_came(f);
    fs_guest_need(guest, needs, NULL, on_done, &result);
    fleet_fixture_run_until(f, &result.done);
    return result.error;
}
