/* member.c: the places of attached RT processes. A place is taken while the process named by pid and
 * process_start lives, so one that died needs no cleaning up to be used again. */
#include <string.h>
#include <unistd.h>

#include "atomic.h"
#include "segment.h"

static struct mxrc_member *member_at(const struct mxrc_segment *segment, uint32_t index)
{
    return mxrc_region(segment, MXRC_REGION_MEMBER + index, NULL);
}

static int alive(const struct mxrc_member *member)
{
    /* pid is stored last with release: process_start belongs to it. */
    uint32_t pid = mxrc_load_acquire32(&member->pid);
    return pid != 0 && mxrc_process_alive(pid, mxrc_load_relaxed(&member->process_start));
}

int mxrc_member_live(const struct mxrc_segment *segment, int except, uint32_t *pid)
{
    for (uint32_t index = 0; index < MXRC_MEMBERS; index++) {
        const struct mxrc_member *member = member_at(segment, index);
        if (member != NULL && (int)index != except && alive(member)) {
            *pid = mxrc_load_relaxed32(&member->pid);
            return (int)index;
        }
    }
    return -1;
}

/* A free place, if possible not the one that the lease names: who watches the owner's heartbeat would take us for it. */
static int choose(const struct mxrc_segment *segment)
{
    const struct mxrc_lease *lease = mxrc_region(segment, MXRC_REGION_LEASE, NULL);
    uint64_t owner = mxrc_load_acquire(&lease->owner) & 0xffff; /* member + 1 */
    int last_resort = -1;
    for (uint32_t index = 0; index < mxrc_segment_header(segment)->max_members; index++) {
        if (alive(member_at(segment, index))) {
            continue;
        }
        if (index + 1 != owner) {
            return (int)index;
        }
        last_resort = (int)index;
    }
    return last_resort;
}

int mxrc_member_claim(struct mxrc_segment *segment)
{
    int index = choose(segment);
    if (index < 0) {
        return -1;
    }
    segment->member = index;
    if (mxrc_segment_protect(segment) != 0) {
        segment->member = -1;
        return -1;
    }

    struct mxrc_member *member = member_at(segment, (uint32_t)index);
    uint32_t pid = (uint32_t)getpid();
    mxrc_store_release32(&member->pid, 0);
    mxrc_store_relaxed32(&member->tid, 0);
    mxrc_store_relaxed(&member->heartbeat_ns, 0);
    mxrc_store_relaxed(&member->main_heartbeat_ns, 0);
    mxrc_store_relaxed32(&member->role, MXRC_ROLE_NONE);
    mxrc_store_relaxed32(&member->cpu, 0);
    mxrc_store_relaxed(&member->admin_reply, 0);
    uint64_t odd = mxrc_seq_begin(&member->document_seq);
    mxrc_store_word32(&member->document_bytes, 0);
    mxrc_seq_end(&member->document_seq, odd);
    mxrc_store_relaxed(&member->process_start, mxrc_process_start(pid));
    mxrc_store_release32(&member->pid, pid);

    for (uint32_t lane = 0; lane < 2; lane++) {
        struct mxrc_ring ring;
        if (mxrc_ring_open(&ring, segment, MXRC_REGION_LANE + 2 * (uint32_t)index + lane) == 0) {
            mxrc_ring_recover(&ring);
        }
    }
    return index;
}

void mxrc_member_release(struct mxrc_segment *segment)
{
    if (segment->member < 0) {
        return;
    }
    struct mxrc_member *member = member_at(segment, (uint32_t)segment->member);
    /* A forked child that ends must not give away its parent's place. */
    if (mxrc_load_relaxed32(&member->pid) == (uint32_t)getpid()) {
        mxrc_store_relaxed32(&member->role, MXRC_ROLE_NONE);
        mxrc_store_release32(&member->pid, 0); /* from here on the place may be another's */
    }
    segment->member = -1;
}
