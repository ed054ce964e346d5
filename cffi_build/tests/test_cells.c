/* test_cells.c: documents and data-store values: limits of what is written, and never half a value. */
#include <errno.h>
#include <math.h>
#include <sched.h>

#include "../src/atomic.h"
#include "fixture.h"

static struct mxrc_segment rt;
static struct mxrc_segment nonrt;

static struct mxrc_document *document;
static char out[sizeof(struct mxrc_document)];
static uint32_t bytes_read;

static int document_write(const char *text, size_t bytes)
{
    return mxrc_document_write(&document->seq, document->text, &document->bytes,
                               sizeof document->text, text, (uint32_t)bytes);
}

static int document_read(size_t capacity)
{
    return mxrc_document_read(&document->seq, document->text, &document->bytes, out,
                              (uint32_t)capacity, &bytes_read);
}

static void test_document(void)
{
    enum { CAPACITY = sizeof document->text };
    static char text[CAPACITY + 8];
    document = mxrc_region(&nonrt, MXRC_REGION_NONRT_DOCUMENT, NULL);
    bytes_read = 99;
    CHECK_EQUAL(document_read(CAPACITY), 0);
    CHECK_EQUAL(bytes_read, 0);
    for (uint32_t length = 0; length <= 40; length++) {
        memset(text, 'a' + (int)(length % 26), sizeof text);
        memset(out, '#', sizeof out);
        CHECK_EQUAL(document_write(text, length), 0);
        CHECK_EQUAL(document_read(CAPACITY), 0);
        CHECK_EQUAL(bytes_read, length);
        CHECK(memcmp(out, text, length) == 0 && out[length] == '#');
    }
    CHECK_EQUAL(document_read(39), EMSGSIZE);
    CHECK_EQUAL(bytes_read, 40);
    CHECK_EQUAL(document_write(text, CAPACITY), 0);
    CHECK_EQUAL(document_read(CAPACITY), 0);
    CHECK_EQUAL(bytes_read, CAPACITY);
    CHECK_EQUAL(document_write(text, CAPACITY + 1), EMSGSIZE);
    CHECK_EQUAL(document_read(CAPACITY), 0);
    /* The writer died in it: readers give up after a bounded time, the successor writes over it. */
    document->seq++;
    CHECK_EQUAL(document_read(CAPACITY), EAGAIN);
    CHECK_EQUAL(document_write("new", 3), 0);
    CHECK_EQUAL(document_read(CAPACITY), 0);
    CHECK_EQUAL(bytes_read, 3);
}

enum { BOOL, INT, DOUBLE, ARRAY, STRING, OF_NONRT, BAD_CELL, KEYS };

static void describe(struct mxrc_segment *creator)
{
    struct mxrc_data_directory *directory = mxrc_region(creator, MXRC_REGION_DATA_DIRECTORY, NULL);
    struct mxrc_data_key *key = (struct mxrc_data_key *)(void *)(directory + 1);
    static const struct {
        uint16_t type;
        uint16_t length;
        uint16_t writer;
        uint32_t cell;
        double minimum;
        double maximum;
    } keys[KEYS] = {
        [BOOL] = {MXRC_DATA_BOOL, 1, MXRC_WRITER_RT, 0, -HUGE_VAL, HUGE_VAL},
        [INT] = {MXRC_DATA_INT64, 1, MXRC_WRITER_RT, 1, -10, 10},
        [DOUBLE] = {MXRC_DATA_DOUBLE, 1, MXRC_WRITER_RT, 2, -1.5, 1.5},
        [ARRAY] = {MXRC_DATA_DOUBLE_ARRAY, 16, MXRC_WRITER_RT, 3, -HUGE_VAL, 100},
        [STRING] = {MXRC_DATA_STRING, 20, MXRC_WRITER_RT, 4, -HUGE_VAL, HUGE_VAL},
        [OF_NONRT] = {MXRC_DATA_DOUBLE_ARRAY, 16, MXRC_WRITER_NONRT, 0, -HUGE_VAL, HUGE_VAL},
        [BAD_CELL] = {MXRC_DATA_BOOL, 1, MXRC_WRITER_RT, 100, -HUGE_VAL, HUGE_VAL},
    };
    for (int i = 0; i < KEYS; i++) {
        key[i].type = keys[i].type;
        key[i].length = keys[i].length;
        key[i].writer = keys[i].writer;
        key[i].cell = keys[i].cell;
        key[i].minimum = keys[i].minimum;
        key[i].maximum = keys[i].maximum;
    }
    directory->count = KEYS;
    double initial[16] = {1, 2, 3};
    CHECK_EQUAL(mxrc_data_write(creator, OF_NONRT, initial, sizeof initial, 7), 0);
}

