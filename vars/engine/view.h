/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Views: a guest's variables as text in files, for administrators: boot/, secure-boot/, next-boot/.
 *
 * Load options, device paths, certificates and lists are bytes that a guest made, so they are
 * decoded and encoded here, in that guest's confined engine, and cross the host socket as text. The
 * front shows the files and understands none of it. A view keeps nothing: what it lists and reads
 * is made from the variables each time, and what is written to it becomes one or more SetVariable
 * through the service, with all rules.
 *
 * A path is relative to the view, components separated by '/', never empty, absolute or with "..".
 */

#include <sys/stat.h>

#include "service.h"

typedef struct UvServer UvServer;

/* What a write came to: as the outcome of wire.h. */
typedef struct {
    EfiStatus status; /* EFI_SUCCESS: done */
    int error;        /* an errno in place of the status's; 0: the status's in the table */
    char *reason;     /* owned; NULL: nothing to say */
} UvViewOutcome;

/* All files and folders of a view, folders before what is in them. */
typedef struct UvViewList UvViewList;
/* What a file of a view is. */
#define VIEW_READ_ONLY (S_IFREG | 0444)
#define VIEW_WRITE_ONLY (S_IFREG | 0200)
#define VIEW_READ_WRITE (S_IFREG | 0644)
#define VIEW_FOLDER (S_IFDIR | 0755)
/* `size` is that of the text now; 0 for what is only written to. `mode`: type and permissions.
 * false: there is no room for more, and what is there will not be told either. */
bool uv_view_list_add(UvViewList *list, const char *path, uint32_t mode, size_t size);

typedef enum {
    UV_VIEW_WRITE,  /* `content` is the whole new text */
    UV_VIEW_REMOVE, /* rm; EINPROGRESS: nothing changed, and it goes when its folder does */
    UV_VIEW_MKDIR,
    UV_VIEW_RMDIR,
    UV_VIEW_ACTS,
} UvViewAct;

typedef struct {
    const char *name; /* of the folder beside vars/ */
    void (*list)(UvServer *server, UvViewList *list);
    /* The whole text; NULL: no such file, or not one that is read. */
    GBytes *(*read)(UvServer *server, const char *path);
    void (*act)(UvServer *server, UvViewAct act, const char *path, GBytes *content,
                UvViewOutcome *outcome);
} UvView;

extern const UvView uv_view_boot;
extern const UvView uv_view_secure_boot;
extern const UvView uv_view_next_boot;

/* For the views: sets what is said, with the errno (0: the status's own). Always false. */
bool uv_view_refuse(UvViewOutcome *outcome, EfiStatus status, int error, const char *format, ...)
    G_GNUC_PRINTF(4, 5);
/* That there is no such file, that this can't be done with it. Always false. */
bool uv_view_refuse_path(UvViewOutcome *outcome);
/* The text of a written file: valid UTF-8 without NUL, white space at both ends gone; NULL
 * (refused) otherwise, or if it has more than `max_bytes`. */
char *uv_view_text(GBytes *content, size_t max_bytes, UvViewOutcome *outcome);
/* A text and a newline. */
GBytes *uv_view_line(const char *text);
/* The service behind a server. */
UvService *uv_view_service(const UvServer *server);
/* As SetVariable of the host's door. Size 0 and attributes 0 delete. */
void uv_view_set(UvServer *server, const UvSetRequest *request, UvViewOutcome *outcome);
/* Several as one (uv_service_set_all()). */
void uv_view_set_all(UvServer *server, const UvSetRequest *requests, size_t count,
                     UvViewOutcome *outcome);
