/* Scenarios that run to the end. */
#include "facts.h"
#include "scenarios.h"
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define ARGV(...) ((const char *const[]){__VA_ARGS__, NULL})

static procs_output *run(const procs_spawn_options *o) {
    procs_output *output;
    must(procs_run(o, &output), "procs_run");
    return output;
}

/* Runs and says status, standard output and, when asked, standard error. */
static void status_and_streams(const procs_spawn_options *o, int with_stderr) {
    procs_output *output = run(o);
    say_output_status(output);
    say_stdout(output);
    if (with_stderr) say_stderr(output);
    procs_output_free(output);
}

static void only_stdout(const procs_spawn_options *o) {
    procs_output *output = run(o);
    say_stdout(output);
    procs_output_free(output);
}

static void refused(const procs_spawn_options *o) {
    procs_output *output = NULL;
    procs_status code = procs_run(o, &output);
    if (code == PROCS_OK) {
        printf("no error\n");
        procs_output_free(output);
    } else {
        say_error(code);
    }
}

static void run_args_bytes(void) {
    char low[32];
    for (int i = 0; i < 31; i++) low[i] = (char)(i + 1);
    low[31] = 0;
    procs_spawn_options o = with(ARGV(helper(), "argv", "", " ", "$(id)", ";", "a\nb", "'", "\"", "\\", "*", "-rf", "--", low,
                                      "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"));
    status_and_streams(&o, 0);
}

static void run_big_output(void) {
    procs_spawn_options o = with(ARGV(helper(), "flood", "8388608", "1"));
    o.stdout_limit.policy = o.stderr_limit.policy = PROCS_LIMIT_NONE;
    procs_output *output = run(&o);
    say_output_status(output);
    say_stdout_long(output);
    say_stderr(output);
    procs_output_free(output);
}

static void run_both_pipes_full(void) {
    size_t len = 5242880;
    char *input = malloc(len);
    for (size_t i = 0; i < len; i++) input[i] = (char)('a' + i % 26);
    procs_spawn_options o = with(ARGV(helper(), "stderr-then-stdout", "204800", "10", "204800"));
    o.input = input;
    o.input_len = len;
    procs_output *output = run(&o);
    free(input);
    say_output_status(output);
    say_stdout_long(output);
    const char *data = procs_output_stderr(output, &len);
    say_long("stderr", data, len);
    procs_output_free(output);
}

static void run_check_fails(void) {
    procs_spawn_options o = with(ARGV(helper(), "fail", "7", "partial\n", "reason\n"));
    procs_output *output = NULL;
    o.check = 1;
    say_error(procs_run(&o, &output));
    must(procs_last_error_take_output(&output), "procs_last_error_take_output");
    say_output_status(output);
    say_stdout(output);
    say_stderr(output);
    procs_output_free(output);
}

static void run_cwd(void) {
    procs_spawn_options o = with(ARGV(helper(), "cwd", "name"));
    o.cwd = in_folder("inner");
    mkdir(o.cwd, 0755);
    status_and_streams(&o, 0);
}

static void run_echo(void) {
    procs_spawn_options o = with(ARGV(helper(), "echo", "hello world"));
    status_and_streams(&o, 1);
}

static void run_empty_program(void) {
    procs_spawn_options o = with(ARGV(""));
    refused(&o);
}

static void run_env_clear(void) {
    procs_spawn_options o = with(ARGV(helper(), "env"));
    o.env_mode = PROCS_ENV_CLEAR;
    only_stdout(&o);
    o.env = ARGV("A=1");
    only_stdout(&o);
}

static void run_env_set(void) {
    procs_spawn_options o =
        with(ARGV(helper(), "env", "SCENARIO_SET", "SCENARIO_EMPTY", "SCENARIO_UTF8", "SCENARIO_KEEP", "SCENARIO_REMOVE"));
    o.env = ARGV("SCENARIO_SET=two words", "SCENARIO_EMPTY=", "SCENARIO_UTF8=\xc3\xa9", "SCENARIO_REMOVE");
    status_and_streams(&o, 0);
}

static void run_exit_code(void) {
    procs_spawn_options o = with(ARGV(helper(), "fail", "3", "", "went wrong\n"));
    status_and_streams(&o, 1);
}

static void run_input_filter(void) {
    procs_spawn_options o = with(ARGV(helper(), "upper"));
    o.input = "one two\nthree\n";
    o.input_len = strlen(o.input);
    status_and_streams(&o, 0);
}

static procs_output *limited(const char *bytes, int policy, uint64_t limit) {
    procs_spawn_options o = with(ARGV(helper(), "flood", bytes, "1"));
    o.stdout_limit.policy = policy;
    o.stdout_limit.bytes = limit;
    return run(&o);
}

