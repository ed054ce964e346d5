/* segment_map.c: an object's pages in this process, each region with the protection its writer allows. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "error.h"
#include "segment.h"

#define SUFFIX_BYTES 4 /* ".new" */

int mxrc_object_name_valid(const char *name)
{
    size_t length = strlen(name);
    return name[0] == '/' && length >= 2 && length + SUFFIX_BYTES < MXRC_TEXT_BYTES &&
           strchr(name + 1, '/') == NULL && strcmp(name, "/.") != 0 && strcmp(name, "/..") != 0;
}

static int in_group(gid_t group)
{
    gid_t groups[256];
    int count = getgroups(256, groups);
    for (int i = 0; i < count; i++) {
        if (groups[i] == group) {
            return 1;
        }
    }
    return getegid() == group;
}

/* Whose segment may be worked with: RT our own only; Non-RT also root's, or one shared with a group of
 * ours; the inspector reads whatever the kernel lets it. Nobody's that all may write. */
static int owner_trusted(const struct stat *status, int access)
{
    if (access == MXRC_ACCESS_READ) {
        return 1;
    }
    if ((status->st_mode & S_IWOTH) != 0) {
        return 0;
    }
    if (status->st_uid == geteuid()) {
        return 1;
    }
    return access == MXRC_ACCESS_NONRT &&
           (status->st_uid == 0 || ((status->st_mode & S_IWGRP) != 0 && in_group(status->st_gid)));
}

static int foreign(const char *name, const struct stat *status, char *error, size_t error_bytes)
{
    if (status->st_uid == geteuid()) {
        return mxrc_fail(error, error_bytes, MXRC_OPEN_FOREIGN,
                         "shared memory %s (mode %04o) is not to be trusted or not permitted: "
                         "remove " MXRC_SHM_DIR "%s when no mxrc process uses it",
                         name, status->st_mode & 07777, name);
    }
    return mxrc_fail(
        error, error_bytes, MXRC_OPEN_FOREIGN,
        "shared memory %s belongs to user %u, this process runs as user %u: run as "
        "that user, choose another instance name, or have its owner remove " MXRC_SHM_DIR "%s",
        name, status->st_uid, geteuid(), name);
}

static int open_failed(const char *name, int problem, char *error, size_t error_bytes)
{
    char path[sizeof MXRC_SHM_DIR + MXRC_TEXT_BYTES];
    struct stat status;
    if (problem == ENOENT) {
        return mxrc_fail(error, error_bytes, MXRC_OPEN_ABSENT,
                         "there is no shared memory %s: no RT process has made it yet", name);
    }
    memcpy(path, MXRC_SHM_DIR, sizeof MXRC_SHM_DIR);
    strcat(path, name);
    if (problem == EACCES && lstat(path, &status) == 0) {
        return foreign(name, &status, error, error_bytes);
    }
    return mxrc_fail(error, error_bytes, MXRC_OPEN_SYSTEM, "cannot open shared memory %s: %s", name,
                     strerror(problem));
}

static int map_descriptor(struct mxrc_segment *segment, int descriptor, char *error,
                          size_t error_bytes)
{
    struct stat status;
    const char *name = segment->name;
    if (fstat(descriptor, &status) != 0) {
        return mxrc_fail(error, error_bytes, MXRC_OPEN_SYSTEM,
                         "cannot examine shared memory %s: %s", name, strerror(errno));
    }
    if (!S_ISREG(status.st_mode) || !owner_trusted(&status, segment->access)) {
        return foreign(name, &status, error, error_bytes);
    }
    uint64_t bytes = (uint64_t)status.st_size;
    if (bytes < MXRC_HEADER_REGION) {
        return mxrc_segment_check(NULL, bytes, name, error, error_bytes);
    }
    void *base = mmap(NULL, bytes, PROT_READ, MAP_SHARED, descriptor, 0);
    if (base == MAP_FAILED) {
        return mxrc_fail(error, error_bytes, MXRC_OPEN_SYSTEM, "cannot map shared memory %s: %s",
                         name, strerror(errno));
    }
    segment->base = base;
    segment->bytes = bytes;
    int result = mxrc_segment_check(base, bytes, name, error, error_bytes);
    if (result != MXRC_OPEN_OK && result != MXRC_OPEN_LAYOUT) {
        mxrc_segment_unmap(segment);
        return result;
    }
    segment->generation = mxrc_segment_header(segment)->generation;
    return result;
}

