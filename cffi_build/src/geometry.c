/* geometry.c: from the numbers of a configuration to the table of regions. */
#include <string.h>

#include "error.h"
#include "segment.h"

/* Bounds that keep every sum far from overflow; the segment must fit into memory anyway. */
#define MOST_SLOTS (1u << 24)
#define MOST_ELEMENTS (1u << 20)

struct plan {
    struct mxrc_region_desc *table;
    uint64_t bytes;
    uint32_t count;
};

/* `head` bytes and an array. The table is in order of ids whatever the order of places. */
static void place(struct plan *plan, uint32_t id, const char *name, uint32_t writer,
                  uint32_t member, uint64_t head, uint32_t element_bytes, uint32_t element_count)
{
    uint64_t size = head + (uint64_t)element_bytes * element_count;
    size = size > 0 ? size : 1; /* no region is empty */
    uint32_t at = plan->count++;
    for (; at > 0 && plan->table[at - 1].id > id; at--) {
        plan->table[at] = plan->table[at - 1];
    }
    struct mxrc_region_desc *region = &plan->table[at];
    memset(region, 0, sizeof *region);
    region->id = id;
    region->writer = writer;
    region->offset = plan->bytes;
    region->size = (size + MXRC_PAGE_BYTES - 1) / MXRC_PAGE_BYTES * MXRC_PAGE_BYTES;
    region->version = 1;
    region->member = member;
    region->element_bytes = element_bytes;
    region->element_count = element_count;
    strncpy(region->name, name, sizeof region->name - 1);
    plan->bytes += region->size;
}

static int power_of_two(uint32_t value)
{
    return value >= 2 && value <= MOST_SLOTS && (value & (value - 1)) == 0;
}

static const char *fault(const struct mxrc_geometry *geometry)
{
    if (geometry->period_ns == 0) {
        return "period_ns must not be 0";
    }
    if (geometry->axis_count < 1 || geometry->axis_count > MXRC_AXES) {
        return "axis_count must be 1 to 8";
    }
    if (geometry->max_members < 1 || geometry->max_members > MXRC_MEMBERS) {
        return "max_members must be 1 to 8";
    }
    if (!power_of_two(geometry->cycle_slots)) {
        return "cycle_slots must be a power of two from 2 to 16777216";
    }
    if (!power_of_two(geometry->event_slots)) {
        return "event_slots must be a power of two from 2 to 16777216";
    }
    if (!power_of_two(geometry->command_slots)) {
        return "command_slots must be a power of two from 2 to 16777216";
    }
    if (geometry->staging_slots < 1 || geometry->staging_slots > MOST_ELEMENTS) {
        return "staging_slots must be 1 to 1048576";
    }
    if (geometry->names_rt > MOST_ELEMENTS || geometry->names_nonrt > MOST_ELEMENTS ||
        geometry->data_keys > MOST_ELEMENTS || geometry->data_rt_cells > MOST_ELEMENTS ||
        geometry->data_nonrt_cells > MOST_ELEMENTS) {
        return "names and data keys are at most 1048576";
    }
    return NULL;
}

