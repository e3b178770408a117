/* report.h: the machine, its devices and the notes, for people and for programs. */
#ifndef TRDI_REPORT_H
#define TRDI_REPORT_H

#include "core/strings.h"
#include "device/machine_tree.h"

/** As a tree of lines, then the notes. */
void trdi_report_tree(const trdi_machine_tree *tree, trdi_text *text);
/** As one JSON object: version, devices, notes, machine. @return false without memory; text is then incomplete */
bool trdi_report_json(const trdi_machine_tree *tree, trdi_text *text);
/** As a picture: boxes in boxes. @return false without memory */
bool trdi_report_svg(const trdi_machine_tree *tree, trdi_text *text);

/** "1.5 GiB", "512 KiB", "40 bytes" into text. @return text */
const char *trdi_report_bytes(int64_t bytes, char text[32]);
/** "package 0: NAME, 8 cores, CPUs 0-7": a place that is no device. */
void trdi_report_place(const trdi_place *place, trdi_text *text);
/** Line i of what is said of a device after its id and name; false past the last. */
bool trdi_report_device_line(const trdi_device *device, int i, trdi_text *text);

#endif
