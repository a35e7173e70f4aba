/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The session outlives its connections. Before each request: a connection (made here and now, when
 * there is none), HELLO with RESUME, then what is pending: RESET, ACQUIRE. A request is sent again
 * only if the engine can't have seen the whole of it; otherwise its fate is unknown, and the guest
 * is told of a device error.
 *
 * Deadlines: a request takes at most REQUEST_US in all, and QEMU does nothing else meanwhile. Once
 * one has waited in vain the engine counts as silent: HELLO is sent ahead, and until its answer has
 * come, each request fails at once. The one after that gets RETRY_US.
 */
#include "forward.h"

#include "store-open.h"

#include "vars/wire/wire.h"

#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#define START_US (10 * G_USEC_PER_SEC)
#define REQUEST_US (9 * G_USEC_PER_SEC / 2)
#define RETRY_US G_USEC_PER_SEC
#define BYE_US G_USEC_PER_SEC
/* How long no engine may listen, before a request is given up: an engine or a front that starts
 * anew.
 */
#define PATIENCE_US (2 * G_USEC_PER_SEC)
#define AGAIN_PAUSE_US 1000
#define REFUSED_PAUSE_US 10000
#define IN_VAIN_US (G_USEC_PER_SEC / 2)
/* An engine that is well has answered HELLO by then. */
#define FRESH_HELLO_US (G_USEC_PER_SEC / 20)

/* The engine, and a guest together with it, could fill a log: so many lines in so long. */
#define TELL_MAX 10u
#define TELL_PERIOD_US (60 * G_USEC_PER_SEC)

#define DEVICE_ERROR 0x10u /* UEFI_VARS_STS_ERR_UNKNOWN */
#define HELLO_BYTES 36u    /* and a name */
#define HELLO_REPLY_BYTES 24u
#define MM_REPLY_HEADER_BYTES 8u

struct GlueForward {
    char *path;
    char *store; /* NULL: the engine does not ask for it */
    char *name;
    GlueWants wants;
    void (*say)(const char *text);
    GlueLink link;
    uint8_t session_id[UV_WIRE_SESSION_ID_BYTES];
    bool incoming;      /* nothing was loaded yet */
    bool greeted;       /* the engine knows the session */
    bool reset_pending; /* a RESET whose reply has not come */
    bool released;      /* the engine let go of the store, or may have */
    bool running;       /* the machine runs: a released store is to be taken back */
    bool failing;       /* the last request failed */
    bool silent;        /* a request waited in vain, and none was answered since */
    bool hello_sent;    /* on this connection, and its answer is not here yet */
    gint64 tell_since;
    unsigned told; /* lines since then */
};

GlueForward *glue_forward_new(const char *socket_path, const char *store, const char *name,
                              const GlueWants *wants, void (*say)(const char *text))
{
    GlueForward *forward = g_new0(GlueForward, 1);

    forward->path = realpath(socket_path, NULL);
    if (!forward->path)
        forward->path = strdup(socket_path);
    forward->store = g_strdup(store);
    forward->name = g_strndup(name, UV_WIRE_NAME_MAX);
    forward->wants = *wants;
    forward->say = say;
    forward->link = (GlueLink)GLUE_LINK_INIT;
    return forward;
}

void glue_forward_free(GlueForward *forward)
{
    if (!forward)
        return;
    glue_link_close(&forward->link);
    free(forward->path);
    g_free(forward->store);
    g_free(forward->name);
    g_free(forward);
}

static bool check_flag(const char *option, GlueTri wanted, bool got, GError **error)
{
    if (wanted == GLUE_TRI_UNSET || (wanted == GLUE_TRI_ON) == got)
        return true;
    g_set_error(error, GLUE_LINK_ERROR, GLUE_LINK_ERROR_PROTOCOL,
                "%s is %s for the device, but the engine was started with%s --%s: "
                "it is the engine's to decide, give both the same or the device none",
                option, wanted == GLUE_TRI_ON ? "on" : "off", got ? "" : "out", option);
    return false;
}

