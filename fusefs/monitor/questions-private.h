/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Shared by questions.c and ask-start.c. */

#include "monitor-private.h"

typedef struct {
    FsMonitor *monitor;
    const FsQuestion *question;
    int *fds;
    FsAnswer answer; /* sent when the function has returned, unless it is `later` */
    int answer_fds[FS_QUESTION_FDS];
    bool later;
} FsAsked;

/* The place of the guest that the question names. 0 or -errno. */
int monitor_open_place(const FsAsked *asked, FsPlace *ret_place);

/* ask-start.c */
int monitor_ask_start(FsAsked *asked);
int monitor_ask_connect(FsAsked *asked);