static void test_values(void)
{
    uint8_t value[MXRC_DATA_BYTES];
    uint32_t bytes;
    uint64_t time;
    uint8_t flag = 1;
    int64_t integer = -10;
    double number = 1.5;
    double array[16] = {0};

    CHECK_EQUAL(mxrc_data_read(&rt, BOOL, value, &bytes, &time), ENODATA);
    CHECK_EQUAL(mxrc_data_read(&rt, KEYS, value, &bytes, &time), ENOENT);
    CHECK_EQUAL(mxrc_data_read(&rt, UINT32_MAX, value, &bytes, &time), ENOENT);
    CHECK_EQUAL(mxrc_data_read(&rt, BAD_CELL, value, &bytes, &time), ENOENT);
    CHECK_EQUAL(mxrc_data_write(&rt, BAD_CELL, &flag, 1, 1), ENOENT);

    CHECK_EQUAL(mxrc_data_write(&rt, BOOL, &flag, 1, 11), 0);
    CHECK_EQUAL(mxrc_data_read(&nonrt, BOOL, value, &bytes, &time), 0);
    CHECK(bytes == 1 && value[0] == 1 && time == 11);
    flag = 2;
    CHECK_EQUAL(mxrc_data_write(&rt, BOOL, &flag, 1, 12), EINVAL);
    CHECK_EQUAL(mxrc_data_write(&rt, BOOL, &integer, 8, 12), EINVAL);
    CHECK_EQUAL(mxrc_data_write(&nonrt, BOOL, "", 1, 12), EPERM);
    CHECK_EQUAL(mxrc_data_write(&rt, OF_NONRT, array, sizeof array, 12), EPERM);
    CHECK_EQUAL(mxrc_data_read(&nonrt, BOOL, value, &bytes, &time), 0);
    CHECK_EQUAL(time, 11); /* what is refused changes nothing */

    CHECK_EQUAL(mxrc_data_write(&rt, INT, &integer, 8, 13), 0);
    integer = 11;
    CHECK_EQUAL(mxrc_data_write(&rt, INT, &integer, 8, 14), ERANGE);
    CHECK_EQUAL(mxrc_data_write(&rt, INT, &integer, 4, 14), EINVAL);
    CHECK_EQUAL(mxrc_data_read(&nonrt, INT, value, &bytes, &time), 0);
    memcpy(&integer, value, 8);
    CHECK_EQUAL(integer, -10);

    CHECK_EQUAL(mxrc_data_write(&rt, DOUBLE, &number, 8, 15), 0);
    number = 1.5000001;
    CHECK_EQUAL(mxrc_data_write(&rt, DOUBLE, &number, 8, 16), ERANGE);
    number = NAN;
    CHECK_EQUAL(mxrc_data_write(&rt, DOUBLE, &number, 8, 16), EINVAL);
    number = -HUGE_VAL;
    CHECK_EQUAL(mxrc_data_write(&rt, DOUBLE, &number, 8, 16), EINVAL);

    array[15] = 100;
    CHECK_EQUAL(mxrc_data_write(&rt, ARRAY, array, sizeof array, 17), 0);
    CHECK_EQUAL(mxrc_data_write(&rt, ARRAY, array, sizeof array - 8, 18), EINVAL);
    array[15] = 100.1;
    CHECK_EQUAL(mxrc_data_write(&rt, ARRAY, array, sizeof array, 18), ERANGE);
    CHECK_EQUAL(mxrc_data_read(&nonrt, ARRAY, value, &bytes, &time), 0);
    CHECK_EQUAL(bytes, 128);
    CHECK_EQUAL(time, 17);

    CHECK_EQUAL(mxrc_data_write(&rt, STRING, "gripper closed", 14, 19), 0);
    CHECK_EQUAL(mxrc_data_write(&rt, STRING, "012345678901234567890", 21, 20), EINVAL);
    CHECK_EQUAL(mxrc_data_read(&nonrt, STRING, value, &bytes, &time), 0);
    CHECK(bytes == 14 && memcmp(value, "gripper closed", 14) == 0);

    /* The creator gave it a first value. */
    CHECK_EQUAL(mxrc_data_read(&nonrt, OF_NONRT, value, &bytes, &time), 0);
    CHECK_EQUAL(time, 7);
}

static uint64_t *stop;

static void write_values(void *unused)
{
    (void)unused;
    double array[16];
    for (uint64_t round = 1; mxrc_load_acquire(stop) == 0; round++) {
        for (int i = 0; i < 16; i++) {
            array[i] = (double)(round * 16) + i;
        }
        mxrc_data_write(&nonrt, OF_NONRT, array, sizeof array, round);
    }
}

static void test_race(void)
{
    struct fixture_worker writer = {.body = write_values};
    double array[16];
    uint32_t bytes;
    uint64_t time;
    uint64_t torn = 0;
    uint64_t whole = 0;
    uint64_t last = 0;
    uint64_t changes = 0;
    stop = fixture_shared(sizeof *stop);
    double first[16] = {0};
    for (int i = 0; i < 16; i++) {
        first[i] = i;
    }
    mxrc_data_write(&nonrt, OF_NONRT, first, sizeof first, 0);
    fixture_work(&writer);
    /* A busy machine may not let the two run at the same time for long. */
    uint64_t begun = mxrc_now_ns();
    for (uint64_t ns = 0; ns < 300000000 || (changes <= 10 && ns < 30000000000);
         ns = mxrc_now_ns() - begun) {
        if (mxrc_data_read(&rt, OF_NONRT, array, &bytes, &time) != 0) {
            sched_yield();
            continue;
        }
        whole++;
        changes += time != last;
        torn += time < last;
        last = time;
        for (int i = 0; i < 16; i++) {
            torn += array[i] != (double)(time * 16) + i;
        }
    }
    mxrc_store_release(stop, 1);
    CHECK(fixture_wait(&writer));
    printf("%" PRIu64 " reads of %" PRIu64 " values\n", whole, changes);
    CHECK_EQUAL(torn, 0);
    CHECK(changes > 10);
}

int main(void)
{
    int created;
    fixture_start();
    CHECK_EQUAL(fixture_open(&rt, &created), MXRC_OPEN_OK);
    describe(&rt);
    CHECK_EQUAL(mxrc_segment_publish(&rt), 0);
    CHECK_EQUAL(fixture_attach(&nonrt, MXRC_ACCESS_NONRT), MXRC_OPEN_OK);
    test_document();
    test_values();
    test_race();
    mxrc_segment_detach(&nonrt);
    mxrc_segment_detach(&rt);
    return test_summary();
}
