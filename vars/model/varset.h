/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * A guest's variables: a hash table by (GUID, name) over a list in enumeration order: volatile ones
 * first, then non-volatile ones, each in the order of insertion; putting a variable that was there
 * moves it to the end, as edk2's log of records does. Lookup and the step to the next are constant
 * time.
 *
 * A UvChange is what one accepted request does to the set: an overlay in which later steps of the
 * same request see what earlier ones decided. It is built aside, persisted by the store, then
 * applied as a whole; nothing is ever inserted and rolled back.
 */

#include "variable.h"

typedef struct UvVarset UvVarset;
typedef struct UvChange UvChange;

UvVarset *uv_varset_new(void);
void uv_varset_free(UvVarset *set);
const UvVariable *uv_varset_lookup(const UvVarset *set, const UvGuid *guid, const UvName *name);
/* The first one, or NULL. */
const UvVariable *uv_varset_first(const UvVarset *set);
/* The one after `variable`, which must be in the set; NULL at the end. */
const UvVariable *uv_varset_next(const UvVarset *set, const UvVariable *variable);
size_t uv_varset_count(const UvVarset *set);
/* Sum of uv_variable_record_bytes() of the non-volatile (true) or volatile (false) ones. */
size_t uv_varset_used_bytes(const UvVarset *set, bool nv);
void uv_varset_put(UvVarset *set, const UvVariable *variable);
void uv_varset_remove(UvVarset *set, const UvGuid *guid, const UvName *name);
/* Sets a variable's file time; its place and content stay. NULL: no such variable. */
const UvVariable *uv_varset_touch(UvVarset *set, const UvGuid *guid, const UvName *name,
                                  int64_t mtime_ns);

/* One variable's step: before NULL is a creation, after NULL a deletion, never both NULL. */
typedef struct {
    UvVariable *before;
    UvVariable *after;
} UvChangeItem;

UvChange *uv_change_new(const UvVarset *set); /* borrows the set for the change's life */
void uv_change_free(UvChange *change);
/* As the set will be: the overlay first, then the set. */
const UvVariable *uv_change_lookup(const UvChange *change, const UvGuid *guid, const UvName *name);
void uv_change_put(UvChange *change, const UvVariable *variable);
void uv_change_remove(UvChange *change, const UvGuid *guid, const UvName *name);
/* Items in the order they were first touched; steps that leave a variable as it was are not among
 * them. */
size_t uv_change_count(const UvChange *change);
const UvChangeItem *uv_change_item(const UvChange *change, size_t i);
/* What the set would take after the change. */
size_t uv_change_used_bytes(const UvChange *change, bool nv);
bool uv_change_touches_nv(const UvChange *change);
void uv_change_apply(const UvChange *change, UvVarset *set);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(UvVarset, uv_varset_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(UvChange, uv_change_free)
