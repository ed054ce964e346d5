/* error.c: see error.h. */
#include "error.h"

#include <stdarg.h>
#include <stdio.h>

int mxrc_fail(char *error, size_t error_bytes, int code, const char *format, ...)
{
    if (error != NULL && error_bytes > 0) {
        va_list arguments;
        va_start(arguments, format);
        vsnprintf(error, error_bytes, format, arguments);
        va_end(arguments);
    }
    return code;
}
