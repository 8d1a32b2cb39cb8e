/* Scenarios about deadlines, stopping, pipelines and several children. */
#include "facts.h"
#include "scenarios.h"
#include <stdlib.h>
#include <string.h>

#define ARGV(...) ((const char *const[]){__VA_ARGS__, NULL})

static void timed_out(const procs_spawn_options *o) {
    procs_output *output;
    must(procs_run(o, &output), "procs_run");
    say_flag("timed_out", procs_output_timed_out(output));
    say_stdout(output);
    say_flag("pipes_left_open", procs_output_pipes_left_open(output));
    procs_output_free(output);
}

/* In this time the child has said its words on a busy machine, too. */
static int64_t words_time(void) {
    const char *ms = getenv("SCENARIO_TIMEOUT_MS");
    return ms == NULL ? 2000 : atoll(ms);
}

static void run_timeout(void) {
    procs_spawn_options o = with(ARGV(helper(), "say", "before\n", "30"));
    o.timeout_ms = words_time();
    timed_out(&o);
}

static void run_timeout_grandchild(void) {
    procs_spawn_options o = with(ARGV(helper(), "grandchild-wait", "60", in_folder("stop")));
    o.timeout_ms = words_time();
    timed_out(&o);
}

static void run_timeout_tree(void) {
    procs_spawn_options o = with(ARGV(helper(), "grandchild-wait", "60"));
    o.timeout_ms = words_time();
    o.kill_tree = 1;
    timed_out(&o);
}

/* Starts the child, reads its line "ready", stops it and says how it ended. */
static void stop_when_ready(const procs_spawn_options *o, int64_t grace_ms) {
    procs_child *child;
    procs_lines *lines;
    procs_stop_options how;
    procs_exit_status status = {.size = sizeof status};
    const char *line;
    size_t len;
    must(procs_spawn(o, &child), "procs_spawn");
    must(procs_lines_new(child, 1, 0, &lines), "procs_lines_new");
    must(procs_lines_next(lines, 20000, &line, &len), "procs_lines_next");
    if (len != 5 || memcmp(line, "ready", 5) != 0) printf("not ready\n");
    must(procs_stop_options_init(&how, sizeof how), "procs_stop_options_init");
    if (grace_ms >= 0) how.grace_ms = grace_ms;
    must(procs_child_stop(child, &how, NULL), "procs_child_stop");
    must(procs_child_wait(child, 0, &status), "procs_child_wait");
    say_status(&status);
    procs_lines_free(lines);
    procs_child_free(child);
}

static void stopped(const char *const *argv, int64_t grace_ms) {
    procs_spawn_options o = with(argv);
    o.stdout_to.kind = PROCS_STDIO_PIPE;
    stop_when_ready(&o, grace_ms);
}

static void spawn_stop_ignores_term(void) { stopped(ARGV(helper(), "ignore-term"), 200); }
static void spawn_stop_ladder(void) { stopped(ARGV(helper(), "on-term", "42"), -1); }
static void spawn_stopped_child(void) { stopped(ARGV(helper(), "stopped"), -1); }

static void say_stages(const procs_pipeline_output *output) {
    for (size_t i = 0; i < procs_pipeline_output_stage_count(output); i++) {
        procs_exit_status status = {.size = sizeof status};
        must(procs_pipeline_output_stage_status(output, i, &status), "procs_pipeline_output_stage_status");
        printf("stage index=%zu ", i);
        say_code(&status);
        printf("\n");
    }
}

static procs_status pipeline(const char *const *const *stages, size_t count, procs_pipeline_output **output) {
    procs_pipeline *pipeline;
    must(procs_pipeline_new(NULL, &pipeline), "procs_pipeline_new");
    for (size_t i = 0; i < count; i++) {
        procs_spawn_options o = with(stages[i]);
        must(procs_pipeline_add(pipeline, &o), "procs_pipeline_add");
    }
    procs_status code = procs_pipeline_run(pipeline, output);
    procs_pipeline_free(pipeline);
    return code;
}

