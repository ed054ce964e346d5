/* test_segment_life.c: making, joining, leaving, replacing and retiring a generation. */
#include <errno.h>
#include <signal.h>

#include "../src/segment.h"
#include "fixture.h"

static int created;

static void test_building(void)
{
    struct mxrc_segment creator;
    struct mxrc_segment other;
    struct stat status;
    umask(077);
    CHECK_EQUAL(fixture_open(&creator, &created), MXRC_OPEN_OK);
    umask(022);
    CHECK_EQUAL(created, 1);
    CHECK_EQUAL(creator.member, 0);
    CHECK_EQUAL(fixture_attach(&other, MXRC_ACCESS_READ), MXRC_OPEN_BUILDING);
    CHECK(other.base == NULL);
    CHECK_EQUAL(fixture_attach(&other, MXRC_ACCESS_NONRT), MXRC_OPEN_BUILDING);
    CHECK_EQUAL(mxrc_name_intern(&creator, MXRC_REGION_NAMES_RT, MXRC_NAME_AXIS, "j1"),
                MXRC_NAME_RT_BIT | 1);
    CHECK_EQUAL(mxrc_segment_publish(&creator), 0);
    CHECK_EQUAL(mxrc_segment_publish(&creator), EINVAL);
    CHECK_EQUAL(mxrc_name_intern(&creator, MXRC_REGION_NAMES_RT, MXRC_NAME_AXIS, "j2"), 0);

    CHECK_EQUAL(fixture_attach(&other, MXRC_ACCESS_READ), MXRC_OPEN_OK);
    CHECK_EQUAL(other.generation, creator.generation);
    CHECK_EQUAL(mxrc_segment_current(&other), MXRC_OPEN_OK);
    CHECK(strcmp(mxrc_name_find(&other, MXRC_NAME_RT_BIT | 1)->text, "j1") == 0);
    const struct mxrc_header *header = mxrc_segment_header(&other);
    struct mxrc_geometry geometry = fixture_geometry();
    CHECK_EQUAL(header->segment_bytes, mxrc_segment_size(&geometry));
    CHECK_EQUAL(header->creator_pid, getpid());
    CHECK_EQUAL(header->layout_hash, mxrc_layout_hash());
    CHECK_EQUAL(header->axis_count, 6);
    CHECK(strcmp(header->instance, "test") == 0);
    /* Group rights in spite of the umask. */
    char path[96];
    snprintf(path, sizeof path, "/dev/shm%s", fixture_name);
    CHECK_EQUAL(stat(path, &status), 0);
    CHECK_EQUAL(status.st_mode & 07777, 0660);
    CHECK_EQUAL(stat(fixture_lock, &status), 0);
    CHECK_EQUAL(status.st_mode & 07777, 0660);
    CHECK_EQUAL(status.st_blocks > 0, 1);

    CHECK_EQUAL(mxrc_segment_retire(&creator, fixture_lock, error, sizeof error), MXRC_OPEN_OK);
    CHECK_EQUAL(header->state, MXRC_SEGMENT_RETIRED);
    CHECK_EQUAL(mxrc_segment_current(&other), MXRC_OPEN_ABSENT);
    CHECK_EQUAL(fixture_attach(&other, MXRC_ACCESS_NONRT), MXRC_OPEN_ABSENT);
    CHECK_HAS(error, fixture_name);
    mxrc_segment_detach(&other);
    mxrc_segment_detach(&creator);
    CHECK_EQUAL(stat(path, &status), -1);
}

static void test_given_up(void)
{
    struct mxrc_segment segment;
    CHECK_EQUAL(fixture_open(&segment, &created), MXRC_OPEN_OK);
    CHECK_EQUAL(mxrc_segment_retire(&segment, fixture_lock, error, sizeof error), MXRC_OPEN_SYSTEM);
    mxrc_segment_detach(&segment);
    CHECK_EQUAL(fixture_attach(&segment, MXRC_ACCESS_READ), MXRC_OPEN_ABSENT);
}

static int die_building(void *generation)
{
    struct mxrc_segment segment;
    int made;
    int result = fixture_open(&segment, &made);
    *(uint64_t *)generation = segment.generation;
    return result;
}

