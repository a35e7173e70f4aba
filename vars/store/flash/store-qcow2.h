/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "blockd.h"
#include "store.h"

/* The store whose image `blockd` has; takes ownership of the folder and of `blockd`. */
UvStore *uv_store_qcow2_open(UvFolder *folder, const UvStoreOptions *options, UvBlockd *blockd,
                             GError **error);
