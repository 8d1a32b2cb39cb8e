/* Feeding a filter: text, much data, a reader that stops early, and a conversation. */
#include <procs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void must(procs_status status) {
    if (status == PROCS_OK) return;
    fprintf(stderr, "%s\n", procs_last_error_message());
    exit(1);
}

static procs_output *filter(const char *const *argv, const void *input, size_t len) {
    procs_spawn_options o;
    procs_output *output;
    must(procs_spawn_options_init(&o, sizeof o));
    o.argv = argv;
    o.input = input;
    o.input_len = len;
    must(procs_run(&o, &output));
    return output;
}

static void text(void) {
    const char *argv[] = {"tr", "a-z", "A-Z", NULL};
    size_t len;
    printf("text through a filter:\n");
    procs_output *output = filter(argv, "hello from libprocs\n", 20);
    const char *data = procs_output_stdout(output, &len);
    printf("  %.*s", (int)len, data);
    procs_output_free(output);
}

static void much(void) {
    const char *argv[] = {"cat", NULL};
    const size_t size = 4000000;
    size_t len;
    char *input = malloc(size);
    for (size_t i = 0; i < size; i++) input[i] = (char)(i % 251);
    printf("%zu bytes through cat:\n", size);
    procs_output *output = filter(argv, input, size);
    const char *data = procs_output_stdout(output, &len);
    printf("  came back: %zu bytes, equal: %s\n", len, len == size && memcmp(data, input, size) == 0 ? "true" : "false");
    procs_output_free(output);
    free(input);
}

/* Supplies the numbers 1 to 100000, a line each, as far as the child wants them. */
static int64_t numbers(char *buffer, size_t capacity, void *user_data) {
    int *next = user_data;
    size_t used = 0;
    while (*next <= 100000 && capacity - used >= 8) used += (size_t)sprintf(buffer + used, "%d\n", (*next)++);
    return (int64_t)used;
}

static void early(void) {
    const char *argv[] = {"head", "-n", "1", NULL};
    procs_spawn_options o;
    procs_exit_status status = {.size = sizeof status};
    procs_output *output;
    int next = 1;
    size_t len;
    printf("a filter that stops reading early:\n");
    must(procs_spawn_options_init(&o, sizeof o));
    o.argv = argv;
    o.input_callback = numbers;
    o.input_user_data = &next;
    must(procs_run(&o, &output));
    const char *data = procs_output_stdout(output, &len);
    printf("  first line: %.*s", (int)len, data);
    must(procs_output_status(output, &status));
    printf("  ended: exit code %d\n", status.code);
    procs_output_free(output);
}

static void conversation(void) {
    const char *argv[] = {"sh", "-c", "while read -r word; do echo \"got $word\"; done", NULL};
    const char *words[] = {"one\n", "two\n", "three\n"};
    procs_spawn_options o;
    procs_exit_status status = {.size = sizeof status};
    procs_child *child;
    procs_lines *answers;
    const char *answer;
    size_t len, count;
    printf("a conversation:\n");
    must(procs_spawn_options_init(&o, sizeof o));
    o.argv = argv;
    o.stdin_from.kind = o.stdout_to.kind = PROCS_STDIO_PIPE;
    must(procs_spawn(&o, &child));
    must(procs_lines_new(child, 1, 0, &answers));
    for (int i = 0; i < 3; i++) {
        must(procs_child_write(child, words[i], strlen(words[i]), -1, &count));
        must(procs_lines_next(answers, -1, &answer, &len));
        printf("  %.*s -> %.*s\n", (int)strlen(words[i]) - 1, words[i], (int)len, answer);
    }
    must(procs_child_wait(child, -1, &status)); /* closes its standard input first */
    printf("  ended: exit code %d\n", status.code);
    procs_lines_free(answers);
    procs_child_free(child);
}

int main(void) {
    text();
    much();
    early();
    conversation();
    return 0;
}
