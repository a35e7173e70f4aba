/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * What guests are called, and which files of SOURCE mean them.
 *
 * First match wins: a subdirectory G/ (with config.json, vars.json or vars.fd), G.json,
 * G_VARS.json, G.fd, G_VARS.fd, G_VARS.qcow2. A file belongs to one guest only: what ends in
 * "_VARS.json" is the guest before the "_VARS", never one called "..._VARS". Names with a leading
 * dot and *.config.json are never guests.
 */

#include <stdbool.h>
#include <stddef.h>

/* In the order of precedence. */
typedef enum {
    UV_GUEST_FOLDER, /* G/ */
    UV_GUEST_JSON,
    UV_GUEST_VARS_JSON,
    UV_GUEST_FD,
    UV_GUEST_VARS_FD,
    UV_GUEST_VARS_QCOW2,
    UV_GUEST_RULES,
    UV_GUEST_SOURCE = UV_GUEST_RULES, /* SOURCE is the store itself, the guest's name is "" */
} UvGuestRule;

/*
 * `libvirts`, everywhere: SOURCE is libvirt's folder for the stores of <varstore>, in which
 * NAME.json is the domain NAME's, whatever libvirt lets that be, and nothing else is a guest.
 */
bool uv_guest_name_valid(bool libvirts, const char *name);
/* What means guests, for people; `any`: as other programs keep stores, too. */
const char *uv_guest_names(bool libvirts, bool any);
/* The guest that a file name (or a folder's, `folder`) means: false if none. `ret_name_bytes` is
 * how much of `file` is the guest's name. */
bool uv_guest_classify(bool libvirts, const char *file, bool folder, UvGuestRule *ret_rule,
                       size_t *ret_name_bytes);
/* The guest that a file belongs to, its store or its config.json; allocated; NULL: none. */
char *uv_guest_of_file(bool libvirts, const char *file);
/* The file or folder by which `rule` (not UV_GUEST_SOURCE) makes the guest; allocated. */
char *uv_guest_file(UvGuestRule rule, const char *guest);
/* Whether that file is this guest's and no other's. */
bool uv_guest_fits(bool libvirts, UvGuestRule rule, const char *guest);
/* The `i`th name that other programs give the store in a machine's folder; NULL: there are no more.
 * Allocated. */
char *uv_guest_others_store(unsigned i, const char *folder);
bool uv_guest_store_is_of_others(const char *store, const char *folder);
/* G/config.json, G.config.json or, where that may be a domain's store, G.json.config; allocated. */
char *uv_guest_config(bool libvirts, UvGuestRule rule, const char *guest);
