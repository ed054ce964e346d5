/* program_flow.c: where the ops of a program lead. Every edge goes to a greater index but that of a JUMP, which ends the
 * body of a REPEAT and leads to it; blocks (bodies and branches) nest and are entered at their head only. The last op
 * is END, so that each path ends there, in a FAIL, or in a round that takes time. One pass over at most
 * MXRC_PROGRAM_OPS ops for each of the steps, but for rounds_take_time. */
#include <string.h>

#include "program.h"

#define NONE UINT8_MAX

struct flow {
    const struct mxrc_op *op;
    uint32_t count;
    uint8_t end[MXRC_PROGRAM_OPS];   /* of a REPEAT: its JUMP */
    uint8_t body[MXRC_PROGRAM_OPS];  /* head of the innermost body that the op is in */
    uint8_t depth[MXRC_PROGRAM_OPS]; /* bodies around the op, within its branch */
    uint8_t owner[MXRC_PROGRAM_OPS]; /* PARALLEL that the op is in a branch of; of a JOIN its own */
    uint8_t branch[MXRC_PROGRAM_OPS]; /* number of that branch */
};

static int forward(const struct flow *flow, uint32_t from, uint32_t to)
{
    return to > from && to < flow->count;
}

/* Each REPEAT has one JUMP, behind it, and each JUMP its REPEAT. */
static int pair_jumps(struct flow *flow, uint32_t *bad)
{
    memset(flow->end, NONE, sizeof flow->end);
    for (uint32_t i = 0; i < flow->count; i++) {
        const struct mxrc_op *op = &flow->op[i];
        *bad = i;
        if (op->kind != MXRC_OP_JUMP || op->next > i)
            continue;
        if (op->next == i || flow->op[op->next].kind != MXRC_OP_REPEAT ||
            flow->end[op->next] != NONE)
            return 0;
        flow->end[op->next] = (uint8_t)i;
    }
    return 1;
}

static int check_parallel(const struct flow *flow, uint32_t index)
{
    const struct mxrc_op *op = &flow->op[index];
    uint32_t last = index, seen = 0;
    if (!forward(flow, index, op->target) || flow->op[op->target].kind != MXRC_OP_JOIN ||
        op->branch[0] != index + 1 || op->next != index + 1 || op->key > MXRC_JOIN_FIRST)
        return 0;
    for (uint32_t b = 0; b < MXRC_BRANCHES; b++) {
        if (op->branch[b] == 0) {
            seen = 1; /* none after it */
            continue;
        }
        if (seen || op->branch[b] <= last || op->branch[b] >= op->target)
            return 0;
        last = op->branch[b];
    }
    return 1;
}

/* Gives every op its blocks. A body ends before the ones around it do. */
static int nest(struct flow *flow, uint32_t *bad)
{
    uint32_t stack[2 * MXRC_REPEAT_DEPTH]; /* heads, the innermost last */
    uint32_t depth = 0, base = 0;          /* base: its depth where the branch began */
    uint32_t owner = NONE, branch = 0;
    for (uint32_t i = 0; i < flow->count; i++) {
        const struct mxrc_op *op = &flow->op[i];
        *bad = i;
        if (owner != NONE) {
            const struct mxrc_op *parallel = &flow->op[owner];
            uint32_t begins = branch + 1 < MXRC_BRANCHES && parallel->branch[branch + 1] == i;
            if ((begins || parallel->target == i) && depth > base)
                return 0; /* a body that reaches beyond its branch */
            if (begins)
                branch++;
            if (parallel->target == i) {
                flow->owner[i] = (uint8_t)owner; /* the JOIN is outside of its branches */
                owner = NONE;
                base = 0;
            }
        }
        flow->body[i] = depth ? (uint8_t)stack[depth - 1] : NONE;
        flow->depth[i] = (uint8_t)(depth - base);
        if (op->kind == MXRC_OP_JOIN) {
            if (flow->owner[i] == NONE)
                return 0;
            flow->branch[i] = NONE;
            continue;
        }
        flow->owner[i] = (uint8_t)owner;
        flow->branch[i] = owner == NONE ? NONE : (uint8_t)branch;
        if (op->kind == MXRC_OP_PARALLEL) {
            /* Its JOIN lies in the bodies that it lies in. */
            if (owner != NONE || !check_parallel(flow, i) ||
                (depth && op->target >= flow->end[stack[depth - 1]]))
                return 0;
            owner = i;
            branch = 0;
            base = depth;
        } else if (op->kind == MXRC_OP_REPEAT) {
            if (flow->end[i] == NONE || op->next != i + 1 || op->key != depth - base ||
                op->key >= MXRC_REPEAT_DEPTH || op->target <= flow->end[i] ||
                (depth && flow->end[i] >= flow->end[stack[depth - 1]]))
                return 0;
            stack[depth++] = i;
        } else if (depth && flow->end[stack[depth - 1]] == i) {
            depth--; /* its JUMP: still inside */
        }
    }
    return 1;
}

