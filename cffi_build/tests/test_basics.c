/* test_basics.c: checksum, histogram, tables, processes. */
#include <math.h>
#include <signal.h>

#include "../src/crc32c.h"
#include "fixture.h"

static void test_crc(void)
{
    /* RFC 3720, appendix B.4. */
    uint8_t data[32];
    memset(data, 0, sizeof data);
    CHECK_EQUAL(mxrc_crc32c(0, data, 32), 0x8a9136aa);
    memset(data, 0xff, sizeof data);
    CHECK_EQUAL(mxrc_crc32c(0, data, 32), 0x62a8ab43);
    for (int i = 0; i < 32; i++) {
        data[i] = (uint8_t)i;
    }
    CHECK_EQUAL(mxrc_crc32c(0, data, 32), 0x46dd794e);
    CHECK_EQUAL(mxrc_crc32c(0, "123456789", 9), 0xe3069283);
    CHECK_EQUAL(mxrc_crc32c_portable(0, "123456789", 9), 0xe3069283);
    CHECK_EQUAL(mxrc_crc32c(0, data, 0), 0);

    uint8_t noise[600];
    uint64_t dice = 42;
    for (size_t i = 0; i < sizeof noise; i++) {
        noise[i] = (uint8_t)test_random(&dice);
    }
    for (size_t from = 0; from < 9; from++) {
        for (size_t bytes = 0; bytes < 500; bytes += 7) {
            uint32_t crc = mxrc_crc32c(7, noise + from, bytes);
            CHECK_EQUAL(crc, mxrc_crc32c_portable(7, noise + from, bytes));
            size_t half = bytes / 3;
            CHECK_EQUAL(crc, mxrc_crc32c(mxrc_crc32c(7, noise + from, half), noise + from + half,
                                         bytes - half));
        }
    }
}

static void test_program_checksum(void)
{
    static struct mxrc_program_slot program;
    program.program.bytes = 512;
    program.op[0].duration_ns = 5;
    uint32_t crc = mxrc_program_checksum(&program);
    CHECK_EQUAL(crc, mxrc_crc32c(0, &program, 512));
    program.program.crc = crc;
    CHECK_EQUAL(mxrc_program_checksum(&program), crc);
    program.op[0].duration_ns = 6;
    CHECK(mxrc_program_checksum(&program) != crc);
    program.op[0].duration_ns = 5;
    program.op[1].duration_ns = 6; /* beyond `bytes` */
    CHECK_EQUAL(mxrc_program_checksum(&program), crc);
    /* Sizes nobody has validated yet. */
    program.program.bytes = 0;
    mxrc_program_checksum(&program);
    program.program.bytes = UINT32_MAX;
    mxrc_program_checksum(&program);
}

static void test_histogram(void)
{
    CHECK_EQUAL(mxrc_histogram_index(0), 0);
    CHECK_EQUAL(mxrc_histogram_index(1), 0);
    CHECK_EQUAL(mxrc_histogram_index(100), 99);
    CHECK_EQUAL(mxrc_histogram_index(101), 100);
    CHECK_EQUAL(mxrc_histogram_index(110), 100);
    CHECK_EQUAL(mxrc_histogram_index(111), 101);
    CHECK_EQUAL(mxrc_histogram_index(100000000000), 909);
    CHECK_EQUAL(mxrc_histogram_index(100000000001), 910);
    CHECK_EQUAL(mxrc_histogram_index(UINT64_MAX), 910);
    CHECK_EQUAL(mxrc_histogram_upper(910), UINT64_MAX);
    /* Intervals are (lower, upper] and leave no gap. */
    for (uint32_t index = 0; index < 910; index++) {
        uint64_t upper = mxrc_histogram_upper(index);
        CHECK(mxrc_histogram_index(upper) == index && mxrc_histogram_index(upper + 1) == index + 1);
    }
    /* Every bound in metrics.def is an edge. */
    size_t count;
    const struct mxrc_metric_def *metric = mxrc_metric_defs(&count);
    unsigned bounds = 0;
    for (size_t i = 0; i < count; i++) {
        const char *at = metric[i].edges;
        while (metric[i].kind == 2 && *at != '\0') {
            char *end;
            uint64_t ns = (uint64_t)llround(strtod(at, &end) / metric[i].scale);
            CHECK_SAY(mxrc_histogram_upper(mxrc_histogram_index(ns)) == ns,
                      "%s: %" PRIu64 " ns is no edge", metric[i].name, ns);
            bounds++;
            at = *end == ',' ? end + 1 : end;
        }
    }
    CHECK(bounds > 20);

    struct mxrc_histogram histogram = {0};
    const uint64_t values[] = {500, 20, 7000000, 20};
    for (int i = 0; i < 4; i++) {
        mxrc_histogram_add(&histogram, values[i]);
    }
    CHECK_EQUAL(histogram.count, 4);
    CHECK_EQUAL(histogram.sum_ns, 7000540);
    CHECK_EQUAL(histogram.min_ns, 20);
    CHECK_EQUAL(histogram.max_ns, 7000000);
    CHECK_EQUAL(histogram.bucket[19], 2);
}

