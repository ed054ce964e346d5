/* test.h: what every C test needs: checks that count and say where, and a summary line. */
#ifndef MXRC_TEST_H
#define MXRC_TEST_H

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static unsigned test_passed;
static unsigned test_failed;

/* Counts; a failure is printed with its place and a message. Returns `condition`. */
__attribute__((format(printf, 4, 5), unused)) static int
test_check(int condition, const char *file, int line, const char *format, ...)
{
    if (condition) {
        test_passed++;
        return 1;
    }
    test_failed++;
    if (test_failed <= 20) {
        va_list arguments;
        va_start(arguments, format);
        printf("%s:%d: ", file, line);
        vprintf(format, arguments);
        printf("\n");
        fflush(stdout);
        va_end(arguments);
    }
    return 0;
}

__attribute__((unused)) static int test_equal(uint64_t a, uint64_t b, const char *what,
                                              const char *file, int line)
{
    return test_check(a == b, file, line, "%s is %" PRIu64 ", not %" PRIu64, what, a, b);
}

#define CHECK(condition) test_check((condition) ? 1 : 0, __FILE__, __LINE__, "%s", #condition)
#define CHECK_SAY(condition, ...) test_check((condition) ? 1 : 0, __FILE__, __LINE__, __VA_ARGS__)
#define CHECK_EQUAL(a, b) test_equal((uint64_t)(a), (uint64_t)(b), #a, __FILE__, __LINE__)
#define CHECK_HAS(text, part)                                                                      \
    test_check(strstr((text), (part)) != NULL, __FILE__, __LINE__, "\"%s\" is not in \"%s\"",      \
               (part), (text))

/* The exit status of the program. */
__attribute__((unused)) static int test_summary(void)
{
    printf("%u passed, %u failed\n", test_passed, test_failed);
    return test_failed == 0 && test_passed > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* xorshift64*, Marsaglia 2003 / Vigna 2014: repeatable by its seed. */
__attribute__((unused)) static uint64_t test_random(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * 0x2545f4914f6cdd1dULL;
}

#endif