int mxrc_segment_map(struct mxrc_segment *segment, const char *name, int access, char *error,
                     size_t error_bytes)
{
    *segment = (struct mxrc_segment){.access = access, .member = -1, .lock = -1, .presence = -1};
    if (!mxrc_object_name_valid(name)) {
        return mxrc_fail(error, error_bytes, MXRC_OPEN_SYSTEM,
                         "\"%s\" cannot name shared memory: '/' and 1 to %d characters without "
                         "'/' are needed",
                         name, MXRC_TEXT_BYTES - SUFFIX_BYTES - 2);
    }
    strcpy(segment->name, name);
    int descriptor = shm_open(name, access == MXRC_ACCESS_READ ? O_RDONLY : O_RDWR, 0);
    if (descriptor < 0) {
        return open_failed(name, errno, error, error_bytes);
    }
    int result = map_descriptor(segment, descriptor, error, error_bytes);
    close(descriptor);
    return result;
}

int mxrc_region_writable(const struct mxrc_segment *segment, const struct mxrc_region_desc *region)
{
    if (segment->lock >= 0) {
        return 1; /* its creator, before publication: nobody else is attached */
    }
    switch (region->writer) {
    case MXRC_WRITER_RT:
    case MXRC_WRITER_LEASE:
        return segment->access == MXRC_ACCESS_RT;
    case MXRC_WRITER_MEMBER:
        return segment->access == MXRC_ACCESS_RT && segment->member == (int)region->member;
    case MXRC_WRITER_NONRT:
        return segment->access == MXRC_ACCESS_NONRT;
    default:
        return 0;
    }
}

/* mprotect rather than a second mapping: pages stay mapped, locked and prefaulted as they are. */
int mxrc_segment_protect(const struct mxrc_segment *segment)
{
    const struct mxrc_region_desc *table =
        (const struct mxrc_region_desc *)(const void *)(segment->base + MXRC_TABLE_OFFSET);
    uint32_t count = mxrc_segment_header(segment)->region_count;
    for (uint32_t i = 0; i < count; i++) {
        int writable = mxrc_region_writable(segment, &table[i]);
        if (mprotect(segment->base + table[i].offset, table[i].size,
                     writable ? PROT_READ | PROT_WRITE : PROT_READ) != 0) {
            return errno;
        }
    }
    return 0;
}

void mxrc_segment_unmap(struct mxrc_segment *segment)
{
    if (segment->base != NULL) {
        munmap(segment->base, segment->bytes);
    }
    segment->base = NULL;
    segment->bytes = 0;
}

const struct mxrc_region_desc *mxrc_region_description(const struct mxrc_segment *segment,
                                                       uint32_t id)
{
    if (segment->base == NULL) {
        return NULL;
    }
    const struct mxrc_region_desc *table =
        (const struct mxrc_region_desc *)(const void *)(segment->base + MXRC_TABLE_OFFSET);
    uint32_t count = mxrc_segment_header(segment)->region_count;
    if (id < count && table[id].id == id) {
        return &table[id]; /* ids without gaps come first: no search for what a cycle asks for */
    }
    for (uint32_t i = 0; i < count; i++) {
        if (table[i].id == id) {
            return &table[i];
        }
    }
    return NULL;
}

void *mxrc_region(const struct mxrc_segment *segment, uint32_t id, uint64_t *bytes)
{
    const struct mxrc_region_desc *region = mxrc_region_description(segment, id);
    if (bytes != NULL) {
        *bytes = region != NULL ? region->size : 0;
    }
    return region != NULL ? segment->base + region->offset : NULL;
}