static int die_live(void *generation)
{
    struct mxrc_segment segment;
    fixture_live(&segment);
    *(uint64_t *)generation = segment.generation;
    return 0;
}

static void test_dead_creators(void)
{
    struct mxrc_segment segment;
    uint64_t *generation = fixture_shared(sizeof *generation);
    /* Died before publication: replaced. */
    CHECK_EQUAL(fixture_child(die_building, generation), 0);
    CHECK_EQUAL(fixture_attach(&segment, MXRC_ACCESS_NONRT), MXRC_OPEN_BUILDING);
    CHECK_EQUAL(fixture_child(die_live, generation), 0);
    uint64_t first = *generation;
    /* Died live: kept for reading, and joined by the successor of the same shape. */
    CHECK_EQUAL(fixture_attach(&segment, MXRC_ACCESS_READ), MXRC_OPEN_OK);
    CHECK_EQUAL(segment.generation, first);
    mxrc_segment_detach(&segment);
    CHECK_EQUAL(fixture_child(die_live, generation), 0);
    CHECK_EQUAL(*generation, first);
    CHECK_EQUAL(fixture_open(&segment, &created), MXRC_OPEN_OK);
    CHECK_EQUAL(created, 0);
    CHECK_EQUAL(segment.generation, first);
    CHECK_EQUAL(segment.member, 0);

    /* Another shape while one lives: refused, and it says why. Dead: replaced. */
    struct mxrc_segment second;
    struct mxrc_geometry geometry = fixture_geometry();
    geometry.period_ns = 500000;
    CHECK_EQUAL(mxrc_segment_open_rt(&second, fixture_name, fixture_lock, &geometry, &created,
                                     error, sizeof error),
                MXRC_OPEN_BUSY);
    CHECK_HAS(error, "period");
    geometry = fixture_geometry();
    geometry.event_slots = 64;
    CHECK_EQUAL(mxrc_segment_open_rt(&second, fixture_name, fixture_lock, &geometry, &created,
                                     error, sizeof error),
                MXRC_OPEN_BUSY);
    geometry = fixture_geometry();
    geometry.config_hash++;
    CHECK_EQUAL(mxrc_segment_open_rt(&second, fixture_name, fixture_lock, &geometry, &created,
                                     error, sizeof error),
                MXRC_OPEN_BUSY);
    CHECK_HAS(error, "axes or data keys");
    mxrc_segment_detach(&segment);
    CHECK_EQUAL(mxrc_segment_open_rt(&second, fixture_name, fixture_lock, &geometry, &created,
                                     error, sizeof error),
                MXRC_OPEN_OK);
    CHECK_EQUAL(created, 1);
    CHECK(second.generation > first);
    CHECK_EQUAL(mxrc_segment_publish(&second), 0);
    CHECK_EQUAL(mxrc_segment_retire(&second, fixture_lock, error, sizeof error), MXRC_OPEN_OK);
    mxrc_segment_detach(&second);
}

