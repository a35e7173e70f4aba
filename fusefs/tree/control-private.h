/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Shared by tree-control.c, the control files and the folder that they are in. */

#include "textfile.h"
#include "tree-parts.h"

/* What attributes are made of, besides the owner. */
typedef struct {
    uint64_t bytes;
    int64_t mtime_ns;
} FsMeasure;

struct FsControl {
    const char *name;
    mode_t type_and_mode;
    unsigned needs; /* FsNeeds of attributes and open */
    /* false: it takes more than `needs`, and getattr does it; NULL: always. */
    bool (*measure)(FsTree *tree, FsGuest *guest, FsMeasure *ret);
    FsStep getattr;
    FsStep open; /* ends by fs_control_reply_opened() */
    char *(*link)(const FsGuest *guest);
    bool (*exists)(const FsGuest *guest); /* NULL: always */
    size_t text_max;                      /* of a text that ends by itself */
    size_t collected_max;                 /* of what ends when the file is closed */
    bool by_write;                        /* each write is a whole text */
    bool ignored; /* what is written is no content, and comes with every restore */
    const UvJsonRules *rules;
    void (*commit)(FsOp *op, GBytes *text, FsStep done, FsStep failed); /* errno in op->error */
};

size_t fs_control_index(const FsControl *control); /* in the table */

void fs_control_reply_attr(FsOp *op, const FsMeasure *measure);
/* What is read from now on is op->content; NULL is nothing. */
void fs_control_reply_opened(FsOp *op);

/* holder.c: what FsControl says of it. */
bool fs_holder_exists(const FsGuest *guest);
void fs_holder_getattr(FsOp *op);
void fs_holder_open(FsOp *op);
void fs_holder_commit(FsOp *op, GBytes *text, FsStep done, FsStep failed);

/* control-store.c: what FsControl says of them. */
bool fs_store_measure(FsTree *tree, FsGuest *guest, FsMeasure *ret);
void fs_store_getattr(FsOp *op);
void fs_store_open(FsOp *op);
void fs_store_commit(FsOp *op, GBytes *text, FsStep done, FsStep failed);
