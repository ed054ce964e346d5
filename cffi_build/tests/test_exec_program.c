/* test_exec_program.c: what the validator refuses: every bound, one at a time. */
#include "exec_fixture.h"

#define KEYS 4

static void good(void)
{
    program_begin();
    program_move(0, 1.0, 1000000);
    program_wait(1000000);
    program_op(MXRC_OP_HOLD)->axes = 2;
    program_op(MXRC_OP_LOG);
    program_op(MXRC_OP_SET_VALUE)->key = KEYS - 1;
    program_op(MXRC_OP_SAFE_STOP);
    program_end();
}

static void expect(uint32_t result, uint32_t op, int line)
{
    uint32_t found = 1234;
    uint32_t got = (uint32_t)mxrc_program_validate(&program, config.axis, AXES, KEYS, &found);
    test_check(got == result, __FILE__, line, "%s, not %s", mxrc_result_name(got),
               mxrc_result_name(result));
    if (result != MXRC_OK)
        test_check(found == op, __FILE__, line, "op %u, not %u", found, op);
}

#define HEADER UINT32_MAX
/* The good program with one change, sealed again. */
#define REFUSED(change, result, op)                                                                \
    do {                                                                                           \
        good();                                                                                    \
        change;                                                                                    \
        program.program.crc = mxrc_program_checksum(&program);                                     \
        expect(result, op, __LINE__);                                                              \
    } while (0)
#define H program.program
#define OP program.op

int main(void)
{
    exec_config_default();
    good();
    expect(MXRC_OK, 0, __LINE__);

    REFUSED(H.magic++, MXRC_ERR_INVALID, HEADER);
    REFUSED(H.version++, MXRC_ERR_INVALID, HEADER);
    good();
    H.op_count = 0;
    expect(MXRC_ERR_INVALID, HEADER, __LINE__);
    good();
    H.op_count = MXRC_PROGRAM_OPS + 1;
    H.bytes = sizeof(struct mxrc_program) + H.op_count * sizeof(struct mxrc_op);
    expect(MXRC_ERR_INVALID, HEADER, __LINE__);
    good();
    H.bytes += 8;
    expect(MXRC_ERR_INVALID, HEADER, __LINE__);
    good();
    H.crc ^= 1;
    expect(MXRC_ERR_CORRUPT, HEADER, __LINE__);
    good();
    OP[1].duration_ns++;
    expect(MXRC_ERR_CORRUPT, HEADER, __LINE__);
    REFUSED(H.axes |= 1u << AXES, MXRC_ERR_INVALID, HEADER);
    REFUSED(H.axes |= 4, MXRC_ERR_INVALID, HEADER);
    REFUSED(H.axes &= ~2u, MXRC_ERR_INVALID, 2);
    REFUSED(H.mode = MXRC_MODE_TRIGGERED, MXRC_ERR_INVALID, HEADER);
    REFUSED(H.mode = 7, MXRC_ERR_INVALID, HEADER);
    REFUSED(H.mode = MXRC_MODE_PERIODIC, MXRC_ERR_INVALID, HEADER);
    REFUSED((H.mode = MXRC_MODE_PERIODIC, H.period_ns = UINT64_MAX), MXRC_ERR_INVALID, HEADER);
    REFUSED(H.on_restart = MXRC_RESTART_FAIL + 1, MXRC_ERR_INVALID, HEADER);
    REFUSED(memset(H.task_id, 'x', sizeof H.task_id), MXRC_ERR_INVALID, HEADER);

    REFUSED(OP[1].kind = 999, MXRC_ERR_INVALID, 1);
    REFUSED(OP[1].on_failure = MXRC_FAIL_SAFE_MODE + 1, MXRC_ERR_INVALID, 1);
    REFUSED(OP[1].next = 1, MXRC_ERR_INVALID, 1); /* itself */
    REFUSED(OP[1].next = 0, MXRC_ERR_INVALID, 1); /* back */
    REFUSED(OP[1].next = H.op_count, MXRC_ERR_INVALID, 1);
    REFUSED(OP[1].next = UINT32_MAX, MXRC_ERR_INVALID, 1);
    REFUSED(OP[6].kind = MXRC_OP_WAIT, MXRC_ERR_INVALID, 6); /* the last one is no END */
    REFUSED((OP[6].kind = MXRC_OP_WAIT, OP[6].next = 7), MXRC_ERR_INVALID, 6);
    REFUSED(OP[6].axes = 1, MXRC_ERR_INVALID, 6);
    REFUSED(OP[1].duration_ns = UINT64_MAX, MXRC_ERR_INVALID, 1);
    REFUSED(OP[1].timeout_ns = UINT64_MAX, MXRC_ERR_INVALID, 1);
    REFUSED(OP[1].backoff_ns = UINT64_MAX, MXRC_ERR_INVALID, 1);
    REFUSED(OP[1].retries = 256, MXRC_ERR_INVALID, 1);

    REFUSED(OP[0].args[0] = 3.001, MXRC_ERR_LIMIT, 0);
    REFUSED(OP[0].args[0] = -3.001, MXRC_ERR_LIMIT, 0);
    REFUSED(OP[0].args[0] = NAN, MXRC_ERR_INVALID, 0);
    REFUSED(OP[0].args[0] = INFINITY, MXRC_ERR_INVALID, 0);
    REFUSED(OP[0].axes = 0, MXRC_ERR_INVALID, 0);
    REFUSED(OP[0].axes = 1u << AXES, MXRC_ERR_INVALID, 0);
    REFUSED(OP[1].axes = 1, MXRC_ERR_INVALID, 1);
    REFUSED(OP[2].axes = 0, MXRC_ERR_INVALID, 2);
    REFUSED(OP[3].key = MXRC_LEVEL_CRITICAL + 1, MXRC_ERR_INVALID, 3);
    REFUSED(OP[3].args[3] = NAN, MXRC_ERR_INVALID, 3);
    REFUSED(OP[4].key = KEYS, MXRC_ERR_INVALID, 4);
    REFUSED(OP[4].axes = 1, MXRC_ERR_INVALID, 4);
    REFUSED(OP[5].axes = 1, MXRC_ERR_INVALID, 5);

    /* Skipping forward is allowed, and the longest program. */
    good();
    OP[0].next = 6;
    program_seal();
    expect(MXRC_OK, 0, __LINE__);
    program_begin();
    while (H.op_count < MXRC_PROGRAM_OPS - 1)
        program_wait(1);
    program_end();
    expect(MXRC_OK, 0, __LINE__);
    return test_summary();
}
