/* kernel_table.h: the table of one instruction set, under the name TRDI_KERNEL_TABLE; the last thing kernels_<isa>.c includes. */
#ifndef TRDI_KERNEL_TABLE_H
#define TRDI_KERNEL_TABLE_H

#include "kernels/cpu/attention_kernels.h"
#include "kernels/cpu/linear_kernels.h"
#include "kernels/cpu/row_kernels.h"

const trdi_cpu_kernels TRDI_KERNEL_TABLE = {
    .name = TRDI_KERNEL_NAME,
    .linear = linear,
    .norm = norm,
    .embed = embed,
    .scale = scale,
    .softcap = softcap,
    .add = add,
    .rotate = rotate,
    .log_softmax = log_softmax,
    .largest = largest,
    .exp_sum = exp_sum,
    .find_above = find_above,
    .dots = dots,
    .attend = attend,
    .finish = finish,
    .apply = apply,
};

#endif
