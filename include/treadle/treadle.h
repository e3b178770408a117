/**
 * @file
 * treadle.h: the whole public interface: run Transformer models in the CTranslate2 format.
 *
 *   trd_base.h        status codes, errors, version, log, allocator
 *   trd_model.h       open and inspect model directories
 *   trd_device.h      the devices of this machine
 *   trd_translator.h  translate and score with encoder-decoder models
 *   trd_future.h      requests that are awaited, watched, limited and cancelled
 *   trd_trace.h       a record of which work ran where and when
 *   trd_file.h        translate and score files, line by line
 *   trd_compute.h     open devices, queues, events
 *   trd_tensor.h      arrays on a device
 *   trd_operation.h   what networks are made of
 *   trd_kernel.h      kernels of one's own
 */
#ifndef TREADLE_H
#define TREADLE_H

#include "trd_base.h"
#include "trd_compute.h"
#include "trd_device.h"
#include "trd_file.h"
#include "trd_future.h"
#include "trd_kernel.h"
#include "trd_model.h"
#include "trd_operation.h"
#include "trd_tensor.h"
#include "trd_trace.h"
#include "trd_translator.h"

#endif /* TREADLE_H */
