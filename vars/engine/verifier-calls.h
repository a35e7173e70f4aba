/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "verifier.h"

/* From now on `loaded` (which stays) verifies and hashes. Before, nothing is a signature, and
 * nothing is a certificate. */
void uv_verifier_use(const UvVerifier *loaded);
