/* write_model.c DIRECTORY base|small: a Transformer of random weights, for machines that have no Python package to make one. */
#include <string.h>

#include "nn/tiny_model.h"

int main(int argc, char **argv)
{
    if (argc != 3) return 2;
    tiny_model model = { .name = argv[2], .d_model = 512, .n_heads = 8, .d_ffn = 2048, .n_layers = 6, .vocabulary = 32000 };
    if (strcmp(argv[2], "small") == 0) {
        model.d_model = 128;
        model.d_ffn = 256;
        model.vocabulary = 2000;
    } else if (strcmp(argv[2], "base") != 0) {
        return 2;
    }
    tiny_model_write(argv[1], &model);
    return 0;
}
