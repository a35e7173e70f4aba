/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* A store and the set that it should hold, for tests of stores. */

#include "store.h"

typedef struct {
    UvStore *store;
    UvVarset *set;
} StoreTest;

/* Opens dir/name and loads it; failures are assertions. */
void store_test_open(StoreTest *t, const char *dir, const char *name, bool keeper);
/* With the guard: nobody in this process may open the file while there is a journal. */
void store_test_open_guarded(StoreTest *t, const char *dir, const char *name, bool keeper);
/* Takes what the store says now as the set. */
void store_test_reload(StoreTest *t);
/* Without a compaction, as after a crash. */
void store_test_drop(StoreTest *t);
/* Compacts and closes. */
void store_test_close(StoreTest *t);

/* Non-volatile variable with this content: NULL removes. What apply says; the set follows it. */
bool store_test_try(StoreTest *t, const char *name, const char *value, GError **error);
void store_test_put(StoreTest *t, const char *name, const char *value);
/* The store's own answer (loaded aside), NULL if it has no such variable. */
char *store_test_get(StoreTest *t, const char *name);
void store_test_expect(StoreTest *t, const char *name, const char *value);
/* Any of the warnings contains the words. */
bool store_test_warned(StoreTest *t, const char *words);
UvVariable *store_test_variable(const char *name, const char *value, int64_t mtime_ns);
/* One JSON text with these variables: name, value, ..., NULL. */
char *store_test_json(const char *name, ...) G_GNUC_NULL_TERMINATED;