static bool check_hello(GlueForward *forward, GBytes *reply, GError **error)
{
    gsize bytes;
    const uint8_t *data = g_bytes_get_data(reply, &bytes);
    uint32_t version, flags;
    uint64_t size_bytes;

    if (bytes < HELLO_REPLY_BYTES) {
        g_set_error(error, GLUE_LINK_ERROR, GLUE_LINK_ERROR_PROTOCOL,
                    "the engine's HELLO has only %zu bytes", bytes);
        return false;
    }
    version = glue_get_le(data, 4);
    flags = glue_get_le(data + 12, 4);
    size_bytes = glue_get_le(data + 16, 8);
    if (version != UV_WIRE_VERSION) {
        g_set_error(error, GLUE_LINK_ERROR, GLUE_LINK_ERROR_PROTOCOL,
                    "the engine speaks version %u of the protocol, this device only %u", version,
                    UV_WIRE_VERSION);
        return false;
    }
    if (forward->wants.size_bytes && forward->wants.size_bytes != size_bytes) {
        g_set_error(error, GLUE_LINK_ERROR, GLUE_LINK_ERROR_PROTOCOL,
                    "size is %" G_GUINT64_FORMAT " for the device, but the engine was started with "
                    "--size %" G_GUINT64_FORMAT
                    ": it is the engine's to decide, give both the same or the device none",
                    forward->wants.size_bytes, size_bytes);
        return false;
    }
    return check_flag("force-secure-boot", forward->wants.force_secure_boot,
                      flags & UV_WIRE_STATE_FORCE_SECURE_BOOT, error) &&
           check_flag("disable-custom-mode", forward->wants.disable_custom_mode,
                      flags & UV_WIRE_STATE_DISABLE_CUSTOM_MODE, error);
}

static bool send_hello(GlueForward *forward, gint64 deadline, GError **error)
{
    uint8_t hello[HELLO_BYTES + UV_WIRE_NAME_MAX] = {0};
    const size_t name_bytes = strlen(forward->name);
    uint32_t flags = forward->incoming  ? UV_WIRE_HELLO_INCOMING
                     : forward->greeted ? UV_WIRE_HELLO_RESUME
                                        : 0;
    int store_fd = -1;

    if (forward->store) {
        flags |= UV_WIRE_HELLO_STORE;
        /* A silent engine's lease is not waited for, either. */
        store_fd = glue_store_open(forward->store, forward->silent ? 0 : deadline, error);
        if (store_fd < 0)
            return false;
    }
    glue_put_le(hello, UV_WIRE_VERSION, 4);
    glue_put_le(hello + 4, UV_WIRE_VERSION, 4);
    glue_put_le(hello + 12, flags, 4);
    memcpy(hello + 16, forward->session_id, sizeof(forward->session_id));
    glue_put_le(hello + 32, 65536, 4);
    memcpy(hello + HELLO_BYTES, forward->name, name_bytes);
    return glue_link_begin(&forward->link, UV_WIRE_HELLO, hello, HELLO_BYTES + name_bytes, store_fd,
                           deadline, error);
}

/* A late answer is waited for further by the next request. */
static bool take_hello(GlueForward *forward, gint64 deadline, GError **error)
{
    GError *why = NULL;
    g_autoptr(GBytes) reply = glue_link_finish(
        &forward->link, UV_WIRE_HELLO, HELLO_REPLY_BYTES + UV_WIRE_NAME_MAX, deadline, &why);
    const bool late = g_error_matches(why, GLUE_LINK_ERROR, GLUE_LINK_ERROR_LATE);

    forward->hello_sent = late;
    if (why)
        g_propagate_error(error, why);
    if (!late && (!reply || !check_hello(forward, reply, error)))
        glue_link_close(&forward->link);
    if (late || forward->link.fd < 0)
        return false;
    forward->greeted = true;
    return true;
}

/* A connection on which the engine knows us. */
static bool greet(GlueForward *forward, gint64 patience, gint64 deadline, GError **error)
{
    if (forward->link.fd >= 0 && !forward->hello_sent)
        return true;
    if (forward->link.fd < 0) {
        forward->hello_sent = false;
        if (!glue_link_connect(&forward->link, forward->path, patience, deadline, error))
            return false;
        if (!send_hello(forward, deadline, error)) {
            glue_link_close(&forward->link);
            return false;
        }
    }
    return take_hello(forward, deadline, error);
}

