/* How programs end, why they do not start, and bounds on what they write and use. */

#define _POSIX_C_SOURCE 200809L

#include <inttypes.h>
#include <procs.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

/* What cannot be helped ends the program, with the library's own words. */
static void need(procs_status status) {
    if (status == PROCS_OK) return;
    fprintf(stderr, "%s\n", procs_last_error_message());
    exit(1);
}

static procs_spawn_options defaults(void) {
    procs_spawn_options options;
    need(procs_spawn_options_init(&options, sizeof options));
    return options;
}

static procs_output *run_shell(const char *script) {
    procs_spawn_options options = defaults();
    procs_output *output;
    options.shell = script;
    need(procs_run(&options, &output));
    return output;
}

/* Captured bytes come as pointer and length, without a NUL: printed with a space between lines. */
static void print_joined(const char *bytes, size_t length) {
    while (length > 0 && bytes[length - 1] == '\n') length--;
    for (size_t i = 0; i < length; i++) putchar(bytes[i] == '\n' ? ' ' : bytes[i]);
    putchar('\n');
}

static void print_ending(const procs_output *output) {
    procs_exit_status status = {.size = sizeof status};
    need(procs_output_status(output, &status));
    if (status.kind == PROCS_EXIT_CODE) printf("exit code %d", status.code);
    else if (status.kind == PROCS_EXIT_SIGNAL) printf("signal %d (%s)", status.signal, procs_signal_name(status.signal));
    else printf("unknown");
}

static void how_programs_end(void) {
    const char *const scripts[] = {"exit 3", "kill -TERM $$"};
    puts("how programs end:");
    for (int i = 0; i < 2; i++) {
        procs_output *output = run_shell(scripts[i]);
        printf("  ");
        print_ending(output);
        putchar('\n');
        procs_output_free(output);
    }
}

/* Branch on the code; the stage says which step of the start failed, so "not found" tells program from directory. */
static void why_programs_do_not_start(void) {
    const struct {
        const char *what, *program, *cwd;
    } starts[] = {
        {"missing program", "no-such-program", NULL},
        {"missing directory", "true", "/no/such/directory"},
        {"a directory as program", "/", NULL},
    };
    puts("why programs do not start:");
    for (int i = 0; i < 3; i++) {
        procs_spawn_options options = defaults();
        procs_output *output; /* written on success only: nothing to free after an error */
        options.program = starts[i].program;
        options.cwd = starts[i].cwd;
        procs_status status = procs_run(&options, &output);
        if (status == PROCS_OK) procs_output_free(output);
        else printf("  %s: %s at %s\n", starts[i].what, procs_err_name(status), procs_last_error_stage());
    }
}

/* With `check`, anything but exit code 0 is an error. The output that came with it is taken from the error. */
static void checked_run(void) {
    procs_spawn_options options = defaults();
    procs_output *output;
    size_t length;
    puts("a checked run:");
    options.shell = "echo cannot do that >&2; exit 2";
    options.check = 1;
    procs_status status = procs_run(&options, &output);
    if (status != PROCS_OK) need(procs_last_error_take_output(&output));
    printf("  %s: ", procs_err_name(status));
    print_ending(output);
    printf(", stderr: ");
    const char *said = procs_output_stderr(output, &length);
    print_joined(said, length);
    procs_output_free(output);
}

/* Runs `seq 1 100000` and keeps of its output what the limit says. The caller frees the output. */
static procs_output *numbers(int policy, uint64_t bytes, procs_stream_report *report) {
    procs_spawn_options options = defaults();
    procs_output *output;
    options.argv = (const char *const[]){"seq", "1", "100000", NULL};
    options.stdout_limit.policy = policy;
    options.stdout_limit.bytes = bytes;
    need(procs_run(&options, &output));
    report->size = sizeof *report;
    need(procs_output_stream_report(output, 1, report));
    return output;
}

static void print_kept(const char *policy, const procs_output *output, const procs_stream_report *report) {
    size_t length;
    const char *bytes = procs_output_stdout(output, &length);
    printf("  %s: %" PRIu64 " bytes in all, kept: ", policy, report->total_bytes);
    print_joined(bytes, length);
}

/* The four things that can happen to output beyond a limit. */
static void limited_output(void) {
    procs_stream_report report;
    struct stat file;
    size_t length;
    procs_output *head = numbers(PROCS_LIMIT_HEAD, 8, &report);
    printf("%" PRIu64 " bytes of output, limited:\n", report.total_bytes);

    /* More than the limit stops the child. Without `check` that is a fact of the output; procs_output_check makes it an error. */
    procs_stream_report stopped;
    procs_output *error = numbers(PROCS_LIMIT_ERROR, 1000, &stopped);
    procs_output_stdout(error, &length);
    printf("  error: %s, %zu bytes kept\n", procs_err_name(procs_output_check(error)), length);
    procs_output_free(error);

    print_kept("head", head, &report);
    procs_output_free(head);

    procs_output *tail = numbers(PROCS_LIMIT_TAIL, 13, &report);
    print_kept("tail", tail, &report);
    procs_output_free(tail);

    /* All of it is in a file without a name, which goes with the output. Its descriptor is at position 0, to be read or mapped. */
    procs_output *spill = numbers(PROCS_LIMIT_SPILL, 16, &report);
    if (fstat(procs_output_spill_fd(spill, 1), &file) != 0) perror("fstat"), exit(1);
    printf("  spill: %" PRIu64 " bytes in all, in the file: %lld\n", report.total_bytes, (long long)file.st_size);
    procs_output_free(spill);
}

/* Limits of setrlimit(2), set in the child alone before it starts. */
static void limits_of_the_child(void) {
    const procs_rlimit open_files = {.resource = PROCS_RESOURCE_OPEN_FILES, .soft = 64, .hard = 64};
    procs_spawn_options options = defaults();
    procs_output *output;
    size_t length;
    puts("limits of the child:");
    options.shell = "ulimit -n";
    options.rlimits = &open_files;
    options.rlimit_count = 1;
    need(procs_run(&options, &output));
    const char *bytes = procs_output_stdout(output, &length);
    printf("  open files: ");
    print_joined(bytes, length);
    procs_output_free(output);
}

int main(void) {
    how_programs_end();
    why_programs_do_not_start();
    checked_run();
    limited_output();
    limits_of_the_child();
    return 0;
}
