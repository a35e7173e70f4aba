/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "daemon-options.h"

#include <string.h>

#include "record.h"
#include "uv-limits.h"

/* What GOption gives, before it is checked. */
typedef struct {
    char *varcheck;
    char *sandbox;
    char *saved;
    char *user;
    gint64 size, record;
    gboolean force, no_custom, stateless;
} Raw;

static void raw_clear(Raw *raw)
{
    g_free(raw->varcheck);
    g_free(raw->sandbox);
    g_free(raw->saved);
    g_free(raw->user);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Raw, raw_clear)

static bool refuse(GError **error, const char *option, const char *why)
{
    return uv_fail(error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE, "%s: %s", option, why);
}

/* Which of the words it is; -1: none of them. No text stands for the first. */
static int choice(const char *text, const char *const *words)
{
    for (int i = 0; words[i]; i++)
        if (!text || strcmp(text, words[i]) == 0)
            return i;
    return -1;
}

/* UID:GID, both numbers. */
static bool parse_user(const char *text, UvDaemonOptions *options)
{
    g_auto(GStrv) parts = g_strsplit(text, ":", 2);
    guint64 uid, gid;

    if (!parts[0] || !parts[1] ||
        !g_ascii_string_to_unsigned(parts[0], 10, 0, G_MAXUINT32 - 1, &uid, NULL) ||
        !g_ascii_string_to_unsigned(parts[1], 10, 0, G_MAXUINT32 - 1, &gid, NULL))
        return false;
    options->become = true;
    options->uid = uid;
    options->gid = gid;
    return true;
}

static bool check(UvDaemonOptions *options, const Raw *raw, GError **error)
{
    static const char *const varchecks[] = {"strict", "edk2", "off", NULL}; /* UvVarcheckMode */
    static const char *const sandboxes[] = {"auto", "strict", "off", NULL}; /* UvSandboxMode */
    static const char *const saved[] = {"warn", "refuse", NULL};
    static const char *const formats[] = {"json", "flash", "qcow2", "uboot", NULL};

    if (options->show_version || options->print_syscalls)
        return true;
    if (!options->store)
        return refuse(error, "--store", "a store is needed (see --help)");
    if (!options->socket)
        return refuse(error, "--socket", "a socket is needed (see --help)");
    if (raw->size < UV_STORAGE_MIN || raw->size > UV_STORAGE_MAX)
        return refuse(error, "--size", "4096 to 8388608 bytes");
    if (choice(raw->varcheck, varchecks) < 0)
        return refuse(error, "--varcheck", "strict, edk2 or off");
    if (choice(options->format, formats) < 0)
        return refuse(error, "--format", "json, flash, qcow2 or uboot");
    if (choice(raw->sandbox, sandboxes) < 0)
        return refuse(error, "--sandbox", "auto, strict or off");
    if (choice(raw->saved, saved) < 0)
        return refuse(error, "--saved", "refuse or warn");
    if (raw->user && !parse_user(raw->user, options))
        return refuse(error, "--user", "UID:GID, as numbers");
    if (options->spawned && strchr(options->store, '/'))
        return refuse(error, "--store", "with --spawned it is one name in the folder at hand");
    if (raw->record != 0 && (raw->record < 4096 || raw->record > 1024 * 1024 * 1024))
        return refuse(error, "--record", "0 (no record), or 4096 to 1073741824 bytes");
    options->sandbox = choice(raw->sandbox, sandboxes);
    options->refuse_when_saved = choice(raw->saved, saved);
    options->read_only = options->read_only || raw->stateless;
    options->service = (UvServiceConfig){
        .size_bytes = raw->size,
        .force_secure_boot = raw->force,
        .disable_custom_mode = raw->no_custom,
        .stateless = raw->stateless,
        .varcheck = choice(raw->varcheck, varchecks),
    };
    options->record_bytes = (size_t)raw->record;
    return true;
}

