#include <procs.h>
#include <stdio.h>

int main(void) {
    procs_spawn_options options;
    procs_exit_status status = {sizeof status, 0, 0, 0, 0};
    procs_output *output;
    size_t length;

    procs_spawn_options_init(&options, sizeof options);
    options.program = "no-such-sort";
    if (procs_run(&options, &output) != PROCS_OK) puts(procs_err_name(procs_last_error()));

    options.program = "sort";
    options.input = "pear\nfig\napple\n";
    options.input_len = 15;
    options.timeout_ms = 5000;
    options.kill_tree = 1;
    if (procs_run(&options, &output) != PROCS_OK) return 1;
    const char *sorted = procs_output_stdout(output, &length);
    fwrite(sorted, 1, length, stdout);
    procs_output_status(output, &status);
    printf("exit code %d\n", status.code);
    return procs_output_free(output);
}
