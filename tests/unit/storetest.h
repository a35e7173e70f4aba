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
/* As a store that others own and label, with the guard asked for. */
void store_test_open_in_place(StoreTest *t, const char *dir, const char *name, bool keeper);
/* As an engine of this host, of several that have the folder. */
void store_test_open_on(StoreTest *t, const char *dir, const char *name, bool keeper,
                        const UvHost *host);
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

/* A test's own folder with the store s.json, which is reached directly or through a keeper. */
typedef struct {
    char *dir;
    StoreTest t;
    bool keeper;
} StoreFixture;
typedef void (*StoreFixtureTest)(StoreFixture *f, gconstpointer keeper);

#define STORE_JOURNAL ".uefivarsfs/s.json.journal"

/* As /PREFIX/direct/NAME and as /PREFIX/keeper/NAME. */
void store_fixture_add(const char *prefix, const char *name, StoreFixtureTest test);
/* `keeper` NULL: directly. */
void store_fixture_set_up(StoreFixture *f, gconstpointer keeper);
void store_fixture_tear_down(StoreFixture *f, gconstpointer keeper);
/* As after a crash. */
void store_fixture_reopen(StoreFixture *f);
void store_fixture_compact(StoreFixture *f);
/* The file is this text, and complete. */
void store_fixture_expect(StoreFixture *f, const char *text);
