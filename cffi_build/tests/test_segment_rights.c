/* test_segment_rights.c: each process can write its own regions and faults on every other one. */
#include <signal.h>

#include "fixture.h"

static struct mxrc_segment rt;
static struct mxrc_segment standby;
static struct mxrc_segment nonrt;
static struct mxrc_segment reader;

struct attempt {
    const struct mxrc_segment *segment;
    uint32_t id;
};

static void faulted(int number)
{
    _exit(number == SIGSEGV ? 42 : 43);
}

static int write_first_and_last(void *argument)
{
    const struct attempt *attempt = argument;
    uint64_t bytes;
    volatile uint8_t *region = mxrc_region(attempt->segment, attempt->id, &bytes);
    signal(SIGSEGV, faulted);
    signal(SIGBUS, faulted);
    region[bytes - 1] = region[bytes - 1];
    region[0] = region[0];
    return 0;
}

/* 1 writable, 0 faults, -1 anything else. */
static int writable(const struct mxrc_segment *segment, uint32_t id)
{
    struct attempt attempt = {segment, id};
    int status = fixture_child(write_first_and_last, &attempt);
    if (!WIFEXITED(status)) {
        return -1;
    }
    return WEXITSTATUS(status) == 0 ? 1 : WEXITSTATUS(status) == 42 ? 0 : -1;
}

static int expected(const struct mxrc_segment *segment, const struct mxrc_region_desc *region)
{
    switch (region->writer) {
    case MXRC_WRITER_RT:
    case MXRC_WRITER_LEASE:
        return segment == &rt || segment == &standby;
    case MXRC_WRITER_MEMBER:
        return (segment == &rt && region->member == 0) ||
               (segment == &standby && region->member == 1);
    case MXRC_WRITER_NONRT:
        return segment == &nonrt;
    default:
        return 0;
    }
}

int main(void)
{
    static const uint32_t of_nonrt[] = {
        MXRC_REGION_COMMANDS,   MXRC_REGION_STAGING,       MXRC_REGION_NAMES_NONRT,
        MXRC_REGION_CONTROL,    MXRC_REGION_CURSORS,       MXRC_REGION_NONRT_STATUS,
        MXRC_REGION_DATA_NONRT, MXRC_REGION_ADMIN_REQUEST, MXRC_REGION_NONRT_DOCUMENT,
    };
    static const uint32_t of_rt[] = {
        MXRC_REGION_CLOCK, MXRC_REGION_LEASE,    MXRC_REGION_RT_STATUS, MXRC_REGION_RT_METRICS,
        MXRC_REGION_STATE, MXRC_REGION_PROGRAMS, MXRC_REGION_DATA_RT,   MXRC_REGION_CYCLE_RING,
    };
    int created;
    fixture_start();
    CHECK_EQUAL(fixture_open(&rt, &created), MXRC_OPEN_OK);
    for (uint32_t id = 0; id < MXRC_REGIONS; id++) {
        if (mxrc_region_description(&rt, id) != NULL) {
            CHECK_EQUAL(writable(&rt, id), 1); /* before publication the creator fills everything */
        }
    }
    CHECK_EQUAL(mxrc_segment_publish(&rt), 0);
    CHECK_EQUAL(fixture_open(&standby, &created), MXRC_OPEN_OK);
    CHECK_EQUAL(fixture_attach(&nonrt, MXRC_ACCESS_NONRT), MXRC_OPEN_OK);
    CHECK_EQUAL(fixture_attach(&reader, MXRC_ACCESS_READ), MXRC_OPEN_OK);
    /* The reader's descriptor did not allow writing: nothing can change its mind. */
    CHECK_EQUAL(mprotect(reader.base, 4096, PROT_READ | PROT_WRITE), -1);

    for (uint32_t i = 0; i < sizeof of_nonrt / sizeof of_nonrt[0]; i++) {
        CHECK_EQUAL(mxrc_region_description(&rt, of_nonrt[i])->writer, MXRC_WRITER_NONRT);
    }
    for (uint32_t i = 0; i < sizeof of_rt / sizeof of_rt[0]; i++) {
        uint32_t writer = mxrc_region_description(&rt, of_rt[i])->writer;
        CHECK(writer == MXRC_WRITER_RT || writer == MXRC_WRITER_LEASE);
    }
    const struct mxrc_segment *const processes[] = {&rt, &standby, &nonrt, &reader};
    for (uint32_t id = 0; id < MXRC_REGIONS; id++) {
        const struct mxrc_region_desc *region = mxrc_region_description(&rt, id);
        for (int i = 0; region != NULL && i < 4; i++) {
            CHECK_SAY(writable(processes[i], id) == expected(processes[i], region),
                      "region %s, process %d", region->name, i);
        }
    }
    mxrc_segment_detach(&reader);
    mxrc_segment_detach(&nonrt);
    mxrc_segment_detach(&standby);
    mxrc_segment_detach(&rt);
    return test_summary();
}
