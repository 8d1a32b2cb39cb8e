/* A shell line, and the same kind of pipeline without a shell, with a status for each stage. */
#include <procs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void must(procs_status status) {
    if (status == PROCS_OK) return;
    fprintf(stderr, "%s\n", procs_last_error_message());
    exit(1);
}

/* Prints the lines joined by spaces. */
static void print_joined(const char *title, const char *text, size_t len) {
    while (len > 0 && (text[len - 1] == '\n' || text[len - 1] == ' ')) len--;
    printf("  %s: ", title);
    for (size_t i = 0; i < len; i++) putchar(text[i] == '\n' ? ' ' : text[i]);
    putchar('\n');
}

static void shell(void) {
    procs_spawn_options o;
    procs_exit_status status = {.size = sizeof status};
    procs_output *output;
    size_t len;

    printf("a shell command line:\n");
    must(procs_spawn_options_init(&o, sizeof o));
    o.shell = "seq 1 5 | sort -r | tr '\\n' ' '";
    must(procs_run(&o, &output));
    const char *text = procs_output_stdout(output, &len);
    print_joined("output", text, len);
    must(procs_output_status(output, &status));
    printf("  ended: exit code %d\n", status.code);
    procs_output_free(output);
}

static void add(procs_pipeline *pipeline, const char *const *argv) {
    procs_spawn_options o;
    must(procs_spawn_options_init(&o, sizeof o));
    o.argv = argv;
    must(procs_pipeline_add(pipeline, &o));
}

static void print_stages(const procs_pipeline_output *output) {
    for (size_t i = 0; i < procs_pipeline_output_stage_count(output); i++) {
        procs_exit_status status = {.size = sizeof status};
        size_t len;
        must(procs_pipeline_output_stage_status(output, i, &status));
        printf("  stage %zu: exit code %d", i + 1, status.code);
        const char *errors = procs_pipeline_output_stage_stderr(output, i, &len);
        if (len > 0) printf(", stderr: %.*s", (int)len - 1, errors);
        putchar('\n');
    }
    printf("  success: %s\n", procs_pipeline_output_success(output) ? "true" : "false");
}

static void pipeline(const char *const *const stages[3], const char *input) {
    procs_pipeline_options o;
    procs_pipeline *pipeline;
    procs_pipeline_output *output;
    size_t len;

    must(procs_pipeline_options_init(&o, sizeof o));
    o.input = input;
    o.input_len = strlen(input);
    must(procs_pipeline_new(&o, &pipeline));
    for (int i = 0; i < 3; i++) add(pipeline, stages[i]);
    must(procs_pipeline_run(pipeline, &output));
    const char *text = procs_pipeline_output_stdout(output, &len);
    print_joined("output", text, len);
    print_stages(output);
    procs_pipeline_output_free(output);
    procs_pipeline_free(pipeline);
}

int main(void) {
    const char *sort[] = {"sort", NULL}, *uniq[] = {"uniq", NULL}, *upper[] = {"tr", "a-z", "A-Z", NULL}, *cat[] = {"cat", NULL};
    const char *gives_up[] = {"sh", "-c", "cat; echo second stage gave up >&2; exit 3", NULL};
    const char *const *const good[] = {sort, uniq, upper}, *const *const bad[] = {cat, gives_up, upper};

    shell();
    printf("the same three programs without a shell:\n");
    pipeline(good, "pear\napple\nfig\napple\n");
    printf("a pipeline whose second stage fails:\n");
    pipeline(bad, "partial\n");
    return 0;
}
