/* Scenarios that start a child and stay with it. */
#include "facts.h"
#include "scenarios.h"
#include <stdlib.h>
#include <string.h>

#define ARGV(...) ((const char *const[]){__VA_ARGS__, NULL})

static procs_child *spawn(const procs_spawn_options *o) {
    procs_child *child;
    must(procs_spawn(o, &child), "procs_spawn");
    return child;
}

static procs_spawn_options silent(const char *const *argv) {
    procs_spawn_options o = with(argv);
    o.stdin_from.kind = o.stdout_to.kind = o.stderr_to.kind = PROCS_STDIO_NULL;
    return o;
}

static void wait_and_say(const procs_child *child) {
    procs_exit_status status = {.size = sizeof status};
    must(procs_child_wait(child, -1, &status), "procs_child_wait");
    say_status(&status);
}

/* Reads all lines; says their number and those whose index is asked for, the long ones by their sum. */
static void say_lines(const char *const *argv, const size_t *wanted, size_t wanted_count) {
    procs_spawn_options o = with(argv);
    o.stdout_to.kind = PROCS_STDIO_PIPE;
    procs_child *child = spawn(&o);
    procs_lines *lines;
    const char *line;
    size_t len, count = 0;
    char *found[3] = {NULL, NULL, NULL};
    size_t lens[3] = {0, 0, 0};
    must(procs_lines_new(child, 1, 0, &lines), "procs_lines_new");
    for (;; count++) {
        must(procs_lines_next(lines, -1, &line, &len), "procs_lines_next");
        if (line == NULL) break;
        for (size_t i = 0; i < wanted_count; i++) {
            if (wanted[i] != count) continue;
            found[i] = malloc(len + 1);
            memcpy(found[i], line, len);
            lens[i] = len;
        }
    }
    printf("flag lines=%zu\n", count);
    for (size_t i = 0; i < wanted_count; i++) {
        char name[64];
        snprintf(name, sizeof name, "line index=%zu", wanted[i]);
        if (lens[i] > 1000) say_long(name, found[i], lens[i]);
        else say_text(name, found[i] ? found[i] : "", lens[i]);
        free(found[i]);
    }
    wait_and_say(child);
    procs_lines_free(lines);
    procs_child_free(child);
}

static void stream_lines(void) { say_lines(ARGV(helper(), "lines", "1000"), (const size_t[]){0, 999}, 2); }
static void stream_long_line(void) { say_lines(ARGV(helper(), "line", "5000000"), (const size_t[]){0, 1}, 2); }
static void stream_no_final_newline(void) { say_lines(ARGV(helper(), "print", "a\\n\\nb"), (const size_t[]){0, 1, 2}, 3); }

static void spawn_argv0(void) {
    procs_spawn_options o = with(ARGV("other name", "argv0"));
    char text[256];
    size_t len = 0, count;
    o.program = helper();
    o.stdout_to.kind = PROCS_STDIO_PIPE;
    procs_child *child = spawn(&o);
    do {
        must(procs_child_read(child, 1, -1, text + len, sizeof text - len, &count), "procs_child_read");
        len += count;
    } while (count > 0);
    say_text("stdout", text, len);
    wait_and_say(child);
    procs_child_free(child);
}

static void spawn_kill(void) {
    procs_spawn_options o = silent(ARGV(helper(), "sleep", "60"));
    procs_child *child = spawn(&o);
    must(procs_child_kill(child), "procs_child_kill");
    wait_and_say(child);
    procs_child_free(child);
}

static void spawn_null_streams(void) {
    const char *list = in_folder("list");
    procs_spawn_options o = silent(ARGV(helper(), "fds", list));
    procs_child *child = spawn(&o);
    wait_and_say(child);
    say_file(list);
    procs_child_free(child);
}

static void run_and_say_stdout(const procs_spawn_options *o) {
    procs_output *output;
    must(procs_run(o, &output), "procs_run");
    say_stdout(output);
    procs_output_free(output);
}

static void spawn_process_group(void) {
    procs_spawn_options o = with(ARGV(helper(), "session", "relations"));
    o.process_group = 0;
    run_and_say_stdout(&o);
    o.process_group = -1;
    o.new_session = 1;
    run_and_say_stdout(&o);
}

static void spawn_to_file(void) {
    const char *path = in_folder("out");
    procs_spawn_options o = with(ARGV(helper(), "echo", "one"));
    o.stdout_to.kind = PROCS_STDIO_WRITE_FILE;
    o.stdout_to.path = path;
    procs_child *child = spawn(&o);
    wait_and_say(child);
    procs_child_free(child);
    o.argv = ARGV(helper(), "echo", "two");
    o.stdout_to.kind = PROCS_STDIO_APPEND_FILE;
    child = spawn(&o);
    wait_and_say(child);
    procs_child_free(child);
    say_file(path);
}

static void spawn_umask_and_limits(void) {
    procs_spawn_options o = with(ARGV(helper(), "umask"));
    o.umask = 0027;
    run_and_say_stdout(&o);
    const procs_rlimit limits[] = {{PROCS_RESOURCE_OPEN_FILES, 0, 64, 64}, {PROCS_RESOURCE_CORE, 0, 0, 0}};
    o = with(ARGV(helper(), "limits", "nofile", "core"));
    o.rlimits = limits;
    o.rlimit_count = 2;
    run_and_say_stdout(&o);
}

static void spawn_wait(void) {
    procs_spawn_options o = silent(ARGV(helper(), "exit", "9"));
    procs_child *child = spawn(&o);
    say_flag("pid_positive", procs_child_pid(child) > 0);
    wait_and_say(child);
    wait_and_say(child);
    procs_child_free(child);
}

const struct scenario spawn_scenarios[] = {
    {"stream-lines", stream_lines},
    {"stream-long-line", stream_long_line},
    {"stream-no-final-newline", stream_no_final_newline},
    {"spawn-argv0", spawn_argv0},
    {"spawn-kill", spawn_kill},
    {"spawn-null-streams", spawn_null_streams},
    {"spawn-process-group", spawn_process_group},
    {"spawn-to-file", spawn_to_file},
    {"spawn-umask-and-limits", spawn_umask_and_limits},
    {"spawn-wait", spawn_wait},
    {NULL, NULL},
};
