/* state_block.h: what a successor needs to go on, written every cycle. */
#ifndef MXRC_STATE_BLOCK_H
#define MXRC_STATE_BLOCK_H

#include "exec.h"

#define MXRC_SAFE_CAUSE_LAST MXRC_SAFE_ENTRY

/* A part of the state with an owner. Save must give the same bytes for the same state and hold no pointer. */
struct mxrc_section {
    uint16_t id; /* enum mxrc_state_section_id */
    uint16_t version;
    uint32_t capacity; /* of save, in bytes; multiple of 8 */
    /* Whether a block without this section, or with another version of it, is of no use at all. */
    uint32_t required;
    uint32_t (*save)(const struct mxrc_exec *exec, void *out); /* bytes written */
    int (*validate)(const struct mxrc_exec *exec, const void *saved, uint32_t bytes); /* 1 good */
    void (*restore)(struct mxrc_exec *exec, const void *saved, uint32_t bytes);
};

/* 0, or ENOSPC when the sections do not fit into a block. */
int mxrc_section_add(struct mxrc_exec *exec, const struct mxrc_section *section);
void mxrc_state_block_write(struct mxrc_exec *exec);
/* Restores every section from the newest valid block: all or nothing of what is required. 1 restored, 0 there is
 * none, else minus the id of the section that spoils it. */
int mxrc_state_block_restore(struct mxrc_exec *exec);

/* RT state in the newest valid block, -1: there is none. */
int mxrc_state_block_state(struct mxrc_exec *exec);

extern const struct mxrc_section mxrc_section_driver;
extern const struct mxrc_section mxrc_section_law;
extern const struct mxrc_section mxrc_section_task_laws;

/* Registers the sections there are. 0 or ENOSPC. */
int mxrc_sections_register(struct mxrc_exec *exec);

#endif
