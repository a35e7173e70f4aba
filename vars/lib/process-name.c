/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "process-name.h"

#include <glib.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>

/* The arguments that ps shows: fields 48 and 49 of /proc/self/stat (arg_start, arg_end). */
void uv_rename_process(const char *name)
{
    g_autofree char *stat_text = NULL;
    const char *at;
    unsigned long start = 0, end = 0;

    prctl(PR_SET_NAME, name);
    if (!g_file_get_contents("/proc/self/stat", &stat_text, NULL, NULL))
        return;
    at = strrchr(stat_text, ')'); /* the end of field 2 */
    for (int field = 2; at && field < 48; field++)
        at = strchr(at + 1, ' ');
    if (!at || sscanf(at, " %lu %lu", &start, &end) != 2 || start == 0 || end <= start)
        return;
    memset((char *)start, 0, end - start);
    memcpy((char *)start, name, MIN(strlen(name), end - start - 1));
}
