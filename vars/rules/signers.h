/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The signers of private authenticated variables are in UvVariable.digest (JSON stores) or in the
 * variables certdb and certdbv (flash images). What comes from a store of the one kind to a store
 * of the other (LOAD, store.json, a file that another program converted) is brought to its way
 * here. The identities go along as they are: each kind takes the other's spelling
 * (uv_pkcs7_identity_is()), and writes its own with the next signed change.
 */

#include "variable.h"

/*
 * `variables` (UvVariable; other classes than `nv` stay as they are) for a store that keeps a
 * certdb, or does not; references where nothing had to change.
 *
 * To certdb: each digest becomes an entry, in the place of one that is there, and leaves its
 * variable. A certdb that is malformed or would get too large stays as it is.
 * From certdb: each entry becomes the digest of a variable that has none; certdb stays, as one that
 * a converter left. edk2's old identities, whole certificates, are longer than a digest can be:
 * those are lost, and their variables can't be changed.
 */
GPtrArray *uv_signers_convert(const GPtrArray *variables, bool nv, bool keeps_certdb);
