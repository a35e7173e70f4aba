/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "fleetfixture.h"

#include "monitorfixture.h"
#include "open-source.h"
#include "scratch.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <sys/wait.h>
#include <unistd.h>

void fleet_fixture_set_up(FleetFixture *f, const char *program)
{
    f->top = scratch_new();
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
    scratch_free(f->top);
    g_main_context_unref(f->context);
    g_string_free(f->told, TRUE);
    g_free(f->source);
    g_free(f->sockdir);
    g_free(f->program);
}

void fleet_fixture_put(const FleetFixture *f, const char *name, const char *text)
{
    scratch_put(f->source, name, text);
}

static FsSource *start_monitor(FleetFixture *f)
{
    const MonitorFixtureOptions options = {
        .monitor.engine = f->program,
        .broker =
            {
                .read_only = f->options.read_only,
                .engine_uid = (uid_t)-1,
                .keep_days = 30,
                .engine_gid = (gid_t)-1,
                .front_uid = geteuid(),
                .front_gid = getegid(),
                .maker = "/nonexistent/uefivars-make",
            },
    };
    g_autoptr(GError) error = NULL;
    FsLocal *local = fs_local_open(f->source, &error);
    int link;

    g_assert_no_error(error);
    f->monitor_pid = monitor_fixture_fork(f->source, f->sockdir, &options, &link);
    g_assert_cmpint(fcntl(link, F_SETFL, O_NONBLOCK), ==, 0);
    const FsSourceFacts facts = {
        .path = local->path,
        .is_store = local->store != NULL,
        .uid = local->st.st_uid,
        .gid = local->st.st_gid,
        .sockdir = f->sockdir,
    };
    FsSource *source = fs_source_monitor_new(link, &facts);
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
    fs_fleet_need_list(f->fleet, false, NULL, on_done, &result);
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