static void say_pipeline(const char *const *const *stages, int with_status) {
    procs_pipeline_output *output;
    size_t len;
    must(pipeline(stages, 3, &output), "procs_pipeline_run");
    say_stages(output);
    if (with_status) {
        procs_exit_status status = {.size = sizeof status};
        must(procs_pipeline_output_status(output, &status), "procs_pipeline_output_status");
        say_status(&status);
    }
    const char *data = procs_pipeline_output_stdout(output, &len);
    say_text("stdout", data, len);
    procs_pipeline_output_free(output);
}

static void pipeline_three(void) {
    say_pipeline((const char *const *const[]){ARGV(helper(), "lines", "3"), ARGV(helper(), "upper"), ARGV(helper(), "cat")}, 0);
}

static void pipeline_status(void) {
    say_pipeline((const char *const *const[]){ARGV(helper(), "lines", "3"), ARGV(helper(), "cat", "4"), ARGV(helper(), "cat")}, 1);
}

static void pipeline_missing_stage(void) {
    procs_pipeline_output *output;
    const char *const *const stages[] = {ARGV(helper(), "sleep", "60"), ARGV(helper(), "cat"), ARGV("procs-no-such-program")};
    say_error(pipeline(stages, 3, &output));
}

static procs_child *start_silent(const char *const *argv) {
    procs_spawn_options o = with(argv);
    procs_child *child;
    o.stdin_from.kind = o.stdout_to.kind = o.stderr_to.kind = PROCS_STDIO_NULL;
    must(procs_spawn(&o, &child), "procs_spawn");
    return child;
}

static void many_wait_any(void) {
    procs_child *children[] = {
        start_silent(ARGV(helper(), "sleep", "60")),
        start_silent(ARGV(helper(), "sleep", "60")),
        start_silent(ARGV(helper(), "exit", "5")),
    };
    procs_exit_status status = {.size = sizeof status};
    size_t index;
    must(procs_wait_any((const procs_child *const *)children, 3, 20000, &index), "procs_wait_any");
    printf("flag index=%zu\n", index);
    must(procs_child_wait(children[index], -1, &status), "procs_child_wait");
    say_status(&status);
    for (int i = 0; i < 2; i++) {
        must(procs_child_kill(children[i]), "procs_child_kill");
        must(procs_child_wait(children[i], -1, &status), "procs_child_wait");
        say_status(&status);
    }
    for (int i = 0; i < 3; i++) procs_child_free(children[i]);
}

static void many_run_bounded(void) {
    enum { COUNT = 8 };
    procs_spawn_options options[COUNT];
    const procs_spawn_options *list[COUNT];
    const char *argv[COUNT][6];
    char number[COUNT][4];
    procs_output *outputs[COUNT];
    int statuses[COUNT];
    const char *slots = in_folder("slots");
    for (int i = 0; i < COUNT; i++) {
        snprintf(number[i], sizeof number[i], "%d", i);
        const char *const words[] = {helper(), "slots", slots, "2", number[i], NULL};
        memcpy(argv[i], words, sizeof words);
        options[i] = with(argv[i]);
        list[i] = &options[i];
    }
    must(procs_run_many(list, COUNT, 2, outputs, statuses, NULL, NULL), "procs_run_many");
    for (int i = 0; i < COUNT; i++) {
        procs_exit_status status = {.size = sizeof status};
        size_t len;
        must(procs_output_status(outputs[i], &status), "procs_output_status");
        const char *data = procs_output_stdout(outputs[i], &len);
        printf("result index=%d ", i);
        say_code(&status);
        printf(" stdout=");
        say_quoted(data, len);
        printf("\n");
        procs_output_free(outputs[i]);
    }
}

const struct scenario stop_scenarios[] = {
    {"run-timeout", run_timeout},
    {"run-timeout-grandchild", run_timeout_grandchild},
    {"run-timeout-tree", run_timeout_tree},
    {"spawn-stop-ignores-term", spawn_stop_ignores_term},
    {"spawn-stop-ladder", spawn_stop_ladder},
    {"spawn-stopped-child", spawn_stopped_child},
    {"pipeline-three", pipeline_three},
    {"pipeline-status", pipeline_status},
    {"pipeline-missing-stage", pipeline_missing_stage},
    {"many-wait-any", many_wait_any},
    {"many-run-bounded", many_run_bounded},
    {NULL, NULL},
};