static void run_limit_error(void) {
    procs_output *output = limited("67108864", PROCS_LIMIT_ERROR, 65536);
    procs_stream_report report = {.size = sizeof report};
    must(procs_output_stream_report(output, 1, &report), "procs_output_stream_report");
    say_flag("limit_exceeded", report.limit_exceeded);
    say_stdout_long(output);
    procs_output_free(output);
}

static void kept(int policy) {
    procs_output *output = limited("1000000", policy, 1000);
    procs_stream_report report = {.size = sizeof report};
    must(procs_output_stream_report(output, 1, &report), "procs_output_stream_report");
    say_output_status(output);
    say_flag("truncated", report.truncated);
    say_stdout_long(output);
    procs_output_free(output);
}

static void run_limit_head(void) { kept(PROCS_LIMIT_HEAD); }
static void run_limit_tail(void) { kept(PROCS_LIMIT_TAIL); }

static void run_merge_stderr(void) {
    procs_spawn_options o = with(ARGV(helper(), "interleave", "1000"));
    o.stderr_to.kind = PROCS_STDIO_SAME_AS;
    o.stderr_to.fd = 1;
    procs_output *output = run(&o);
    say_output_status(output);
    say_stdout_long(output);
    procs_output_free(output);
}

static void run_missing_cwd(void) {
    procs_spawn_options o = with(ARGV(helper(), "echo", "hi"));
    o.cwd = in_folder("missing");
    refused(&o);
    o.cwd = helper();
    refused(&o);
}

static void run_missing_program(void) {
    procs_spawn_options o = with(ARGV("procs-no-such-program"));
    refused(&o);
    o = with(ARGV(in_folder("missing/program")));
    refused(&o);
}

static void run_noexec_format(void) {
    const char *path = in_folder("noshebang");
    write_file(path, "echo pwned\n", 0755);
    procs_spawn_options o = with(ARGV(path));
    refused(&o);
}

static void run_not_executable(void) {
    const char *path = in_folder("plain");
    write_file(path, "#!/bin/true\n", 0644);
    procs_spawn_options o = with(ARGV(path));
    refused(&o);
    o = with(ARGV(getenv("PROCS_TEST_DIR")));
    refused(&o);
}

static void run_shell(void) {
    procs_spawn_options o = with(NULL);
    o.shell = "\"$SCENARIO_HELPER\" echo one | \"$SCENARIO_HELPER\" upper; exit 5";
    status_and_streams(&o, 0);
}

static void run_signal_death(void) {
    procs_spawn_options o = with(ARGV(helper(), "die", "SIGTERM"));
    status_and_streams(&o, 0);
}

static void run_stdin_null(void) {
    procs_spawn_options o = with(ARGV(helper(), "count"));
    o.stdin_from.kind = PROCS_STDIO_NULL;
    status_and_streams(&o, 0);
}

static void run_usage(void) {
    procs_spawn_options o = with(ARGV(helper(), "burn", "0.2"));
    procs_output *output = run(&o);
    procs_usage usage = {.size = sizeof usage};
    must(procs_output_usage(output, &usage), "procs_output_usage");
    say_flag("cpu_time", usage.user_time_us + usage.system_time_us >= 100000);
    say_flag("max_rss", usage.max_rss_bytes > 0);
    say_flag("wall_time", usage.wall_time_us >= 100000);
    procs_output_free(output);
}

const struct scenario run_scenarios[] = {
    {"run-args-bytes", run_args_bytes},
    {"run-big-output", run_big_output},
    {"run-both-pipes-full", run_both_pipes_full},
    {"run-check-fails", run_check_fails},
    {"run-cwd", run_cwd},
    {"run-echo", run_echo},
    {"run-empty-program", run_empty_program},
    {"run-env-clear", run_env_clear},
    {"run-env-set", run_env_set},
    {"run-exit-code", run_exit_code},
    {"run-input-filter", run_input_filter},
    {"run-limit-error", run_limit_error},
    {"run-limit-head", run_limit_head},
    {"run-limit-tail", run_limit_tail},
    {"run-merge-stderr", run_merge_stderr},
    {"run-missing-cwd", run_missing_cwd},
    {"run-missing-program", run_missing_program},
    {"run-noexec-format", run_noexec_format},
    {"run-not-executable", run_not_executable},
    {"run-shell", run_shell},
    {"run-signal-death", run_signal_death},
    {"run-stdin-null", run_stdin_null},
    {"run-usage", run_usage},
    {NULL, NULL},
};