static void test_members(void)
{
    struct mxrc_segment first;
    struct mxrc_segment second;
    struct mxrc_segment third;
    uint64_t *generation = fixture_shared(sizeof *generation);
    fixture_live(&first);
    CHECK_EQUAL(fixture_open(&second, &created), MXRC_OPEN_OK);
    CHECK_EQUAL(created, 0);
    CHECK_EQUAL(second.member, 1);
    CHECK_EQUAL(fixture_open(&third, &created), MXRC_OPEN_BUSY);
    CHECK_HAS(error, "max_rt_processes");
    mxrc_segment_detach(&second);

    /* A dead member's place is taken again, with its lanes repaired. */
    CHECK_EQUAL(fixture_child(die_live, generation), 0);
    struct mxrc_member *place = mxrc_region(&first, MXRC_REGION_MEMBER + 1, NULL);
    CHECK(place->pid != 0 && place->pid != (uint32_t)getpid());
    CHECK_EQUAL(fixture_open(&second, &created), MXRC_OPEN_OK);
    CHECK_EQUAL(second.member, 1);
    CHECK_EQUAL(place->pid, getpid());
    struct mxrc_ring lane;
    CHECK_EQUAL(mxrc_ring_open(&lane, &second, MXRC_REGION_LANE + 3), 0);
    ((struct mxrc_event *)(void *)lane.slots)->seq = 1;
    mxrc_segment_detach(&second);
    CHECK_EQUAL(place->pid, 0);
    CHECK_EQUAL(fixture_open(&second, &created), MXRC_OPEN_OK);
    CHECK_EQUAL(mxrc_ring_open(&lane, &second, MXRC_REGION_LANE + 3), 0);
    CHECK_EQUAL(lane.header->head, 1);
    CHECK_EQUAL(lane.header->tombstones, 1);

    /* The pid of a living process with another start is another process: the place is free. */
    struct mxrc_member *own = mxrc_region(&second, MXRC_REGION_MEMBER + 1, NULL);
    own->process_start++;
    CHECK_EQUAL(fixture_open(&third, &created), MXRC_OPEN_OK);
    CHECK_EQUAL(third.member, 1);
    mxrc_segment_detach(&third);
    mxrc_segment_detach(&second);

    /* The place that the lease names is taken last. */
    struct mxrc_lease *lease = mxrc_region(&first, MXRC_REGION_LEASE, NULL);
    lease->owner = (7 << 16) | 1;
    ((struct mxrc_member *)mxrc_region(&first, MXRC_REGION_MEMBER, NULL))->pid = 0;
    CHECK_EQUAL(fixture_open(&second, &created), MXRC_OPEN_OK);
    CHECK_EQUAL(second.member, 1);
    mxrc_segment_detach(&second);

    /* Of two that end in order the last one retires; the first has given up its place. */
    ((struct mxrc_member *)mxrc_region(&first, MXRC_REGION_MEMBER, NULL))->pid = (uint32_t)getpid();
    CHECK_EQUAL(fixture_open(&second, &created), MXRC_OPEN_OK);
    CHECK_EQUAL(mxrc_segment_retire(&first, fixture_lock, error, sizeof error), MXRC_OPEN_BUSY);
    CHECK_EQUAL(first.member, -1);
    CHECK_EQUAL(mxrc_segment_retire(&second, fixture_lock, error, sizeof error), MXRC_OPEN_OK);
    mxrc_segment_detach(&second);
    mxrc_segment_detach(&first);
}

static int hold_mutex(void *mutex)
{
    return pthread_mutex_lock(mutex);
}

static void test_lease_mutex(void)
{
    struct mxrc_segment segment;
    fixture_live(&segment);
    struct mxrc_lease *lease = mxrc_region(&segment, MXRC_REGION_LEASE, NULL);
    pthread_mutex_t *mutex = (pthread_mutex_t *)(void *)lease->mutex;
    CHECK_EQUAL(lease->owner, 0);
    CHECK_EQUAL(fixture_child(hold_mutex, mutex), 0);
    CHECK_EQUAL(pthread_mutex_lock(mutex), EOWNERDEAD);
    CHECK_EQUAL(pthread_mutex_consistent(mutex), 0);
    CHECK_EQUAL(pthread_mutex_unlock(mutex), 0);
    CHECK_EQUAL(mxrc_segment_retire(&segment, fixture_lock, error, sizeof error), MXRC_OPEN_OK);
    mxrc_segment_detach(&segment);
}

static void test_one_nonrt(void)
{
    struct mxrc_segment rt;
    struct mxrc_segment nonrt;
    fixture_live(&rt);
    int ready[2];
    CHECK_EQUAL(pipe(ready), 0);
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        int result = fixture_attach(&nonrt, MXRC_ACCESS_NONRT);
        struct mxrc_nonrt_status *status = mxrc_region(&nonrt, MXRC_REGION_NONRT_STATUS, NULL);
        status->process_start = mxrc_process_start((uint32_t)getpid());
        status->pid = (uint32_t)getpid();
        result += write(ready[1], "x", 1) != 1;
        pause();
        _exit(result);
    }
    char byte;
    CHECK_EQUAL(read(ready[0], &byte, 1), 1);
    CHECK_EQUAL(fixture_attach(&nonrt, MXRC_ACCESS_NONRT), MXRC_OPEN_BUSY);
    char pid[16];
    snprintf(pid, sizeof pid, "%ld", (long)child);
    CHECK_HAS(error, pid);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    CHECK_EQUAL(fixture_attach(&nonrt, MXRC_ACCESS_NONRT), MXRC_OPEN_OK);
    mxrc_segment_detach(&nonrt);
    CHECK_EQUAL(mxrc_segment_retire(&rt, fixture_lock, error, sizeof error), MXRC_OPEN_OK);
    mxrc_segment_detach(&rt);
    close(ready[0]);
    close(ready[1]);
}

