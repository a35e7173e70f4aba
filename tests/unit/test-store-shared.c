/* SPDX-License-Identifier: GPL-2.0-or-later */

/* A JSON store on shared storage: which of two hosts may write it. */

#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "claim.h"
#include "filelock.h"
#include "scratch.h"
#include "storetest.h"

#define LOCK ".uefivarsfs/s.json.lock"

static const UvHost one = {"one", "11111111-1111-4111-8111-111111111111"};
static const UvHost two = {"two", "22222222-2222-4222-8222-222222222222"};
/* The same machine after it crashed. */
static const UvHost one_again = {"one", "33333333-3333-4333-8333-333333333333"};

/* What the lock file says. */
static char *claim_text(StoreFixture *f)
{
    g_autofree char *path = scratch_path(f->dir, LOCK);
    char *text = NULL;

    g_file_get_contents(path, &text, NULL, NULL);
    return text;
}

static void expect_holder(StoreFixture *f, const char *host)
{
    g_autofree char *text = claim_text(f);
    UvClaim claim;

    if (!host) {
        g_assert_cmpstr(text, ==, "");
        return;
    }
    g_assert_true(uv_claim_parse(text, strlen(text), &claim));
    g_assert_cmpstr(claim.host.name, ==, host);
}

static void expect_refused(StoreTest *t, const char *words)
{
    g_autoptr(GError) error = NULL;

    g_assert_false(store_test_try(t, "A", "refused", &error));
    g_assert_error(error, UV_STORE_ERROR, UV_STORE_ERROR_READ_ONLY);
    g_assert_nonnull(strstr(error->message, words));
}

static void release(StoreTest *t)
{
    g_autoptr(GError) error = NULL;

    t->store->ops->release(t->store, t->set, &error);
    g_assert_no_error(error);
}

/* As a host that loses its power: the file says what it said, and nobody has it locked. */
static void die(StoreTest *t)
{
    g_clear_pointer(&t->store->lock.claim, g_free);
    store_test_drop(t);
}

static void reopen(StoreFixture *f, const UvHost *host)
{
    store_test_drop(&f->t);
    store_test_open_on(&f->t, f->dir, "s.json", f->keeper, host);
}

static void test_one_writes(StoreFixture *f, gconstpointer keeper)
{
    StoreTest other;

    reopen(f, &one);
    store_test_open_on(&other, f->dir, "s.json", f->keeper, &two);
    store_test_put(&f->t, "A", "1");
    expect_holder(f, "one");
    expect_refused(&other, "held by one since 2");
    g_assert_nonnull(strstr(other.store->lock_holder, "one since 2"));
    store_test_put(&f->t, "A", "2");
    release(&f->t);
    expect_holder(f, NULL);
    store_test_reload(&other);
    store_test_put(&other, "B", "of two");
    expect_holder(f, "two");
    g_assert_true(f->t.store->ops->changed(f->t.store));
    expect_refused(&f->t, "held by two");
    store_test_close(&other);
    expect_holder(f, NULL);
    store_test_reload(&f->t);
    store_test_expect(&f->t, "A", "2");
    store_test_expect(&f->t, "B", "of two");
    store_test_put(&f->t, "A", "3");
}

/* From acquire to release, whatever is written in between. */
static void test_held_while_the_guest_is_here(StoreFixture *f, gconstpointer keeper)
{
    g_autoptr(GError) error = NULL;

    reopen(f, &one);
    g_assert_true(f->t.store->ops->acquire(f->t.store, &error));
    expect_holder(f, "one");
    store_fixture_compact(f);
    expect_holder(f, "one");
    release(&f->t);
    expect_holder(f, NULL);
}

static void test_a_dead_host(StoreFixture *f, gconstpointer keeper)
{
    StoreTest other;
    g_autoptr(GError) error = NULL;

    reopen(f, &one);
    store_test_put(&f->t, "A", "acknowledged");
    die(&f->t);
    store_test_open_on(&other, f->dir, "s.json", f->keeper, &two);
    store_test_expect(&other, "A", "acknowledged");
    expect_refused(&other, "held by one");
    g_assert_false(uv_store_lock_is_free(&other.store->lock));
    g_assert_true(uv_store_lock_break(&other.store->lock, &error));
    expect_holder(f, NULL);
    store_test_put(&other, "B", "of two");
    store_test_expect(&other, "A", "acknowledged");
    store_test_close(&other);
    store_test_open_on(&f->t, f->dir, "s.json", f->keeper, &one);
}

/* What it had itself it needs nobody to give back. */
static void test_a_host_that_comes_back(StoreFixture *f, gconstpointer keeper)
{
    reopen(f, &one);
    store_test_put(&f->t, "A", "1");
    die(&f->t);
    store_test_open_on(&f->t, f->dir, "s.json", f->keeper, &one_again);
    store_test_put(&f->t, "A", "2");
    expect_holder(f, "one");
}

