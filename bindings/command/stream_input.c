/* stream_input.c: from lines to chunks of token sequences, by the reading rules of ct2-translator. */
#include <string.h>

#include "stream.h"

static bool add_piece(void *context, const char *piece, size_t bytes)
{
    return token_lists_add(context, piece, bytes);
}

/** Cut a line into the one sequence of an empty list. */
static bool cut_line(const spm *model, const char *line, size_t bytes, token_lists *out)
{
    token_lists_clear(out);
    const bool cut = model != NULL ? spm_encode(model, line, bytes, add_piece, out)
                                   : token_lists_split(out, line, bytes, ' ');
    return cut && token_lists_end(out);
}

static bool read_line(line_reader *reader, const spm *model, token_lists *out, failure *why)
{
    const char *line;
    size_t bytes;
    if (!lines_next(reader, &line, &bytes)) {
        if (reader->error != 0) failure_set(why, "cannot read %s: %s", reader->name, strerror(reader->error));
        return false;
    }
    if (cut_line(model, line, bytes, out)) return true;
    failure_set(why, "%s: cannot cut line %lld into tokens", reader->name, (long long)reader->n_lines);
    return false;
}

/** Read one example ahead. @return false at the end, or with why set */
static bool read_next(stream *s, failure *why)
{
    if (!read_line(&s->source, s->source_spm, &s->next_source, why)) return false;
    s->has_next = !s->has_target || read_line(&s->target, s->target_spm, &s->next_target, why);
    if (!s->has_next)
        failure_set(why, "target file has less examples than the source: %s ends after %lld", s->target.name,
                    (long long)s->target.n_lines);
    return s->has_next;
}

bool stream_read(void *context, chunk *c, failure *why)
{
    stream *s = context;
    c->first = s->n_read;
    for (int64_t size = 0; s->by_tokens || size < s->read_size;) {
        if (!s->has_next && !read_next(s, why)) break;
        const int64_t step = s->by_tokens ? s->next_source.lengths[0] : 1;
        if (c->source.n > 0 && step > s->read_size - size) break;
        if (!token_lists_append(&c->source, &s->next_source) ||
            (s->has_target && !token_lists_append(&c->target, &s->next_target))) {
            failure_set(why, "out of memory after %lld lines", (long long)s->source.n_lines);
            break;
        }
        s->has_next = false;
        size += step;
        c->end_byte = s->source.n_bytes;
    }
    s->n_read += (int64_t)c->source.n;
    progress_read(&s->progress, (int64_t)c->source.n, c->end_byte);
    return !why->set;
}
