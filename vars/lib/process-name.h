/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* What ps shows of this process from now on; for helpers that are forked and not executed. */
void uv_rename_process(const char *name);
