/* data.c: the data store: cells under sequence words, described by a directory that never changes after
 * publication. A value that the directory forbids is not stored. */
#include <errno.h>
#include <math.h>

#include "atomic.h"
#include "data.h"
#include "segment.h"

/* The key of a handle, NULL for none. Its cell is looked up in the regions, never outside of them. */
static const struct mxrc_data_key *find(const struct mxrc_segment *segment, uint32_t handle,
                                        const struct mxrc_region_desc **cells,
                                        struct mxrc_data_cell **cell)
{
    const struct mxrc_region_desc *directory =
        mxrc_region_description(segment, MXRC_REGION_DATA_DIRECTORY);
    if (directory == NULL) {
        return NULL; /* detached */
    }
    const struct mxrc_data_directory *head = (const void *)(segment->base + directory->offset);
    if (handle >= directory->element_count || handle >= mxrc_load_acquire(&head->count)) {
        return NULL;
    }
    const struct mxrc_data_key *key =
        (const struct mxrc_data_key *)(const void *)(head + 1) + handle;
    *cells = mxrc_region_description(
        segment, key->writer == MXRC_WRITER_NONRT ? MXRC_REGION_DATA_NONRT : MXRC_REGION_DATA_RT);
    if (key->cell >= (*cells)->element_count) {
        return NULL;
    }
    *cell = (struct mxrc_data_cell *)(void *)(segment->base + (*cells)->offset) + key->cell;
    return key;
}

static int check_number(const struct mxrc_data_key *key, double value)
{
    if (!isfinite(value)) {
        return EINVAL;
    }
    return value < key->minimum || value > key->maximum ? ERANGE : 0;
}

static int check_doubles(const struct mxrc_data_key *key, const void *value, uint32_t bytes,
                         uint32_t count)
{
    double number;
    if (count * sizeof number > MXRC_DATA_BYTES || bytes != count * sizeof number) {
        return EINVAL;
    }
    for (uint32_t i = 0; i < count; i++) {
        memcpy(&number, (const uint8_t *)value + i * sizeof number, sizeof number);
        int problem = check_number(key, number);
        if (problem != 0) {
            return problem;
        }
    }
    return 0;
}

static int check_value(const struct mxrc_data_key *key, const void *value, uint32_t bytes)
{
    int64_t integer;
    switch (key->type) {
    case MXRC_DATA_BOOL:
        return bytes == 1 && *(const uint8_t *)value <= 1 ? 0 : EINVAL;
    case MXRC_DATA_INT64:
        if (bytes != sizeof integer) {
            return EINVAL;
        }
        memcpy(&integer, value, sizeof integer);
        return check_number(key, (double)integer);
    case MXRC_DATA_DOUBLE:
        return check_doubles(key, value, bytes, 1);
    case MXRC_DATA_DOUBLE_ARRAY:
        return check_doubles(key, value, bytes, key->length);
    case MXRC_DATA_STRING:
        return bytes <= key->length && bytes <= MXRC_DATA_BYTES ? 0 : EINVAL;
    default:
        return EINVAL;
    }
}

int mxrc_data_write(const struct mxrc_segment *segment, uint32_t handle, const void *value,
                    uint32_t bytes, uint64_t time_ns)
{
    const struct mxrc_region_desc *cells;
    struct mxrc_data_cell *cell;
    const struct mxrc_data_key *key = find(segment, handle, &cells, &cell);
    if (key == NULL) {
        return ENOENT;
    }
    if (!mxrc_region_writable(segment, cells)) {
        return EPERM;
    }
    int problem = check_value(key, value, bytes);
    if (problem != 0) {
        return problem;
    }
    uint64_t odd = mxrc_seq_begin(&cell->seq);
    mxrc_store_word(&cell->time_ns, time_ns);
    mxrc_store_word32(&cell->bytes, bytes);
    mxrc_copy_in(cell->value, value, bytes);
    mxrc_seq_end(&cell->seq, odd);
    return 0;
}

int mxrc_data_read(const struct mxrc_segment *segment, uint32_t handle, void *out, uint32_t *bytes,
                   uint64_t *time_ns)
{
    const struct mxrc_region_desc *cells;
    struct mxrc_data_cell *cell;
    if (find(segment, handle, &cells, &cell) == NULL) {
        return ENOENT;
    }
    for (int tries = 0; tries < MXRC_SEQ_TRIES; tries++) {
        uint64_t before = mxrc_load_acquire(&cell->seq);
        if (before == 0) {
            return ENODATA;
        }
        if ((before & 1) == 0) {
            uint64_t time = mxrc_load_word(&cell->time_ns);
            uint32_t length = mxrc_load_word32(&cell->bytes);
            if (length <= MXRC_DATA_BYTES) {
                mxrc_copy_out(out, cell->value, length);
            }
            if (mxrc_seq_unchanged(&cell->seq, before)) {
                *bytes = length;
                *time_ns = time;
                return length <= MXRC_DATA_BYTES ? 0 : EINVAL;
            }
        }
        mxrc_pause();
    }
    return EAGAIN;
}

/* Few tries: who reads in every cycle looks again in the next one. */
#define NUMBER_TRIES 4

int mxrc_data_number(const struct mxrc_segment *segment, uint32_t handle, uint32_t element,
                     double *number)
{
    const struct mxrc_region_desc *cells;
    struct mxrc_data_cell *cell;
    const struct mxrc_data_key *key = find(segment, handle, &cells, &cell);
    int doubles = key && (key->type == MXRC_DATA_DOUBLE || key->type == MXRC_DATA_DOUBLE_ARRAY);
    uint64_t length = doubles && key->type == MXRC_DATA_DOUBLE_ARRAY ? key->length : 1;
    if (!key || element >= length || element >= MXRC_DATA_BYTES / sizeof *number ||
        (!doubles && key->type != MXRC_DATA_BOOL && key->type != MXRC_DATA_INT64))
        return EINVAL;
    for (int tries = 0; tries < NUMBER_TRIES; tries++) {
        uint64_t before = mxrc_load_acquire(&cell->seq);
        if (before == 0)
            return ENODATA;
        if ((before & 1) == 0) {
            uint64_t word = mxrc_load_word((const uint64_t *)(const void *)cell->value + element);
            if (mxrc_seq_unchanged(&cell->seq, before)) {
                int64_t integer;
                memcpy(&integer, &word, sizeof integer);
                memcpy(number, &word, sizeof *number);
                if (key->type == MXRC_DATA_INT64)
                    *number = (double)integer;
                else if (key->type == MXRC_DATA_BOOL)
                    *number = (word & 0xff) != 0;
                return 0;
            }
        }
        mxrc_pause();
    }
    return EAGAIN;
}
