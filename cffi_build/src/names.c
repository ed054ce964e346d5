/* names.c: names that events and records carry as numbers. Append-only: an entry is written once, before count
 * passes it, and never again, so readers need no sequence word. */
#include <string.h>
#include <sys/mman.h>

#include "atomic.h"
#include "segment.h"

static struct mxrc_name *entries_of(const struct mxrc_names *names)
{
    return (struct mxrc_name *)(void *)((uint8_t *)(uintptr_t)names + sizeof *names);
}

/* Bytes of `text` that fit, not cutting a UTF-8 character in two. */
static size_t fitting(const char *text)
{
    size_t bytes = strnlen(text, MXRC_NAME_BYTES);
    if (bytes < MXRC_NAME_BYTES) {
        return bytes;
    }
    bytes = MXRC_NAME_BYTES - 1;
    while (bytes > 0 && ((uint8_t)text[bytes] & 0xc0) == 0x80) {
        bytes--;
    }
    return bytes;
}

uint32_t mxrc_name_intern(struct mxrc_segment *segment, uint32_t region_id, uint32_t kind,
                          const char *text)
{
    if (region_id != MXRC_REGION_NAMES_RT && region_id != MXRC_REGION_NAMES_NONRT) {
        return 0;
    }
    const struct mxrc_region_desc *region = mxrc_region_description(segment, region_id);
    if (region == NULL) {
        return 0; /* detached */
    }
    struct mxrc_names *names = (void *)(segment->base + region->offset);
    struct mxrc_name *entries = entries_of(names);
    uint64_t count = mxrc_load_acquire(&names->count);
    size_t bytes = fitting(text);
    if (count > region->element_count) {
        return 0;
    }
    for (uint64_t i = 0; i < count; i++) {
        if (entries[i].kind == kind && entries[i].bytes == bytes &&
            memcmp(entries[i].text, text, bytes) == 0) {
            return entries[i].id;
        }
    }
    if (count == region->element_count || !mxrc_region_writable(segment, region)) {
        return 0;
    }
    struct mxrc_name *entry = &entries[count];
    memset(entry, 0, sizeof *entry);
    entry->kind = (uint16_t)kind;
    entry->bytes = (uint16_t)bytes;
    entry->id = (uint32_t)count + 1;
    if (region_id == MXRC_REGION_NAMES_RT) {
        entry->id |= MXRC_NAME_RT_BIT;
    }
    memcpy(entry->text, text, bytes);
    mxrc_store_release(&names->count, count + 1);
    return entry->id;
}

uint32_t mxrc_name_intern_late(struct mxrc_segment *segment, int lock, uint32_t kind,
                               const char *text)
{
    const struct mxrc_region_desc *region = mxrc_region_description(segment, MXRC_REGION_NAMES_RT);
    if (region == NULL || segment->lock >= 0 || lock < 0 ||
        mprotect(segment->base + region->offset, region->size, PROT_READ | PROT_WRITE) != 0) {
        return 0;
    }
    segment->lock = lock;
    uint32_t id = mxrc_name_intern(segment, MXRC_REGION_NAMES_RT, kind, text);
    segment->lock = -1;
    mprotect(segment->base + region->offset, region->size, PROT_READ);
    return id;
}

const struct mxrc_name *mxrc_name_find(const struct mxrc_segment *segment, uint32_t id)
{
    const struct mxrc_region_desc *region = mxrc_region_description(
        segment, (id & MXRC_NAME_RT_BIT) != 0 ? MXRC_REGION_NAMES_RT : MXRC_REGION_NAMES_NONRT);
    if (region == NULL) {
        return NULL; /* detached */
    }
    const struct mxrc_names *names = (const void *)(segment->base + region->offset);
    uint32_t index = (id & ~(uint32_t)MXRC_NAME_RT_BIT) - 1; /* id 0, no name: beyond any count */
    if (index >= region->element_count || index >= mxrc_load_acquire(&names->count)) {
        return NULL;
    }
    return &entries_of(names)[index];
}
