/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The wire protocol, version 1 (uefivars-protocol(7) is the reference and changes together with
 * this).
 *
 * Stream socket, little endian. A frame is a 16-byte header and a payload. Types below 0x40 belong
 * to the guest socket, 0x40 to 0x7f to the host socket. Constants only: the QEMU device includes
 * this file too.
 */

#include <stdint.h>

#define UV_WIRE_VERSION 1u

/* header: u32 payload length, u16 type, u16 flags (0), u64 cookie. */
#define UV_WIRE_HEADER_BYTES 16u
#define UV_WIRE_REPLY 0x8000u

/* Guest socket. */
#define UV_WIRE_HELLO 0x01u
#define UV_WIRE_MM 0x02u
#define UV_WIRE_RESET 0x03u
#define UV_WIRE_SAVE 0x04u
#define UV_WIRE_LOAD 0x05u
#define UV_WIRE_ACQUIRE 0x06u
#define UV_WIRE_BYE 0x07u
#define UV_WIRE_ERROR 0xffu

#define UV_WIRE_HELLO_INCOMING 1u /* HELLO flags */
#define UV_WIRE_HELLO_RESUME 2u
#define UV_WIRE_HELLO_STORE 4u /* the store, open O_RDWR, comes with the frame (SCM_RIGHTS) */
#define UV_WIRE_STATE_FORCE_SECURE_BOOT 1u /* HELLO reply flags */
#define UV_WIRE_STATE_DISABLE_CUSTOM_MODE 2u
#define UV_WIRE_STATE_READ_ONLY 4u
#define UV_WIRE_SAVE_RELEASE 1u
#define UV_WIRE_SESSION_ID_BYTES 16u

/* Largest payloads: MM 64 KiB + 64, blobs 16 MiB, names in HELLO 255 bytes. */
#define UV_WIRE_MM_MAX (65536u + 64u)
#define UV_WIRE_BLOB_MAX (16u * 1024 * 1024)
#define UV_WIRE_NAME_MAX 255u
#define UV_WIRE_HELLO_MAX (48u + UV_WIRE_NAME_MAX)

/* ERROR codes. */
#define UV_WIRE_E_MALFORMED 1u    /* the frame or its payload; the connection is closed */
#define UV_WIRE_E_VERSION 2u      /* no common version */
#define UV_WIRE_E_UNKNOWN_TYPE 3u /* the connection stays */
#define UV_WIRE_E_OCCUPIED 4u     /* another client is connected; the text names it */
#define UV_WIRE_E_STATE 5u        /* not now: before HELLO, before LOAD, after RELEASE */
#define UV_WIRE_E_STORE 6u        /* the store can't be read, written or locked */
#define UV_WIRE_E_BLOB 7u         /* the state blob is not one, or of another version */
#define UV_WIRE_E_CHANGED 8u      /* ACQUIRE, start: the store changed meanwhile */
#define UV_WIRE_E_TIMEOUT 9u      /* a deadline passed; the connection is closed */
#define UV_WIRE_E_PROOF 10u       /* HELLO did not come with the store; the connection is closed */

/*
 * Host socket (between uefivarsfs and its engines; 0600, peer credentials checked).
 * "name" is u16 length and a file name (Name-guid, escaped); "content" is what a file reads: u32
 * attributes and data. "entry" is name, i64 mtime ns, u32 content length, content.
 * "usage" is u64 total bytes, u64 remaining, u64 largest variable. "identity" is u64 device, u64
 * inode, u64 size, i64 mtime ns, i64 ctime ns. "outcome" is u64 EFI status, u32 errno (0: map the
 * status), reason (UTF-8 to the end of the frame).
 */
#define UV_HOST_HELLO                                                                              \
    0x40u /* u32 version, front build; reply u32 version, u32 state, u32 pid, identity, engine     \
             build */
#define UV_HOST_SNAPSHOT                                                                           \
    0x41u /* empty; reply u32 state, usage, identity, u32 count, entries; CHANGED follow from then \
             on */
#define UV_HOST_SET                                                                                \
    0x42u /* u32 flags, i64 mtime ns (0: now), name, content to the end; reply outcome */
#define UV_HOST_STATUS 0x43u /* empty; reply JSON object (UTF-8) */
/* empty; reply store JSON text. A JSON store is compacted first where it may be written, and the
 * reply is its file's own text, so size and times of that file are those of store.json. */
