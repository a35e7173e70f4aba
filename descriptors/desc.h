/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The parts behind descriptors.h, shared between the resolver's own files.
 *
 * A descriptor is parsed once and then const. One that can't be used keeps its name, its path and
 * the problem (file, line, reason), so that it still shows in listings, and nothing else of it
 * counts.
 */

#include "descriptors.h"
#include "emit.h"
#include "json-lines.h"
#include "schema.h"

typedef struct {
    char *filename; /* NULL: not given */
    DescFormat format;
    DescImage image; /* what was found there; of a pin's: only if a descriptor names it, too */
} DescFile;

typedef struct {
    const char *architecture; /* of desc_architectures */
    GPtrArray *machines;      /* of char *: globs as g_pattern_match_simple() takes them */
} DescTarget;

struct Desc {
    char *name;
    char *path;
    char *text;       /* as read, for the pin */
    char *problem;    /* NULL: usable */
    GPtrArray *notes; /* of char *: what was ignored */
    char *description;
    GPtrArray *interfaces; /* of const char *, of desc_interfaces, most native first */
    GPtrArray *targets;    /* of DescTarget * */
    unsigned features;     /* DescFeature bits */
    DescDevice device;
    DescMode mode;       /* flash only */
    DescFile executable; /* every device's file */
    DescFile template;   /* flash: nvram-template; memory with host-uefi-vars: the store's, JSON */
    unsigned features_line, template_line;
    int64_t mtime_ns;
};

/* Never NULL: what can't be used has `problem` set. By its text alone: no file is looked at. */
Desc *desc_parse(const char *path, const char *text, size_t size);
/* Looks at the files that it names; sets `problem` if it promises what they do not hold. */
void desc_examine(Desc *desc, DescLook look, void *look_data);
/* What was found in that file, if a usable descriptor of the set names it; else unknown. */
DescImage desc_set_find_image(const DescSet *set, const char *filename);
/* The DescLook that opens the file: regular ones only, never waiting. */
bool desc_image_look(const char *path, DescImage *ret_image, void *data);
void desc_free(Desc *desc);
bool desc_has_interface(const Desc *desc, const char *interface);

struct DescWish {
    char *architecture; /* NULL: any; likewise the rest */
    char *machine;
    char *interface;
    unsigned required; /* DescFeature bits */
    unsigned refused;
    bool has_device, has_mode, has_format;
    bool format_is_stores; /* it was not wished for: the guest's store has it */
    DescDevice device;
    DescMode mode;
    DescFormat format;
    char *descriptor;
    char *template;
    DescEngine engine;
};

/* The first target that the wish's architecture and machine fit; NULL: none. */
const DescTarget *desc_find_target(const Desc *desc, const DescWish *wish);
/* NULL if the descriptor satisfies the wish, else why not (allocated, one line). */
char *desc_mismatch(const Desc *desc, const DescWish *wish);

struct DescChoice {
    const Desc *desc;   /* NULL: nothing satisfies the wish; borrowed from the set, or `pinned` */
    Desc *pinned;       /* owned: the descriptor as it was when the store was made */
    char *architecture; /* to start with; of the wish, else of the descriptor's first target */
    char *machine;
    DescFormat format;   /* of the guest's own copy */
    bool stateless;      /* wished for: what the firmware would keep is not kept */
    char *template_path; /* the wish's own template, else NULL */
    bool of_guest;       /* false: shown by itself in firmware/descriptors/ */
    char *why;
};

/*
 * Texts of a choice; each allocated. NULL where it does not apply, or with `ret_refusal` ("key:
 * reason", allocated; else untouched or NULL) where a value can't stand in it (emit.h).
 */
char *desc_qemu_args(const DescChoice *choice, const DescPlace *place, char **ret_refusal);
char *desc_qemu_legacy_args(const DescChoice *choice, const DescPlace *place, char **ret_refusal);
char *desc_libvirt_xml(const DescChoice *choice, const DescPlace *place, char **ret_refusal);
char *desc_libvirt_legacy_xml(const DescChoice *choice, const DescPlace *place, char **ret_refusal);
/* Arguments that a domain has, too: nothing where the choice has no such thing. */
void desc_args_vars_device(DescArgs *args, const DescChoice *choice, const DescPlace *place);
void desc_args_igvm(DescArgs *args, const DescChoice *choice);
/* The x86 flash geometry, a line a unit; NULL, too, where a file's size can't be told. */
char *desc_pflash(const DescChoice *choice, const DescPlace *place, char **ret_refusal);
/* Why the guest's store is none for this firmware, so that nothing may start it on it (one line,
 * allocated); NULL: it fits, as far as is known. */
char *desc_store_mismatch(const DescChoice *choice, const DescPlace *place);
bool desc_is_x86(const DescChoice *choice);
/* The name of the wish or NULL for a descriptor shown by itself: a word that stands for it. */
const char *desc_place_name(const DescPlace *place);
const char *desc_place_store(const DescPlace *place);
const char *desc_place_socket(const DescPlace *place);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Desc, desc_free)