static void add_entries(GOptionContext *context, UvDaemonOptions *options, Raw *raw)
{
    const GOptionEntry entries[] = {
        /* All words are taken as they are: to make them UTF-8, GLib opens the library's tables of
         * character sets, at each start. */
        {"store", 0, 0, G_OPTION_ARG_FILENAME, &options->store,
         "The variable store (any supported format; made if absent)", "FILE"},
        {"format", 0, 0, G_OPTION_ARG_FILENAME, &options->format,
         "Serve the store as json, flash, qcow2 or uboot only (default: as it looks)", "FORMAT"},
        {"socket", 0, 0, G_OPTION_ARG_FILENAME, &options->socket,
         "Listen for the guest's device here", "PATH"},
        {"host-socket", 0, 0, G_OPTION_ARG_FILENAME, &options->host_socket,
         "Listen for the host here", "PATH"},
        {"store-socket", 0, 0, G_OPTION_ARG_FILENAME, &options->store_socket,
         "Listen here for guests of any user that have the store open", "PATH"},
        {"size", 0, 0, G_OPTION_ARG_INT64, &raw->size, "Storage in total (262144)", "BYTES"},
        {"record", 0, 0, G_OPTION_ARG_INT64, &raw->record,
         "Keep who changed what, in so much beside the store (1048576; 0: no record)", "BYTES"},
        {"force-secure-boot", 0, 0, G_OPTION_ARG_NONE, &raw->force,
         "Secure Boot can't be turned off by the guest", NULL},
        {"disable-custom-mode", 0, 0, G_OPTION_ARG_NONE, &raw->no_custom,
         "Nothing waives a signature", NULL},
        {"varcheck", 0, 0, G_OPTION_ARG_FILENAME, &raw->varcheck,
         "Checks of known variables for the host: strict (default), edk2, off", "MODE"},
        {"saved", 0, 0, G_OPTION_ARG_FILENAME, &raw->saved,
         "Changes by the host while a saved state exists: warn (default), refuse", "MODE"},
        {"in-place", 0, 0, G_OPTION_ARG_NONE, &options->in_place,
         "Write the store's file over, never replace it: others own and label it", NULL},
        {"shared", 0, 0, G_OPTION_ARG_NONE, &options->shared,
         "Other hosts have the store's folder, too: its lock file says which one writes", NULL},
        {"sandbox", 0, 0, G_OPTION_ARG_FILENAME, &raw->sandbox,
         "Confinement: auto (what the kernel has; default), strict, off", "MODE"},
        {"daemon", 0, 0, G_OPTION_ARG_NONE, &options->daemonize, "Go to the background when ready",
         NULL},
        {"version", 0, 0, G_OPTION_ARG_NONE, &options->show_version, "Say which version this is",
         NULL},
        G_OPTION_ENTRY_NULL,
    };

    g_option_context_add_main_entries(context, entries, NULL);
}

/* For who starts engines, and for tests. */
static void add_hidden_entries(GOptionContext *context, UvDaemonOptions *options, Raw *raw)
{
    const int hidden = G_OPTION_FLAG_HIDDEN;
    const GOptionEntry entries[] = {
        {"spawned", 0, hidden, G_OPTION_ARG_NONE, &options->spawned, NULL, NULL},
        {"looked-at", 0, hidden, G_OPTION_ARG_NONE, &options->looked_at, NULL, NULL},
        {"traced", 0, hidden, G_OPTION_ARG_NONE, &options->traced, NULL, NULL},
        {"name", 0, hidden, G_OPTION_ARG_FILENAME, &options->name, NULL, "GUEST"},
        {"user", 0, hidden, G_OPTION_ARG_FILENAME, &raw->user, NULL, "UID:GID"},
        {"read-only", 0, hidden, G_OPTION_ARG_NONE, &options->read_only, NULL, NULL},
        {"stateless", 0, hidden, G_OPTION_ARG_NONE, &raw->stateless, NULL, NULL},
        {"saved-state", 0, hidden, G_OPTION_ARG_NONE, &options->is_saved, NULL, NULL},
        {"print-syscalls", 0, hidden, G_OPTION_ARG_NONE, &options->print_syscalls, NULL, NULL},
        G_OPTION_ENTRY_NULL,
    };

    g_option_context_add_main_entries(context, entries, NULL);
}

UvDaemonOptions *uv_daemon_options_parse(int *argc, char ***argv, GError **error)
{
    g_autoptr(UvDaemonOptions) options = g_new0(UvDaemonOptions, 1);
    g_auto(Raw) raw = {.size = UV_STORAGE_DEFAULT, .record = UV_RECORD_DEFAULT};
    g_autoptr(GOptionContext) context = g_option_context_new(NULL);

    g_option_context_set_summary(context, "The UEFI variable engine of one virtual machine.");
    add_entries(context, options, &raw);
    add_hidden_entries(context, options, &raw);
    if (!g_option_context_parse(context, argc, argv, error))
        return NULL;
    if (*argc > 1) {
        refuse(error, (*argv)[1], "not an option (see --help)");
        return NULL;
    }
    return check(options, &raw, error) ? g_steal_pointer(&options) : NULL;
}

void uv_daemon_options_free(UvDaemonOptions *options)
{
    if (!options)
        return;
    g_free(options->store);
    g_free(options->socket);
    g_free(options->host_socket);
    g_free(options->store_socket);
    g_free(options->format);
    g_free(options->name);
    g_free(options);
}