/* A generation is not retired or published under a name that is another's by now. */
static void test_replaced(void)
{
    struct mxrc_segment old;
    struct mxrc_segment new;
    fixture_live(&old);
    shm_unlink(fixture_name);
    CHECK_EQUAL(mxrc_segment_current(&old), MXRC_OPEN_ABSENT);
    fixture_live(&new);
    CHECK_EQUAL(mxrc_segment_current(&old), MXRC_OPEN_FOREIGN);
    CHECK_EQUAL(mxrc_segment_retire(&old, fixture_lock, error, sizeof error), MXRC_OPEN_FOREIGN);
    CHECK_EQUAL(mxrc_segment_current(&new), MXRC_OPEN_OK);
    mxrc_segment_detach(&old);
    CHECK_EQUAL(mxrc_segment_retire(&new, fixture_lock, error, sizeof error), MXRC_OPEN_OK);
    mxrc_segment_detach(&new);

    CHECK_EQUAL(fixture_open(&old, &created), MXRC_OPEN_OK);
    shm_unlink(fixture_name);
    CHECK_EQUAL(mxrc_segment_publish(&old), ESTALE);
    mxrc_segment_detach(&old);
}

/* A detached segment answers, with nothing. */
static void test_detached(void)
{
    struct mxrc_segment segment;
    struct mxrc_command command = {.kind = MXRC_COMMAND_NOOP};
    struct mxrc_state_block *block = malloc(sizeof *block);
    struct mxrc_ring ring;
    uint64_t number;
    uint32_t bytes;
    uint8_t value[MXRC_DATA_BYTES] = {0};
    char draft[64];
    /* The draft of a creator that died is removed by the one that retires. */
    fixture_live(&segment);
    snprintf(draft, sizeof draft, "%s.new", fixture_name);
    close(shm_open(draft, O_RDWR | O_CREAT, 0600));
    CHECK_EQUAL(mxrc_segment_retire(&segment, fixture_lock, error, sizeof error), MXRC_OPEN_OK);
    CHECK_EQUAL(shm_open(draft, O_RDONLY, 0), -1);
    mxrc_segment_detach(&segment);

    mxrc_segment_detach(&segment);
    CHECK(mxrc_region(&segment, MXRC_REGION_LEASE, NULL) == NULL);
    CHECK_EQUAL(mxrc_ring_open(&ring, &segment, MXRC_REGION_CYCLE_RING), ENOENT);
    CHECK_EQUAL(mxrc_command_free(&segment), 0);
    CHECK_EQUAL(mxrc_command_send(&segment, &command, &number), EPERM);
    CHECK_EQUAL(mxrc_data_read(&segment, 0, value, &bytes, &number), ENOENT);
    CHECK_EQUAL(mxrc_data_write(&segment, 0, value, 1, 0), ENOENT);
    CHECK_EQUAL(mxrc_name_intern(&segment, MXRC_REGION_NAMES_NONRT, MXRC_NAME_TASK, "x"), 0);
    CHECK(mxrc_name_find(&segment, 1) == NULL);
    CHECK_EQUAL(mxrc_clock_update(&segment), 0);
    CHECK(mxrc_clock_to_realtime(&segment, mxrc_now_ns()) > 0);
    CHECK_EQUAL(mxrc_state_read(&segment, block), 0);
    CHECK_EQUAL(mxrc_segment_publish(&segment), EINVAL);
    CHECK_EQUAL(mxrc_segment_retire(&segment, fixture_lock, error, sizeof error), MXRC_OPEN_SYSTEM);
    free(block);
}

int main(void)
{
    fixture_start();
    test_building();
    test_given_up();
    test_dead_creators();
    test_members();
    test_lease_mutex();
    test_one_nonrt();
    test_replaced();
    test_detached();
    return test_summary();
}
