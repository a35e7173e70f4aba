/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The resolver's face towards uefivarsfs: load the descriptors of a search path, match a guest's
 * wish (config.json) against them, tell what the choice takes to start. No FUSE, no engine, no
 * guest registry here.
 */

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct DescSet DescSet; /* the effective descriptors of a search path, in priority order */
typedef struct Desc Desc;       /* one of them, usable or not */
typedef struct DescWish DescWish;     /* a parsed config.json */
typedef struct DescChoice DescChoice; /* a wish resolved against a set */

/* What an image or a store says of itself in its first bytes. */
typedef enum {
    DESC_IMAGE_UNKNOWN, /* not there, or not looked at */
    DESC_IMAGE_RAW,
    DESC_IMAGE_QCOW2,
    DESC_IMAGE_JSON,
} DescImageKind;

typedef struct {
    DescImageKind kind;
    uint64_t bytes;        /* of the disk that a guest sees */
    uint64_t volume_bytes; /* of the firmware volume it begins with; 0: none, or a qcow2's */
} DescImage;

#define DESC_IMAGE_HEAD 4096u
/* `head`: the first DESC_IMAGE_HEAD bytes, fewer only of a smaller file. */
DescImage desc_image_parse(const uint8_t *head, size_t size, uint64_t file_bytes);
/* Of a regular file, by pread(2); false with errno (EINVAL: it is none). */
bool desc_image_read(int fd, DescImage *ret_image);
/* How the files that descriptors name are looked at; false with errno, and nothing written. */
typedef bool (*DescLook)(const char *path, DescImage *ret_image, void *data);

/* Directories from general to specific; NULL: the standard ones. `host_architecture` (QEMU's name)
 * is what a wish without one prefers; NULL: this host's. `look` NULL: by opening them, regular
 * files only. Never fails: what can't be read or used shows in its `why`. */
DescSet *desc_set_load(const char *const *search_path, const char *host_architecture, DescLook look,
                       void *look_data);
/* What NULL stands for; the caller's. */
char **desc_standard_search_path(void);
/* QEMU's name; NULL: none that QEMU knows. */
const char *desc_set_host_architecture(const DescSet *set);
void desc_set_free(DescSet *set);
/*
 * True if something is not what was loaded. Files that came or went are seen at once: each call
 * compares the folders. Of the files it compares a few (2, or a sixteenth of them), the next ones
 * each time, so that it costs little however many there are.
 */
bool desc_set_has_changed(DescSet *set);
/* The search path's folders and those of the images that descriptors name; NULL-terminated. */
const char *const *desc_set_folders(const DescSet *set);
size_t desc_set_count(const DescSet *set);
const Desc *desc_set_get(const DescSet *set, size_t i);
const Desc *desc_set_find(const DescSet *set, const char *name); /* by file name; NULL: none */

const char *desc_name(const Desc *desc); /* NN-name.json */
/* Of its file, when it was loaded; 0 for one that a pin holds. */
int64_t desc_mtime_ns(const Desc *desc);

/* NULL with an error that names the key. Empty text is the empty wish. */
DescWish *desc_wish_parse(const char *text, size_t size, GError **error);
void desc_wish_free(DescWish *wish);
/* What a wish says of its engine. */
typedef struct {
    uint64_t size_bytes; /* 0: the mount's default */
    bool force_secure_boot, disable_custom_mode;
} DescEngine;
const DescEngine *desc_wish_engine(const DescWish *wish); /* all zero when absent */
const char *desc_wish_template(const DescWish *wish);     /* NULL when absent */
/* Anything that decides about firmware; without it a guest's store is an empty JSON one. */
bool desc_wish_asks_for_firmware(const DescWish *wish);

/*
 * Never NULL; without a match it has only `why`. `pin` is a pinned choice's text or NULL; one that
 * can't be read is told in `why`, and the wish is resolved anew. `store` is what the guest has
 * already; NULL: nothing. Nothing is opened or looked at: what comes out depends on these four
 * alone.
 */
DescChoice *desc_resolve(const DescSet *set, const DescWish *wish, const char *pin,
                         const DescImage *store);
/* What one descriptor would give by itself, for firmware/descriptors/. Both borrow from the set. */
DescChoice *desc_choice_of(const Desc *desc);
/* No choice at all, because config.json is wrong; `why` says so. */
DescChoice *desc_choice_of_mistake(const char *text);
void desc_choice_free(DescChoice *choice);
const Desc *desc_choice_desc(const DescChoice *choice); /* NULL: nothing satisfies the wish */
/* The text to pin the choice with. */
char *desc_choice_pin(const DescChoice *choice);

typedef enum {
    DESC_STORE_NONE,  /* stateless, igvm, kernel, memory: without host-uefi-vars */
    DESC_STORE_FLASH, /* a private copy of the template (split) or of the executable (combined) */
    DESC_STORE_JSON,  /* host-uefi-vars */
} DescStoreKind;
DescStoreKind desc_choice_store_kind(const DescChoice *choice);
const char *desc_choice_template(
    const DescChoice *choice); /* what the store is made from; NULL: empty */

/* Where things will be when the guest starts; what is NULL is left out or said as a placeholder. */
typedef struct {
    const char *guest_name;
    const char *store_path;
    bool has_store;  /* it is there: what does not fit it is left out */
    DescImage store; /* what it is, as far as that is known */
    const char *socket_path;
} DescPlace;

/*
 * Files of a firmware/ directory: the names, and each one's text or link target. `index` from 0
 * until the name is NULL. `ret_is_link` tells which it is. The text is allocated for the caller.
 */
const char *desc_choice_file_name(const DescChoice *choice, size_t index);
char *desc_choice_file(const DescChoice *choice, const DescPlace *place, const char *name,
                       bool *ret_is_link);

/* The first match for an architecture and interface, for firmware/default/; NULL if there is none.
 */
const Desc *desc_set_default(const DescSet *set, const char *architecture, const char *interface);
/* All architectures and interfaces any usable descriptor names; NULL-terminated, owned by the set.
 */
const char *const *desc_set_architectures(const DescSet *set);
const char *const *desc_set_interfaces(const DescSet *set, const char *architecture);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(DescSet, desc_set_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DescWish, desc_wish_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DescChoice, desc_choice_free)
