/* How programs end, why they do not start, checked runs, and limits. */
#define _POSIX_C_SOURCE 200809L /* lseek */
#include <procs.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void must(procs_status status) {
    if (status == PROCS_OK) return;
    fprintf(stderr, "%s\n", procs_last_error_message());
    exit(1);
}

static procs_spawn_options options(const char *const *argv) {
    procs_spawn_options o;
    must(procs_spawn_options_init(&o, sizeof o));
    o.argv = argv;
    return o;
}

static void ends(const char *script) {
    const char *argv[] = {"sh", "-c", script, NULL};
    procs_spawn_options o = options(argv);
    procs_exit_status status = {.size = sizeof status};
    procs_output *output;
    must(procs_run(&o, &output));
    must(procs_output_status(output, &status));
    if (status.kind == PROCS_EXIT_SIGNAL) printf("  signal %d (%s)\n", status.signal, procs_signal_name(status.signal));
    else printf("  exit code %d\n", status.code);
    procs_output_free(output);
}

static void does_not_start(const char *title, const char *program, const char *cwd) {
    const char *argv[] = {program, NULL};
    procs_spawn_options o = options(argv);
    procs_child *child;
    o.cwd = cwd;
    procs_status status = procs_spawn(&o, &child);
    printf("  %s: %s at %s\n", title, procs_err_name(status), procs_last_error_stage());
}

static void checked(void) {
    const char *argv[] = {"sh", "-c", "echo cannot do that >&2; exit 2", NULL};
    procs_spawn_options o = options(argv);
    procs_exit_status status = {.size = sizeof status};
    procs_output *output;
    size_t len;
    o.check = 1;
    procs_status failed = procs_run(&o, &output);
    /* The output was not lost with the error. */
    must(procs_last_error_take_output(&output));
    must(procs_output_status(output, &status));
    const char *errors = procs_output_stderr(output, &len);
    printf("  %s: exit code %d, stderr: %.*s", procs_err_name(failed), status.code, (int)len, errors);
    procs_output_free(output);
}

static void limited(int policy, uint64_t bytes) {
    const char *argv[] = {"seq", "1", "100000", NULL};
    procs_spawn_options o = options(argv);
    procs_stream_report report = {.size = sizeof report};
    procs_output *output;
    size_t len;
    o.stdout_limit.policy = policy;
    o.stdout_limit.bytes = bytes;
    must(procs_run(&o, &output));
    must(procs_output_stream_report(output, 1, &report));
    const char *kept = procs_output_stdout(output, &len);
    if (policy == PROCS_LIMIT_ERROR) {
        printf("  error: %s, %zu bytes kept\n", procs_err_name(procs_output_check(output)), len);
    } else if (policy == PROCS_LIMIT_SPILL) {
        off_t size = lseek(procs_output_spill_fd(output, 1), 0, SEEK_END);
        printf("  spill: %llu bytes in all, in the file: %lld\n", (unsigned long long)report.total_bytes, (long long)size);
    } else {
        printf("  %s: %llu bytes in all, kept: ", policy == PROCS_LIMIT_HEAD ? "head" : "tail", (unsigned long long)report.total_bytes);
        for (size_t i = 0; i + 1 < len; i++) putchar(kept[i] == '\n' ? ' ' : kept[i]);
        putchar('\n');
    }
    procs_output_free(output);
}

static void child_limits(void) {
    const char *argv[] = {"sh", "-c", "ulimit -n", NULL};
    procs_rlimit files = {PROCS_RESOURCE_OPEN_FILES, 0, 64, 64};
    procs_spawn_options o = options(argv);
    procs_output *output;
    size_t len;
    o.rlimits = &files;
    o.rlimit_count = 1;
    must(procs_run(&o, &output));
    const char *text = procs_output_stdout(output, &len);
    printf("  open files: %.*s", (int)len, text);
    procs_output_free(output);
}

int main(void) {
    printf("how programs end:\n");
    ends("exit 3");
    ends("kill -TERM $$");
    printf("why programs do not start:\n");
    does_not_start("missing program", "no-such-program", NULL);
    does_not_start("missing directory", "true", "/no/such/directory");
    does_not_start("a directory as program", "/", NULL);
    printf("a checked run:\n");
    checked();
    printf("588895 bytes of output, limited:\n");
    limited(PROCS_LIMIT_ERROR, 1000);
    limited(PROCS_LIMIT_HEAD, 8);
    limited(PROCS_LIMIT_TAIL, 13);
    limited(PROCS_LIMIT_SPILL, 16);
    printf("limits of the child:\n");
    child_limits();
    return 0;
}