#define UV_HOST_EXPORT 0x44u
#define UV_HOST_IMPORT 0x45u /* store JSON text; reply outcome (EBUSY: a session is alive) */
#define UV_HOST_TOUCH 0x46u  /* i64 mtime ns, name; reply outcome */
#define UV_HOST_LISTENER                                                                           \
    0x47u                   /* empty; reply empty with the guest's listening socket (SCM_RIGHTS) */
#define UV_HOST_CHECK 0x48u /* the store's file looks different: reply as STATE, after looking */
#define UV_HOST_END                                                                                \
    0x49u /* end unless a guest is there: reply u32 1 if it ends (store complete), identity, and   \
             the state it leaves: as STATUS's reply, without what is the engine's own */
/* Try what confinement forbids (hidden): reply text, a line a try. */
#define UV_HOST_SELFTEST 0x4au
/*
 * Views (boot/, secure-boot/, ...): "text" is u16 length and UTF-8. LIST: view as text; reply u32
 * count, {u32 mode, u64 size, path as text}. READ: view, path; reply outcome, with the file's text
 * in place of a reason where it is there. ACT: u32 act (0 write, 1 remove, 2 make a folder, 3
 * remove one), view, path, content to the end; reply outcome (EINPROGRESS of a removal: the file
 * goes when its folder does).
 */
#define UV_HOST_VIEW_LIST 0x4bu
#define UV_HOST_VIEW_READ 0x4cu
#define UV_HOST_VIEW_ACT 0x4du
/* Who asks for the next change on this connection: u32 uid, gid, pid, name of the program (UTF-8,
 * at most 64 bytes). No reply. */
#define UV_HOST_ACTOR 0x4eu
/* u32 what is wanted from now on (UV_TRACE_*; 0: nothing more); reply empty, and TRACED follow. On
 * a connection of its own, which the other events don't wait for. */
#define UV_HOST_TRACE 0x4fu
#define UV_HOST_CHANGED                                                                            \
    0x50u /* event, cookie 0: u32 state, usage, identity, u32 count, {u8 1 put 0 removed, entry or \
             name} */
/* event, cookie 0: u32 state, usage, identity, u32 process that is the guest (0: not known) */
#define UV_HOST_STATE 0x51u
/* event, cookie 0: u32 one of UV_TRACE_*, u64 how many were lost before these, u32 how many these
 * are, and they: whole lines of JSON, or whole packets of a pcap file. */
#define UV_HOST_TRACED 0x52u
/* empty, no reply: one RECORDED when the record has grown since the one before, or at once where it
 * has already, or there was none on this connection */
#define UV_HOST_FOLLOW 0x53u
#define UV_HOST_RECORDED 0x54u /* event, cookie 0: empty */
/* The front refused something itself, for the record; who asked tells ACTOR before it: i64
 * microseconds since 1970, u32 errno, u32 how many before it are not told, operation, path and
 * reason as texts. No reply. */
#define UV_HOST_REFUSED 0x55u
/* Shared storage: the claim of another host, which is dead, is broken. Empty; reply outcome (EBUSY:
 * the guest is here, EINVAL: not shared). */
#define UV_HOST_BREAK 0x60u

/* Largest payloads: what a guest's buffer could hold, behind the attributes; whole stores. A frame
 * that is larger is answered (SET, TOUCH and IMPORT by an outcome) and dropped. */
#define UV_HOST_NAME_MAX 255u
#define UV_HOST_CONTENT_MAX (4u + 65536u)
#define UV_HOST_SET_MAX (4u + 8u + 2u + UV_HOST_NAME_MAX + UV_HOST_CONTENT_MAX)
#define UV_HOST_IMPORT_MAX UV_WIRE_BLOB_MAX
#define UV_HOST_REQUEST_MAX 8192u /* of every other request that has a payload */

#define UV_HOST_TRACED_MAX (512u * 1024)

#define UV_TRACE_LINES 1u
#define UV_TRACE_PACKETS 2u

#define UV_HOST_SET_DELETE 1u    /* unlink: attributes 0, size 0; content is empty */
#define UV_HOST_SET_EXCLUSIVE 2u /* EEXIST if the variable is there (RENAME_NOREPLACE) */
#define UV_HOST_SET_ASK 4u       /* the outcome that it would have; nothing is changed */

/* u32 state */
#define UV_HOST_STATE_GUEST 1u     /* a guest's session is alive */
#define UV_HOST_STATE_CONNECTED 2u /* its connection is, too */
#define UV_HOST_STATE_READ_ONLY 4u
#define UV_HOST_STATE_RUNTIME 8u /* after ExitBootServices */
#define UV_HOST_STATE_RELEASED 16u
