/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "gate.h"

#include <errno.h>

#include "update.h"

int uv_refusal_errno(const UvRefusal *refusal)
{
    return g_strcmp0(refusal->rule, UV_RULE_NO_SESSION) == 0 ? EPERM : 0;
}
