/* write_variants.c: writes the variants as directories below argv[1], for make_expected.py. */
#include <stdio.h>

#include "nn/variants.h"

int main(int argc, char **argv)
{
    if (argc != 2) return 2;
    for (int i = 0; i < N_VARIANTS; i++) {
        char path[1024];
        (void)snprintf(path, sizeof path, "%s/%s", argv[1], variants[i].name);
        tiny_model_write(path, &variants[i]);
    }
    return 0;
}