/* Each "{name}" of a format is an argument of it. */
static void check_format(const struct mxrc_event_def *event)
{
    for (const char *at = event->format; (at = strchr(at, '{')) != NULL; at++) {
        size_t length = strcspn(at + 1, "}:");
        const char *argument = event->arguments;
        int found = 0;
        while (*argument != '\0') {
            found |= strncmp(argument, at + 1, length) == 0 && argument[length] == ':';
            argument += strcspn(argument, ",");
            argument += *argument == ',';
        }
        CHECK_SAY(found, "%s: no argument for %s", event->name, at);
    }
}

static void test_tables(void)
{
    size_t events;
    size_t metrics;
    const struct mxrc_event_def *event = mxrc_event_defs(&events);
    const struct mxrc_metric_def *metric = mxrc_metric_defs(&metrics);
    CHECK(events > 10 && metrics > 10);
    for (size_t i = 0; i < events; i++) {
        CHECK(event[i].id > 0 && event[i].id < MXRC_EV_LIMIT);
        CHECK(event[i].level <= MXRC_LEVEL_CRITICAL);
        CHECK(strcmp(mxrc_logger_name(event[i].logger_id), event[i].logger) == 0);
        int arguments = event[i].arguments[0] != '\0';
        for (const char *at = event[i].arguments; (at = strchr(at, ',')) != NULL; at++) {
            arguments++;
        }
        CHECK(arguments <= MXRC_ARGS);
        check_format(&event[i]);
        for (size_t j = 0; j < i; j++) {
            CHECK(event[i].id != event[j].id);
        }
    }
    CHECK(mxrc_logger_name(MXRC_LOGGERS) == NULL);
    for (size_t i = 0; i < metrics; i++) {
        CHECK(metric[i].index < (metric[i].kind == 1 ? MXRC_COUNTERS : MXRC_HISTOGRAMS));
        for (size_t j = 0; j < i; j++) {
            CHECK(metric[i].kind != metric[j].kind || metric[i].index != metric[j].index);
        }
    }
}

static void test_processes(void)
{
    uint64_t start = mxrc_process_start((uint32_t)getpid());
    CHECK(start > 0);
    CHECK_EQUAL(mxrc_process_alive((uint32_t)getpid(), start), 1);
    CHECK_EQUAL(mxrc_process_alive((uint32_t)getpid(), start + 1), 0);
    CHECK_EQUAL(mxrc_process_alive(0, 0), 0);
    CHECK_EQUAL(mxrc_process_start(0), 0);
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        pause();
        _exit(0);
    }
    start = mxrc_process_start((uint32_t)child);
    CHECK_EQUAL(mxrc_process_alive((uint32_t)child, start), 1);
    kill(child, SIGKILL);
    siginfo_t info;
    waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT);
    CHECK_EQUAL(mxrc_process_alive((uint32_t)child, start), 0); /* a zombie is dead */
    waitpid(child, NULL, 0);
    CHECK_EQUAL(mxrc_process_alive((uint32_t)child, start), 0);
    CHECK_EQUAL(mxrc_process_start((uint32_t)child), 0);
}

int main(void)
{
    fixture_start();
    test_crc();
    test_program_checksum();
    test_histogram();
    test_tables();
    test_processes();
    return test_summary();
}
