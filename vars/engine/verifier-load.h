/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <glib.h>
#include <stdbool.h>

#include "verifier.h"

/*
 * Loads uefivars-verify.so, with GnuTLS. Only before confinement, which opens no files. Without it
 * nothing is a signature, and nothing is a certificate: no signed change is accepted.
 */
bool uv_verifier_load(GError **error);
/* From now on `loaded` (which stays) verifies and hashes. */
void uv_verifier_use(const UvVerifier *loaded);
