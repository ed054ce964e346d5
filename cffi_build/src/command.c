/* command.c: the bounded queue from Non-RT to RT. The slots are written and read as those of ring.c are;
 * what differs is that nothing is overwritten: the producer goes by rt_status.command_tail, which RT
 * stores with release once a command is done with. */
#include "command.h"

#include <errno.h>

#include "atomic.h"
#include "segment.h"

struct queue {
    struct mxrc_ring_header *header;
    struct mxrc_command *slots;
    uint64_t capacity; /* by the table: the header may be written by another process */
};

static struct queue open_queue(const struct mxrc_segment *segment)
{
    const struct mxrc_region_desc *region = mxrc_region_description(segment, MXRC_REGION_COMMANDS);
    if (region == NULL) {
        return (struct queue){0}; /* detached */
    }
    struct mxrc_ring_header *header = (void *)(segment->base + region->offset);
    return (struct queue){header, (void *)((uint8_t *)header + sizeof *header),
                          region->element_count};
}

static uint64_t room(const struct mxrc_segment *segment, const struct queue *queue)
{
    const struct mxrc_rt_status *status = mxrc_region(segment, MXRC_REGION_RT_STATUS, NULL);
    /* Acquire: RT's reads of the slot came before it gave the slot back. */
    uint64_t tail = mxrc_load_acquire(&status->command_tail);
    uint64_t waiting = mxrc_load_relaxed(&queue->header->head) - tail;
    return waiting <= queue->capacity ? queue->capacity - waiting : 0;
}

uint64_t mxrc_command_free(const struct mxrc_segment *segment)
{
    struct queue queue = open_queue(segment);
    return queue.header != NULL ? room(segment, &queue) : 0;
}

int mxrc_command_send(struct mxrc_segment *segment, struct mxrc_command *command, uint64_t *number)
{
    struct queue queue = open_queue(segment);
    if (queue.header == NULL ||
        !mxrc_region_writable(segment, mxrc_region_description(segment, MXRC_REGION_COMMANDS))) {
        return EPERM;
    }
    if (room(segment, &queue) == 0) {
        return EAGAIN;
    }
    uint64_t head = mxrc_load_relaxed(&queue.header->head);
    struct mxrc_command *slot = &queue.slots[head & (queue.capacity - 1)];
    command->seq = 2 * head + 2;
    if (command->time_ns == 0) {
        command->time_ns = mxrc_now_ns();
    }
    mxrc_store_relaxed(&slot->seq, command->seq - 1);
    mxrc_fence_release();
    mxrc_copy_in(&slot->time_ns, &command->time_ns, sizeof *command - sizeof command->seq);
    mxrc_store_release(&slot->seq, command->seq);
    mxrc_store_release(&queue.header->head, head + 1);
    *number = head;
    return 0;
}

int mxrc_command_peek(const struct mxrc_segment *segment, uint64_t number, struct mxrc_command *out)
{
    struct queue queue = open_queue(segment);
    if (queue.header == NULL || number >= mxrc_load_acquire(&queue.header->head)) {
        return 0;
    }
    const struct mxrc_command *slot = &queue.slots[number & (queue.capacity - 1)];
    uint64_t seq = mxrc_load_acquire(&slot->seq);
    if (seq != 2 * number + 2) {
        return -1;
    }
    out->seq = seq;
    mxrc_copy_out(&out->time_ns, &slot->time_ns, sizeof *out - sizeof out->seq);
    return mxrc_seq_unchanged(&slot->seq, seq) ? 1 : -1;
}
