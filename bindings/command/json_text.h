/* json_text.h: values for --json that are always valid JSON, whatever bytes a token holds, and printing them. */
#ifndef COMMAND_JSON_TEXT_H
#define COMMAND_JSON_TEXT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/** A string; bytes that are not UTF-8 become U+FFFD. NULL text: null. @return a new reference, NULL if memory ran out */
json_t *json_text(const char *text, size_t bytes);
/** The same of a NUL-terminated string. */
json_t *json_word(const char *text);
/** A number; null where it is not finite. @return a new reference */
json_t *json_number(double value);
/** Print a value, indented or on one line, and give it back. @return false if memory ran out or writing failed */
bool json_print(json_t *value, bool indented, FILE *stream);

#endif /* COMMAND_JSON_TEXT_H */
