/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * What a guest's store is made of: a private copy of the template (split), of the executable
 * (combined), or a JSON text (host-uefi-vars), beside a pin that holds the choice. Here is only
 * decided; the maker, who may write where the guest's store lies, opens the template, and makes it.
 *
 * An instantiation holds copies of all it needs and may outlive the choice and the set.
 */

#include "descriptors.h"

typedef struct DescInstantiation DescInstantiation;

/*
 * `template_folders` (NULL-terminated) is where a wish's own template may lie; a descriptor's
 * template may lie anywhere. NULL with an error if the choice has no store.
 */
DescInstantiation *desc_instantiation_new(const DescChoice *choice,
                                          const char *const *template_folders, GError **error);
void desc_instantiation_free(DescInstantiation *instantiation);
/* For a guest that wishes for no firmware but for a template: `path` is copied as it is. */
DescInstantiation *desc_instantiation_of_template(const char *path,
                                                  const char *const *template_folders,
                                                  GError **error);

/* Of the file to be copied; NULL: an empty JSON store is made. */
const char *desc_instantiation_template(const DescInstantiation *instantiation);
/* What the store is pinned with; NULL: nothing. */
const char *desc_instantiation_pin(const DescInstantiation *instantiation);
/*
 * Whether the template that is open for reading as `fd` may be copied, what it is, and what the
 * store is to be. -1: it can't be opened, for `reason`; then this only says so, in the right words.
 */
bool desc_instantiation_check(const DescInstantiation *instantiation, int fd, const char *reason,
                              DescImageKind *ret_from, DescImageKind *ret_kind, GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(DescInstantiation, desc_instantiation_free)
