/* test_image_wrong_one_buffer.c: all processes fill the same buffers; the claims must find it. */
#define MXRC_WRONG_ONE_BUFFER
#include "image_claims.h"

int main(void)
{
    return wrong_variant();
}
