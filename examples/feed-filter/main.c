/* Writing to a child and reading from it at the same time. */

#include <procs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What cannot be helped ends the program, with the library's own words. */
static void need(procs_status status) {
    if (status == PROCS_OK) return;
    fprintf(stderr, "%s\n", procs_last_error_message());
    exit(1);
}

static procs_spawn_options command(const char *const *argv) {
    procs_spawn_options options;
    need(procs_spawn_options_init(&options, sizeof options));
    options.argv = argv;
    return options;
}

/* Captured bytes come as pointer and length, without a NUL. */
static void print_text(const char *label, const procs_output *output) {
    size_t length;
    const char *bytes = procs_output_stdout(output, &length);
    while (length > 0 && bytes[length - 1] == '\n') length--;
    printf("  %s%.*s\n", label, (int)length, bytes);
}

static void text_through_a_filter(void) {
    procs_spawn_options options = command((const char *const[]){"tr", "a-z", "A-Z", NULL});
    procs_output *output;
    puts("text through a filter:");
    options.input = "hello from libprocs\n";
    options.input_len = strlen(options.input);
    need(procs_run(&options, &output));
    print_text("", output);
    procs_output_free(output);
}

/* Far more than a pipe holds: written by hand before reading, this would block for ever. procs_run does both at once. */
static void much_through_cat(void) {
    enum { SIZE = 4000000 };
    procs_spawn_options options = command((const char *const[]){"cat", NULL});
    procs_output *output;
    size_t length;
    char *bytes = malloc(SIZE);
    if (bytes == NULL) exit(1);
    for (size_t i = 0; i < SIZE; i++) bytes[i] = (char)('a' + i % 26);
    printf("%d bytes through cat:\n", SIZE);
    options.input = bytes;
    options.input_len = SIZE;
    need(procs_run(&options, &output));
    const char *copy = procs_output_stdout(output, &length);
    int equal = length == SIZE && memcmp(copy, bytes, SIZE) == 0;
    printf("  came back: %zu bytes, equal: %s\n", length, equal ? "true" : "false");
    procs_output_free(output);
    free(bytes);
}

/* Input can be made while it is wanted: called when the child takes some, returns how many bytes it wrote, 0 at the end. */
static int64_t next_numbers(char *buffer, size_t capacity, void *user_data) {
    int *number = user_data;
    size_t used = 0;
    while (*number <= 100000 && capacity - used > sizeof "100000\n") {
        used += (size_t)snprintf(buffer + used, capacity - used, "%d\n", (*number)++);
    }
    return (int64_t)used;
}

/* Input that nobody reads any more is no error, and raises no SIGPIPE here. */
static void early_end(void) {
    procs_spawn_options options = command((const char *const[]){"head", "-n", "1", NULL});
    procs_exit_status status = {.size = sizeof status};
    procs_output *output;
    int number = 1;
    puts("a filter that stops reading early:");
    options.input_callback = next_numbers;
    options.input_user_data = &number;
    need(procs_run(&options, &output));
    print_text("first line: ", output);
    need(procs_output_status(output, &status));
    printf("  ended: exit code %d\n", status.code);
    procs_output_free(output);
}

/* A pipe takes as much as it has room for: go on with the rest, as after write(2). */
static void write_all(const procs_child *child, const char *text, size_t length) {
    for (size_t count; length > 0; text += count, length -= count) need(procs_child_write(child, text, length, -1, &count));
}

/* One question, one answer: here it is the program that decides when to write and when to read. */
static void conversation(void) {
    const char *const words[] = {"one", "two", "three"};
    procs_spawn_options options =
        command((const char *const[]){"sh", "-c", "while read -r word; do echo \"got $word\"; done", NULL});
    procs_exit_status status = {.size = sizeof status};
    procs_child *child;
    procs_lines *lines;
    const char *line; /* lent until the next call with `lines` */
    size_t length;
    puts("a conversation:");
    options.stdin_from.kind = PROCS_STDIO_PIPE;
    options.stdout_to.kind = PROCS_STDIO_PIPE;
    need(procs_spawn(&options, &child));
    need(procs_lines_new(child, 1, 0, &lines));
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        write_all(child, words[i], strlen(words[i]));
        write_all(child, "\n", 1);
        need(procs_lines_next(lines, -1, &line, &length));
        if (line != NULL) printf("  %s -> %.*s\n", words[i], (int)length, line);
    }
    need(procs_child_close_stdin(child)); /* the child reads end of file; a wait without a limit would do it, too */
    need(procs_child_wait(child, -1, &status));
    printf("  ended: exit code %d\n", status.code);
    procs_lines_free(lines);
    procs_child_free(child);
}

int main(void) {
    text_through_a_filter();
    much_through_cat();
    early_end();
    conversation();
    return 0;
}