/* From a block only into itself or out of a body; from outside of a block only to its head. */
static int edge(const struct flow *flow, uint32_t from, uint32_t to)
{
    if (!forward(flow, from, to) || flow->op[to].kind == MXRC_OP_VIA)
        return 0;
    uint32_t head = flow->body[to];
    if (head != NONE && !(from >= head && from <= flow->end[head]))
        return 0;
    if (flow->op[to].kind == MXRC_OP_JOIN)
        return flow->owner[from] == flow->owner[to] && flow->branch[from] != NONE;
    if (flow->op[from].kind == MXRC_OP_JOIN)
        return flow->branch[to] == NONE;
    return flow->owner[from] == flow->owner[to] && flow->branch[from] == flow->branch[to];
}

static int edges_of(const struct flow *flow, uint32_t i)
{
    const struct mxrc_op *op = &flow->op[i];
    switch (op->kind) {
    case MXRC_OP_END:
        return flow->branch[i] == NONE;
    case MXRC_OP_FAIL:
    case MXRC_OP_VIA:
    case MXRC_OP_JUMP:
        return op->kind != MXRC_OP_JUMP || op->next < i || edge(flow, i, op->next);
    case MXRC_OP_IF:
    case MXRC_OP_REPEAT:
        return edge(flow, i, op->next) && edge(flow, i, op->target);
    default:
        break;
    }
    if (op->kind != MXRC_OP_PARALLEL && !edge(flow, i, op->next))
        return 0;
    if (op->on_failure == MXRC_FAIL_SKIP && op->kind == MXRC_OP_PARALLEL)
        return 1; /* on at its JOIN */
    return op->on_failure != MXRC_FAIL_RECOVERY || edge(flow, i, op->recovery);
}

static uint32_t branch_axes(const struct flow *flow, uint32_t parallel, uint32_t branch)
{
    uint32_t axes = 0;
    for (uint32_t i = parallel + 1; i < flow->op[parallel].target; i++)
        if (flow->branch[i] == branch)
            axes |= flow->op[i].axes;
    return axes;
}

static int disjoint(const struct flow *flow, uint32_t parallel)
{
    uint32_t all = 0;
    for (uint32_t b = 0; b < MXRC_BRANCHES; b++) {
        uint32_t axes = branch_axes(flow, parallel, b);
        if (axes & all)
            return 0;
        all |= axes;
    }
    return 1;
}

/* No way through the body of REPEAT `head` by instant ops alone. An op that fails ends its task's turn in that cycle. */
static int rounds_take_time(const struct flow *flow, uint32_t head)
{
    uint64_t reached = 1ull << (head + 1);
    for (uint32_t i = head + 1; i <= flow->end[head]; i++) {
        const struct mxrc_op *op = &flow->op[i];
        if (!(reached >> i & 1) || !mxrc_op_is_instant(op->kind))
            continue;
        if (i == flow->end[head])
            return 0;
        if (op->kind == MXRC_OP_END || op->kind == MXRC_OP_FAIL)
            continue;
        reached |= 1ull << op->next;
        if (op->kind == MXRC_OP_IF || op->kind == MXRC_OP_REPEAT)
            reached |= 1ull << op->target;
    }
    return 1;
}

uint32_t mxrc_program_flow(const struct mxrc_program_slot *program, uint32_t *bad)
{
    struct flow flow = {.op = program->op, .count = program->program.op_count};
    memset(flow.owner, NONE, sizeof flow.owner);
    if (!pair_jumps(&flow, bad) || !nest(&flow, bad))
        return MXRC_ERR_INVALID;
    for (uint32_t i = 0; i < flow.count; i++) {
        *bad = i;
        if (!edges_of(&flow, i))
            return MXRC_ERR_INVALID;
        if (flow.op[i].kind == MXRC_OP_PARALLEL && !disjoint(&flow, i))
            return MXRC_ERR_INVALID;
    }
    for (uint32_t i = 0; i < flow.count; i++) {
        *bad = i;
        if (flow.op[i].kind == MXRC_OP_REPEAT && flow.op[i].count == 0 &&
            !rounds_take_time(&flow, i))
            return MXRC_ERR_INVALID;
    }
    *bad = flow.count - 1;
    return flow.op[flow.count - 1].kind == MXRC_OP_END ? MXRC_OK : MXRC_ERR_INVALID;
}
