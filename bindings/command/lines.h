/*
 * lines.h: input files, one line at a time. A line ends at '\n'; one '\r' before it is removed; a last line without '\n'
 * counts; an empty line is a line. Any byte may occur. Memory is that of the longest line.
 */
#ifndef COMMAND_LINES_H
#define COMMAND_LINES_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/** An input being read. */
typedef struct line_reader {
    FILE   *file;
    char    name[256];    /**< for messages: the path, or "standard input" */
    char   *line;         /**< buffer of getline() */
    size_t  line_bytes;
    int64_t n_lines;      /**< read so far */
    int64_t n_bytes;      /**< consumed so far */
    int64_t total_bytes;  /**< of a regular file; -1: not known */
    int     error;        /**< errno of a failed read; 0: none */
} line_reader;

/** Open a file, or standard input for NULL and "-". @return false: error holds errno */
bool lines_open(line_reader *reader, const char *path);
/** The next line, without its end; borrowed until the next call. @return false at the end or after an error */
bool lines_next(line_reader *reader, const char **line, size_t *bytes);
/** Close; also a reader of zeros. Standard input stays open. */
void lines_close(line_reader *reader);

#endif /* COMMAND_LINES_H */
