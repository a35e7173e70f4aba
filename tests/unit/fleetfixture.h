/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* A SOURCE, a folder for sockets, and a fleet over a real monitor, for tests of the fleet. */

#include "fleet.h"
#include "monitor.h"

typedef struct {
    char *top, *source, *sockdir, *program;
    FsFleetOptions options;
    GMainContext *context;
    FsFleet *fleet;    /* of the test; stopped and freed at the end if it is there */
    pid_t monitor_pid; /* 0: there is none */
    GString *told;     /* what its events were */
} FleetFixture;

/* Engines are `program` (a copy is kept). */
void fleet_fixture_set_up(FleetFixture *f, const char *program);
void fleet_fixture_tear_down(FleetFixture *f, const void *data);
/* A file below SOURCE, its folder made if need be. */
void fleet_fixture_put(const FleetFixture *f, const char *name, const char *text);

/* f->fleet, started, over a monitor in a child process; it knows what is in SOURCE. */
void fleet_fixture_start(FleetFixture *f, const FsFleetEvents *events /* nullable */);
/* As a crash of the front: its monitor ends by itself. */
void fleet_fixture_crash(FleetFixture *f);
/* As a clean end. */
void fleet_fixture_stop(FleetFixture *f);

/* Each iterates the context until it is done, or fails after 15 s. */
void fleet_fixture_run_until(FleetFixture *f, const bool *done);
void fleet_fixture_list(FleetFixture *f);
FsGuest *fleet_fixture_find(FleetFixture *f, const char *name); /* NULL: there is none */
/* An errno. */
int fleet_fixture_need(FleetFixture *f, FsGuest *guest, unsigned needs);
