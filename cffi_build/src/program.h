/* program.h: the parts of the validator of compiled tasks. */
#ifndef MXRC_PROGRAM_H
#define MXRC_PROGRAM_H

#include "mxrc/core.h"

#define MXRC_DURATION_MAX_NS 100000000000000000 /* 10^17: sums stay far below 2^64 */

/* Where every op leads: MXRC_OK, or MXRC_ERR_INVALID with the op in *op. What passes has no op from which neither END nor FAIL is
 * reached, and no round of a REPEAT without an upper count that takes no time. */
uint32_t mxrc_program_flow(const struct mxrc_program_slot *program, uint32_t *op);

/* A condition by its form alone. */
uint32_t mxrc_condition_validate(const struct mxrc_condition *condition,
                                 const struct mxrc_program *program, uint32_t data_keys);

/* 1 when nothing but control flow. */
static inline int mxrc_op_is_flow(uint32_t kind)
{
    return kind == MXRC_OP_IF || kind == MXRC_OP_REPEAT || kind == MXRC_OP_JOIN ||
           kind == MXRC_OP_JUMP || kind == MXRC_OP_FAIL || kind == MXRC_OP_END ||
           kind == MXRC_OP_VIA;
}

/* 1 when the next op may begin in the same cycle. */
static inline int mxrc_op_is_instant(uint32_t kind)
{
    return kind == MXRC_OP_LOG || kind == MXRC_OP_SET_VALUE || kind == MXRC_OP_SAFE_STOP ||
           kind == MXRC_OP_EMIT_EVENT || mxrc_op_is_flow(kind);
}

#endif
