/* The peer libuv: `libuv uv_spawn true=PATH seconds=S mb=M`, one child at a time, the loop run until its exit callback. */
#include "../limits/spawning.h"
#include <uv.h>

static char *program;
static uv_process_t process;

static void on_exit_callback(uv_process_t *p, int64_t status, int signal) {
    if (status != 0 || signal != 0) bench_fail("child");
    uv_close((uv_handle_t *)p, NULL);
}

static int start(void *loop) {
    char *arguments[] = {program, NULL};
    uv_stdio_container_t streams[3];
    for (int fd = 0; fd < 3; fd++) {
        streams[fd].flags = UV_INHERIT_FD;
        streams[fd].data.fd = fd;
    }
    uv_process_options_t options = {.file = program, .args = arguments, .exit_cb = on_exit_callback, .stdio = streams, .stdio_count = 3};
    return uv_spawn(loop, &process, &options);
}

static void wait(void *loop) {
    uv_run(loop, UV_RUN_DEFAULT);
}

int main(int argc, char **argv) {
    const bench_spawner spawner = {"uv_spawn", start, wait, NULL};
    bench_times times = {{0}, {0}};
    if (argc == 2 && strcmp(argv[1], "version") == 0) return puts(uv_version_string()) < 0;
    program = (char *)bench_text(argv, "true", NULL);
    if (argc < 2 || program == NULL) return 2;
    bench_hold(bench_number(argv, "mb", 0));
    uint64_t begin = bench_now();
    bench_spawn_loop(&spawner, uv_default_loop(), bench_number(argv, "seconds", 0.4), &times);
    bench_report_spawn(&times, (double)(bench_now() - begin) / 1e9);
    return 0;
}
