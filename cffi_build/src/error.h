/* error.h: one line for a person beside every error code. */
#ifndef MXRC_ERROR_H
#define MXRC_ERROR_H

#include <stddef.h>

/* Writes the line (cut to fit, NUL-terminated; `error` may be NULL) and returns `code`. */
int mxrc_fail(char *error, size_t error_bytes, int code, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

#endif
