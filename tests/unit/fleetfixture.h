/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* A SOURCE, a folder for sockets and a mount point in a scratch folder, for tests of the fleet. */

#include "fleet.h"

typedef struct {
    char *top, *source, *sockdir, *mountpoint, *program;
    FsOptions options;
    GMainContext *context;
    FsFleet *fleet; /* of the test; stopped and freed at the end if it is there */
    GString *told;  /* what its events were */
} FleetFixture;

/* Engines are `program` (a copy is kept). */
void fleet_fixture_set_up(FleetFixture *f, const char *program);
void fleet_fixture_tear_down(FleetFixture *f, const void *data);
/* A file below SOURCE, its folder made if need be. */
void fleet_fixture_put(const FleetFixture *f, const char *name, const char *text);