/* For requests without contents either way. */
static bool call_empty(GlueForward *forward, uint16_t type, gint64 deadline, GError **error)
{
    g_autoptr(GBytes) reply = glue_link_call(&forward->link, type, NULL, 0, 0, deadline, error);

    return reply != NULL;
}

/* The machine runs, but the engine would answer it nothing. */
static bool lacks_store(const GlueForward *forward)
{
    return forward->released && forward->running;
}

/* An engine that is there, knows us, and has done what was pending. */
static bool make_ready(GlueForward *forward, gint64 patience, gint64 deadline, GError **error)
{
    if (!greet(forward, patience, deadline, error))
        return false;
    if (lacks_store(forward)) {
        if (!call_empty(forward, UV_WIRE_ACQUIRE, deadline, error)) {
            g_prefix_error(error, "can't take the store back: ");
            return false;
        }
        forward->released = false;
    }
    if (forward->reset_pending && !forward->incoming) {
        if (!call_empty(forward, UV_WIRE_RESET, deadline, error))
            return false;
        forward->reset_pending = false;
    }
    return true;
}

static bool may_tell(GlueForward *forward)
{
    gint64 now = g_get_monotonic_time();

    if (now - forward->tell_since >= TELL_PERIOD_US) {
        forward->tell_since = now;
        forward->told = 0;
    }
    return forward->told++ < TELL_MAX;
}

static void note_outcome(GlueForward *forward, bool failed, const GError *why)
{
    g_autofree char *text = NULL;

    if (failed == forward->failing)
        return;
    forward->failing = failed;
    if (!may_tell(forward))
        return;
    if (failed)
        text = g_strdup_printf("uefi-vars: no answer from the engine at %s: %s", forward->path,
                               why ? why->message : "unknown");
    else
        text = g_strdup_printf("uefi-vars: the engine at %s answers again", forward->path);
    forward->say(text);
}

/* Not refused, not nonsense: the engine has gone, and another one may come. */
static bool is_lost(const GError *why)
{
    return g_error_matches(why, GLUE_LINK_ERROR, GLUE_LINK_ERROR_NOT_SENT) ||
           g_error_matches(why, GLUE_LINK_ERROR, GLUE_LINK_ERROR_UNANSWERED);
}

/* Whether a silent engine knows us again; as good as without waiting. */
static bool is_back(GlueForward *forward, GError **error)
{
    const gint64 now = g_get_monotonic_time();

    return greet(forward, now, forward->hello_sent ? now : now + FRESH_HELLO_US, error);
}

/*
 * A frame and its reply, on a connection made anew if need be. What comes before the frame (HELLO,
 * RESET, ACQUIRE) may be repeated, also when it was refused: a front whose engines die at their
 * start, or another engine that still has the store, says so for a second. The frame itself is
 * repeated only when it was not sent. What the engine refuses of it (an ERROR frame) is an answer,
 * too: it does not count as a lost engine.
 */
static GBytes *request(GlueForward *forward, uint16_t type, const void *payload, size_t bytes,
                       size_t reply_max, GError **error)
{
    gint64 start = g_get_monotonic_time();
    gint64 deadline = start + (forward->silent ? RETRY_US : REQUEST_US);
    gint64 patience = start + (forward->silent ? 0 : PATIENCE_US);
    g_autoptr(GError) why = NULL;
    GBytes *reply = NULL;
    bool there = !forward->silent || is_back(forward, &why);

    while (there) {
        bool again, refused = false;

        if (make_ready(forward, patience, deadline, &why)) {
            reply = glue_link_call(&forward->link, type, payload, bytes, reply_max, deadline, &why);
            again = g_error_matches(why, GLUE_LINK_ERROR, GLUE_LINK_ERROR_NOT_SENT);
        } else {
            refused = g_error_matches(why, GLUE_LINK_ERROR, GLUE_LINK_ERROR_REFUSED);
            again = refused || is_lost(why);
        }
        if (!again || g_get_monotonic_time() >= patience)
            break;
        g_clear_error(&why);
        g_usleep(refused ? REFUSED_PAUSE_US : AGAIN_PAUSE_US);
    }
    forward->silent = !reply && (forward->silent || g_get_monotonic_time() - start >= IN_VAIN_US);
    note_outcome(forward,
                 !reply && (forward->silent || forward->link.fd < 0 || lacks_store(forward)), why);
    if (why)
        g_propagate_error(error, g_steal_pointer(&why));
    return reply;
}

