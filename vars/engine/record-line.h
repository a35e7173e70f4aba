/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* One line of the record, appended to a text. */

#include "record.h"

/* `time_us`: when it was done, realtime. */
void uv_record_line_change(GString *out, int64_t time_us, const UvActor *actor,
                           const UvChangeItem *item);
void uv_record_line_refusal(GString *out, const UvActor *actor, const UvRecordRefusal *refusal);
void uv_record_line_found(GString *out, const UvActor *actor, const UvRecordFound *found);
/* That lines were left out. */
void uv_record_line_lost(GString *out, unsigned count);
