/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* A monitor and its broker in processes of their own, over a scratch SOURCE, and the front's end of
 * the socket. */

#include "broker.h"
#include "monitor.h"
#include "packet.h"

typedef struct {
    char *top, *source, *sockdir;
    int link;
    pid_t pid;
    uint64_t last_id;
    FsAnswer answer; /* of the last monitor_fixture_ask() */
    int fds[FS_QUESTION_FDS];
    GArray *told; /* FsAnswer: what came unasked, and lists */
} MonitorFixture;

void monitor_fixture_set_up(MonitorFixture *f);
/* How both are started; the monitor is told itself what SOURCE is. */
typedef struct {
    FsMonitorOptions monitor;
    FsBrokerOptions broker;
} MonitorFixtureOptions;
/* The monitor's process, and the front's end of its socket. */
pid_t monitor_fixture_fork(const char *source, const char *sockdir,
                           const MonitorFixtureOptions *options, int *ret_link);
void monitor_fixture_start(MonitorFixture *f, const MonitorFixtureOptions *options);
/* The front hangs up: the monitor's exit status. */
int monitor_fixture_stop(MonitorFixture *f);
void monitor_fixture_tear_down(MonitorFixture *f);

void monitor_fixture_put(const MonitorFixture *f, const char *name, const char *text);
bool monitor_fixture_has(const MonitorFixture *f, const char *name);
/* Sends it with a new id and these descriptors (borrowed), and waits for its answer, whose error it
 * gives. */
int monitor_fixture_send(MonitorFixture *f, FsQuestion question, const int *fds, size_t n_fds);
int monitor_fixture_ask(MonitorFixture *f, FsAsk kind, const char *guest);
/* Waits for something of this kind that is told unasked; false after 5 s. */
bool monitor_fixture_wait(MonitorFixture *f, FsTell kind, FsAnswer *ret_told);
int monitor_fixture_memfd(const char *text, bool sealed);