uint64_t mxrc_geometry_plan(const struct mxrc_geometry *geometry,
                            struct mxrc_region_desc table[MXRC_REGIONS], uint32_t *count,
                            char *error, size_t error_bytes)
{
    const char *reason = fault(geometry);
    if (reason != NULL) {
        mxrc_fail(error, error_bytes, 0, "impossible size of the segment: %s", reason);
        return 0;
    }

    struct plan plan = {.table = table};
    memset(table, 0, sizeof *table * MXRC_REGIONS);

#define SINGLE(id, name, writer, type) place(&plan, id, name, writer, 0, sizeof(struct type), 0, 0)
#define ARRAY(id, name, writer, head, type, count)                                                 \
    place(&plan, id, name, writer, 0, head, sizeof(struct type), count)

    place(&plan, MXRC_REGION_HEADER, "header", MXRC_WRITER_CREATOR, 0, MXRC_HEADER_REGION, 0, 0);
    ARRAY(MXRC_REGION_DATA_DIRECTORY, "data_directory", MXRC_WRITER_CREATOR,
          sizeof(struct mxrc_data_directory), mxrc_data_key, geometry->data_keys);
    ARRAY(MXRC_REGION_NAMES_RT, "names_rt", MXRC_WRITER_CREATOR, sizeof(struct mxrc_names),
          mxrc_name, geometry->names_rt);

    SINGLE(MXRC_REGION_LEASE, "lease", MXRC_WRITER_LEASE, mxrc_lease);

    SINGLE(MXRC_REGION_CLOCK, "clock", MXRC_WRITER_RT, mxrc_clock);
    SINGLE(MXRC_REGION_RT_STATUS, "rt_status", MXRC_WRITER_RT, mxrc_rt_status);
    SINGLE(MXRC_REGION_RT_METRICS, "rt_metrics", MXRC_WRITER_RT, mxrc_rt_metrics);
    ARRAY(MXRC_REGION_ENTRIES, "entries", MXRC_WRITER_RT, 0, mxrc_entry_metrics, MXRC_ENTRY_SLOTS);
    ARRAY(MXRC_REGION_STATE, "state", MXRC_WRITER_RT, 0, mxrc_state_block, 2);
    ARRAY(MXRC_REGION_PROGRAMS, "programs", MXRC_WRITER_RT, 0, mxrc_program_slot, MXRC_TASKS);
    ARRAY(MXRC_REGION_DATA_RT, "data_rt", MXRC_WRITER_RT, 0, mxrc_data_cell,
          geometry->data_rt_cells);
    ARRAY(MXRC_REGION_CYCLE_RING, "cycle_ring", MXRC_WRITER_RT, sizeof(struct mxrc_ring_header),
          mxrc_cycle_record, geometry->cycle_slots);

    for (uint32_t member = 0; member < geometry->max_members; member++) {
        char name[24] = "member_0";
        name[7] = (char)('0' + member);
        place(&plan, MXRC_REGION_MEMBER + member, name, MXRC_WRITER_MEMBER, member,
              sizeof(struct mxrc_member), 0, 0);
        strcpy(name, "lane_0_rt");
        name[5] = (char)('0' + member);
        place(&plan, MXRC_REGION_LANE + 2 * member, name, MXRC_WRITER_MEMBER, member,
              sizeof(struct mxrc_ring_header), sizeof(struct mxrc_event), geometry->event_slots);
        strcpy(name + 6, "_main");
        place(&plan, MXRC_REGION_LANE + 2 * member + 1, name, MXRC_WRITER_MEMBER, member,
              sizeof(struct mxrc_ring_header), sizeof(struct mxrc_event), MXRC_MAIN_SLOTS);
    }

    SINGLE(MXRC_REGION_NONRT_STATUS, "nonrt_status", MXRC_WRITER_NONRT, mxrc_nonrt_status);
    SINGLE(MXRC_REGION_CONTROL, "control", MXRC_WRITER_NONRT, mxrc_control);
    SINGLE(MXRC_REGION_CURSORS, "cursors", MXRC_WRITER_NONRT, mxrc_cursors);
    SINGLE(MXRC_REGION_ADMIN_REQUEST, "admin_request", MXRC_WRITER_NONRT, mxrc_document);
    SINGLE(MXRC_REGION_NONRT_DOCUMENT, "nonrt_document", MXRC_WRITER_NONRT, mxrc_document);
    ARRAY(MXRC_REGION_DATA_NONRT, "data_nonrt", MXRC_WRITER_NONRT, 0, mxrc_data_cell,
          geometry->data_nonrt_cells);
    ARRAY(MXRC_REGION_NAMES_NONRT, "names_nonrt", MXRC_WRITER_NONRT, sizeof(struct mxrc_names),
          mxrc_name, geometry->names_nonrt);
    ARRAY(MXRC_REGION_COMMANDS, "commands", MXRC_WRITER_NONRT, sizeof(struct mxrc_ring_header),
          mxrc_command, geometry->command_slots);
    ARRAY(MXRC_REGION_STAGING, "staging", MXRC_WRITER_NONRT, 0, mxrc_program_slot,
          geometry->staging_slots);

#undef SINGLE
#undef ARRAY

    *count = plan.count;
    return plan.bytes;
}

uint64_t mxrc_segment_size(const struct mxrc_geometry *geometry)
{
    struct mxrc_region_desc table[MXRC_REGIONS];
    uint32_t count;
    return mxrc_geometry_plan(geometry, table, &count, NULL, 0);
}
