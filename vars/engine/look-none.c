/* SPDX-License-Identifier: GPL-2.0-or-later */

/* What uefivars-look, whose engines nothing is changed through, has in the place of libraries. */

#include "device-node.h"
#include "file-error.h"
#include "verifier-load.h"

bool uv_verifier_load(GError **error)
{
    return uv_fail(error, G_FILE_ERROR, G_FILE_ERROR_NOSYS,
                   "this program verifies no signatures: it serves stores with --looked-at alone");
}

/* For whom device paths are to be shown the front starts uefivarsd. */
char *uv_device_library_format(const uint8_t *node, size_t size)
{
    return NULL;
}