bool glue_forward_start(GlueForward *forward, bool incoming, GError **error)
{
    gint64 now = g_get_monotonic_time();

    if (getrandom(forward->session_id, sizeof(forward->session_id), 0) !=
        sizeof(forward->session_id)) {
        g_set_error(error, GLUE_LINK_ERROR, GLUE_LINK_ERROR_NOT_SENT, "no random numbers");
        return false;
    }
    forward->incoming = incoming;
    /* Where strangers knock, one is sometimes put off. */
    for (;;) {
        g_autoptr(GError) why = NULL;

        if (greet(forward, now, now + START_US, &why))
            return true;
        if (!forward->store || !is_lost(why) || g_get_monotonic_time() >= now + PATIENCE_US) {
            g_propagate_error(error, g_steal_pointer(&why));
            return false;
        }
        g_usleep(REFUSED_PAUSE_US);
    }
}

uint32_t glue_forward_mm(GlueForward *forward, const uint8_t *buffer, size_t bytes,
                         GBytes **ret_reply)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GBytes) reply =
        request(forward, UV_WIRE_MM, buffer, bytes, MM_REPLY_HEADER_BYTES + UV_WIRE_MM_MAX, &error);

    *ret_reply = NULL;
    if (!reply || g_bytes_get_size(reply) < MM_REPLY_HEADER_BYTES)
        return DEVICE_ERROR;
    *ret_reply = g_bytes_new_from_bytes(reply, MM_REPLY_HEADER_BYTES,
                                        g_bytes_get_size(reply) - MM_REPLY_HEADER_BYTES);
    return glue_get_le(g_bytes_get_data(reply, NULL), 4);
}

void glue_forward_reset(GlueForward *forward)
{
    g_autoptr(GBytes) reply = NULL;

    /* The state of a machine that waits for its migration comes whole. */
    if (forward->incoming)
        return;
    /* One that was pending already does for both. */
    forward->reset_pending = false;
    reply = request(forward, UV_WIRE_RESET, NULL, 0, 0, NULL);
    forward->reset_pending = !reply;
}

GBytes *glue_forward_save(GlueForward *forward, bool release, GError **error)
{
    uint8_t flags[4] = {release ? UV_WIRE_SAVE_RELEASE : 0};

    if (release) {
        forward->running = false;
        forward->released = true;
    }
    return request(forward, UV_WIRE_SAVE, flags, sizeof(flags), UV_WIRE_BLOB_MAX, error);
}

bool glue_forward_load(GlueForward *forward, GBytes *blob, GError **error)
{
    gsize bytes;
    const void *data = g_bytes_get_data(blob, &bytes);
    g_autoptr(GBytes) reply = request(forward, UV_WIRE_LOAD, data, bytes, 0, error);

    if (!reply)
        return false;
    forward->incoming = false;
    forward->released = false;
    return true;
}

void glue_forward_running(GlueForward *forward)
{
    g_autoptr(GError) error = NULL;
    gint64 now = g_get_monotonic_time();

    forward->running = true;
    if (!lacks_store(forward) || (forward->silent && !is_back(forward, NULL)))
        return;
    if (!make_ready(forward, now + PATIENCE_US, now + REQUEST_US, &error))
        note_outcome(forward, true, error);
}

void glue_forward_end(GlueForward *forward)
{
    /* Without a connection there is nothing to end: the engine notices by itself. */
    if (!forward->silent || is_back(forward, NULL))
        (void)call_empty(forward, UV_WIRE_BYE, g_get_monotonic_time() + BYE_US, NULL);
    glue_link_close(&forward->link);
}