/* Taken for dead, and it is not: from then on it writes nothing. */
static void test_taken_over(StoreFixture *f, gconstpointer keeper)
{
    StoreTest other;
    g_autofree char *before = NULL, *after = NULL, *path = scratch_path(f->dir, "s.json");
    g_autoptr(GError) error = NULL;

    reopen(f, &one);
    store_test_put(&f->t, "A", "1");
    store_test_open_on(&other, f->dir, "s.json", f->keeper, &two);
    g_assert_true(uv_store_lock_break(&other.store->lock, &error));
    store_test_put(&other, "B", "of two");
    g_assert_true(other.store->ops->compact(other.store, other.set, &error));
    g_assert_true(g_file_get_contents(path, &before, NULL, NULL));
    expect_refused(&f->t, "taken over by two since");
    expect_holder(f, "two");
    g_assert_true(g_file_get_contents(path, &after, NULL, NULL));
    g_assert_cmpstr(before, ==, after);
    store_test_put(&other, "B", "still");
    store_test_close(&other);
    /* What it remembers is not what is there. */
    g_assert_false(store_test_try(&f->t, "A", "2", &error));
    g_assert_error(error, UV_STORE_ERROR, UV_STORE_ERROR_CHANGED);
    store_test_reload(&f->t);
    store_test_expect(&f->t, "A", "1");
    store_test_expect(&f->t, "B", "still");
}

/* The journal of a host that was taken over is the other one's. */
static void test_taken_over_with_a_journal(StoreFixture *f, gconstpointer keeper)
{
    StoreTest other;
    g_autoptr(GError) error = NULL;

    reopen(f, &one);
    store_test_put(&f->t, "A", "1");
    store_test_open_on(&other, f->dir, "s.json", f->keeper, &two);
    g_assert_true(uv_store_lock_break(&other.store->lock, &error));
    store_test_put(&other, "B", "appended");
    g_assert_true(scratch_exists(f->dir, STORE_JOURNAL));
    g_assert_false(f->t.store->ops->compact(f->t.store, f->t.set, &error));
    g_assert_error(error, UV_STORE_ERROR, UV_STORE_ERROR_READ_ONLY);
    g_assert_true(scratch_exists(f->dir, STORE_JOURNAL));
    store_test_close(&other);
    store_test_reload(&f->t);
    store_test_expect(&f->t, "A", "1");
    store_test_expect(&f->t, "B", "appended");
}

static void test_garbage_is_somebodys(StoreFixture *f, gconstpointer keeper)
{
    static const char *const texts[] = {
        "x",
        "one since yesterday\nboot 1\nclaim 2\n",
        "\n\n\n",
        "one since 2026-01-31T12:00:00Z\nboot 11111111-1111-4111-8111-111111111111\n",
        ("a b since 2026-01-31T12:00:00Z\nboot 11111111-1111-4111-8111-111111111111\n"
         "claim 00112233445566778899aabbccddeeff\n"),
    };
    g_autoptr(GError) error = NULL;

    reopen(f, &one);
    store_test_put(&f->t, "A", "1");
    release(&f->t);
    for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
        scratch_write(f->dir, LOCK, texts[i]);
        expect_refused(&f->t, "held by a host that can't be told");
        g_assert_true(uv_store_lock_break(&f->t.store->lock, &error));
        store_test_put(&f->t, "A", texts[i]);
        release(&f->t);
    }
}

/* Another process of the same host has it: its lock decides, and it is said. */
static void test_locked(StoreFixture *f, gconstpointer keeper)
{
    g_autofree char *path = NULL;

    reopen(f, &one);
    store_test_put(&f->t, "A", "1");
    release(&f->t);
    path = scratch_path(f->dir, LOCK);
    const int fd = open(path, O_RDWR | O_CLOEXEC);
    g_assert_cmpint(uv_filelock_take(fd, 0), ==, 0);
    expect_refused(&f->t, "locked by another engine");
    close(fd);
    store_test_put(&f->t, "A", "2");
}

static void test_claims(void)
{
    g_autofree char *text = uv_claim_new(&one), *other = uv_claim_new(&one);
    g_autofree char *described = NULL;
    UvClaim claim;

    g_assert_cmpstr(text, !=, other);
    g_assert_true(uv_claim_parse(text, strlen(text), &claim));
    g_assert_cmpstr(claim.host.name, ==, "one");
    g_assert_cmpstr(claim.host.boot, ==, one.boot);
    described = uv_claim_describe(&claim);
    g_assert_true(g_str_has_prefix(text, described));
    for (size_t size = 0; size < strlen(text); size++)
        g_assert_false(uv_claim_parse(text, size, &claim));
    for (size_t i = 0; i < strlen(text); i++) {
        g_autofree char *bad = g_strdup(text);
        bad[i] = '\x01';
        g_assert_false(uv_claim_parse(bad, strlen(bad), &claim));
        bad[i] = '\0';
        g_assert_false(uv_claim_parse(bad, strlen(text), &claim));
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/store-shared/claims", test_claims);
    store_fixture_add("store-shared", "one-writes", test_one_writes);
    store_fixture_add("store-shared", "held-while-the-guest-is-here",
                      test_held_while_the_guest_is_here);
    store_fixture_add("store-shared", "a-dead-host", test_a_dead_host);
    store_fixture_add("store-shared", "a-host-that-comes-back", test_a_host_that_comes_back);
    store_fixture_add("store-shared", "taken-over", test_taken_over);
    store_fixture_add("store-shared", "taken-over-with-a-journal", test_taken_over_with_a_journal);
    store_fixture_add("store-shared", "garbage-is-somebodys", test_garbage_is_somebodys);
    store_fixture_add("store-shared", "locked", test_locked);
    return g_test_run();
}
