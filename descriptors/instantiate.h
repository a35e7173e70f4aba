/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Making a guest's store from a choice: a private copy of the template (split), of the executable
 * (combined), or a JSON text (host-uefi-vars), beside a pin that holds the choice.
 *
 * The copy is complete and synced under a temporary name before it gets the store's, which fails if
 * one is there; the pin is in place before. So a crash leaves no store or a whole one, and a pin
 * without a store means nothing. May take as long as copying 64 MiB: run it in a thread of its own.
 * An instantiation holds copies of all it needs and may outlive the choice and the set.
 */

#include "descriptors.h"

#include <sys/types.h>

typedef struct DescInstantiation DescInstantiation;

/*
 * `template_folders` (NULL-terminated) is where a wish's own template may lie; a descriptor's
 * template may lie anywhere. NULL with an error if the choice has no store, or its template is
 * outside.
 */
DescInstantiation *desc_instantiation_new(const DescChoice *choice,
                                          const char *const *template_folders, GError **error);
void desc_instantiation_free(DescInstantiation *instantiation);
/* For a guest that wishes for no firmware but for a template: `path` is copied as it is. */
DescInstantiation *desc_instantiation_of_template(const char *path,
                                                  const char *const *template_folders,
                                                  GError **error);

bool desc_instantiation_is_json(const DescInstantiation *instantiation);
/* Makes `name` in the folder, and `name`.pin in that of the store's sidecars. G_FILE_ERROR_EXIST:
 * there is a store already. */
bool desc_instantiation_run(const DescInstantiation *instantiation, int folder_fd, int sidecars_fd,
                            const char *name, uid_t uid, gid_t gid, GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(DescInstantiation, desc_instantiation_free)
