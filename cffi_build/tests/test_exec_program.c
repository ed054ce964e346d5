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

#define FLOW(change, op)                                                                           \
    do {                                                                                           \
        flow();                                                                                    \
        change;                                                                                    \
        program.program.crc = mxrc_program_checksum(&program);                                     \
        expect(MXRC_ERR_INVALID, op, __LINE__);                                                    \
    } while (0)
#define VIA(change, result, op)                                                                    \
    do {                                                                                           \
        via();                                                                                     \
        change;                                                                                    \
        program.program.crc = mxrc_program_checksum(&program);                                     \
        expect(result, op, __LINE__);                                                              \
    } while (0)

/* 0 IF -> 1 | 6; 1 REPEAT { 2 log; 3 REPEAT { 4 JUMP }; 5 JUMP }; 6 PARALLEL { 7 move 0 | 8 move 1, 9 wait, 10 wait }
 * 11 JOIN; 12 wait for, recovery 14; 13 wait -> 15; 14 FAIL; 15 END */
static void flow(void)
{
    program_begin();
    struct mxrc_op *op = program_op(MXRC_OP_IF);
    key_above(&op->condition, KEYS - 1, 5);
    op->target = 6;
    op = program_op(MXRC_OP_REPEAT);
    op->count = 3;
    op->target = 6;
    program_op(MXRC_OP_LOG);
    op = program_op(MXRC_OP_REPEAT);
    op->count = 2;
    op->key = 1;
    op->target = 5;
    program_op(MXRC_OP_JUMP)->next = 3;
    program_op(MXRC_OP_JUMP)->next = 1;
    op = program_op(MXRC_OP_PARALLEL);
    op->branch[0] = 7;
    op->branch[1] = 8;
    op->target = 11;
    program_move(0, 1.0, 0)->next = 11;
    program_move(1, 1.0, 0);
    program_wait(1);
    program_wait(1);
    program_op(MXRC_OP_JOIN);
    op = program_op(MXRC_OP_WAIT_FOR);
    key_above(&op->condition, 0, 5);
    op->on_failure = MXRC_FAIL_RECOVERY;
    op->recovery = 14;
    program_wait(1)->next = 15;
    program_op(MXRC_OP_FAIL);
    program_end();
}

static void via(void)
{
    program_begin();
    struct mxrc_op *op = program_move(0, 1.0, 0);
    op->key = MXRC_PROFILE_TRAPEZOIDAL;
    op->count = 4;
    op->next = 3;
    program_op(MXRC_OP_VIA);
    program_op(MXRC_OP_VIA);
    program_end();
}

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

    /* Control flow: each rule broken by one change of a program that holds every block. */
    flow();
    expect(MXRC_OK, 0, __LINE__);
    FLOW(OP[0].target = 0, 0);  /* else: back */
    FLOW(OP[0].target = 3, 0);  /* into a body */
    FLOW(OP[0].target = 8, 0);  /* into a branch */
    FLOW(OP[0].target = 11, 0); /* to a JOIN */
    FLOW(OP[0].condition.source = 0, 0);
    FLOW(OP[0].condition.key = KEYS, 0);
    FLOW(OP[0].condition.compare = 0, 0);
    FLOW(OP[0].condition.value = NAN, 0);
    FLOW(OP[0].condition.edge = 1, 0);
    FLOW(OP[0].retries = 1, 0);
    FLOW(OP[1].on_failure = MXRC_FAIL_SKIP, 1);
    FLOW(OP[1].key = 1, 1); /* depth */
    FLOW(OP[1].next = 3, 1);
    FLOW(OP[1].target = 4, 1); /* behind the body? inside of it */
    FLOW(OP[1].count = 0, 1);  /* rounds without end that may take no time */
    FLOW(OP[4].next = 1, 5);   /* the JUMP of the inner one leads to the outer one */
    FLOW(OP[5].next = 0, 5);   /* to an op that is no REPEAT */
    FLOW(OP[5].next = 5, 5);
    FLOW(OP[2].next = 1, 2); /* back, and no JUMP */
    FLOW(OP[6].branch[0] = 8, 6);
    FLOW(OP[6].branch[1] = 7, 6);
    FLOW(OP[6].branch[1] = 12, 6);
    FLOW(OP[6].branch[3] = 10, 6); /* a gap */
    FLOW(OP[6].target = 12, 6);
    FLOW(OP[6].key = 2, 6);
    FLOW(OP[7].next = 8, 7);           /* from branch to branch */
    FLOW(OP[7].next = 12, 7);          /* out, past the JOIN */
    FLOW(OP[9].kind = MXRC_OP_END, 9); /* END in a branch */
    FLOW(OP[8].axes = 1, 6);           /* branches share an axis */
    FLOW((OP[10].on_failure = MXRC_FAIL_RECOVERY, OP[10].recovery = 13), 10);
    FLOW(OP[10].recovery = 11, 10); /* without the choice */
    FLOW(OP[12].recovery = 12, 12);
    FLOW(OP[12].recovery = 40, 12);
    FLOW(OP[14].key = 99, 14);
    FLOW(OP[13].count = 1, 13);
    FLOW(OP[13].branch[2] = 1, 13);
    FLOW(OP[13].target = 14, 13);
    FLOW(OP[13].progress = 1001, 13);
    FLOW(OP[13].identity = 1, 13);
    FLOW(H.topic_count = MXRC_PROGRAM_TOPICS + 1, HEADER);
    FLOW(H.topic_count = 1, HEADER); /* a topic without a name */
    FLOW(OP[12].condition.source = MXRC_CONDITION_EVENT, 12);
    FLOW(H.on_safe_mode = 3, HEADER);
    FLOW(H.on_late = 2, HEADER);
    FLOW(H.rearm_ns = 1, HEADER);
    FLOW((H.mode = MXRC_MODE_TRIGGERED, H.trigger = OP[0].condition, H.trigger.key = KEYS), HEADER);

    /* Via points. */
    via();
    expect(MXRC_OK, 0, __LINE__);
    VIA(OP[0].count = MXRC_VIA_POINTS + 1, MXRC_ERR_INVALID, 0);
    VIA(OP[0].count = 5, MXRC_ERR_INVALID, 0);
    VIA(OP[0].key = 2, MXRC_ERR_INVALID, 0);
    VIA(OP[0].next = 1, MXRC_ERR_INVALID, 0);
    VIA(OP[2].args[0] = 3.001, MXRC_ERR_LIMIT, 0);
    VIA(OP[1].args[MXRC_AXES] = NAN, MXRC_ERR_INVALID, 0);
    VIA(OP[0].kind = MXRC_OP_VIA, MXRC_ERR_INVALID, 0);

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
