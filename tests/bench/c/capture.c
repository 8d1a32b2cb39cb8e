/* libprocs from C: `ours-c-capture CASE producer=PATH bytes=B captures=N` or `lines=N`; CASE is output, chunks, read or lines. */
#include "../limits/bench.h"
#include <procs.h>

enum { CHUNK = 256 << 10, BATCH = 4096 };

static void fail(const char *what) {
    fprintf(stderr, "%s: %s\n", what, procs_last_error_message());
    _exit(1);
}

static double output(const procs_spawn_options *options) {
    procs_output *result;
    size_t len;
    if (procs_run(options, &result) != PROCS_OK) fail("procs_run");
    if (!procs_output_success(result)) fail("producer");
    procs_output_stdout(result, &len);
    procs_output_free(result);
    return (double)len;
}

static procs_child *start(const procs_spawn_options *options) {
    procs_child *child;
    if (procs_spawn(options, &child) != PROCS_OK) fail("procs_spawn");
    return child;
}

static void finish(procs_child *child) {
    procs_exit_status status = {.size = sizeof status};
    if (procs_child_wait(child, -1, &status) != PROCS_OK || status.code != 0) fail("procs_child_wait");
    procs_child_free(child);
}

static void add(const char *data, size_t len, void *total) {
    (void)data;
    *(double *)total += (double)len;
}

/* Each chunk as it arrives, by callback. */
static double chunks(const procs_spawn_options *options) {
    procs_spawn_options with_sink = *options;
    double total = 0;
    with_sink.stdout_to.kind = PROCS_STDIO_DEFAULT;
    with_sink.stdout_sink = (procs_sink){.kind = PROCS_SINK_CALLBACK, .callback = add, .user_data = &total};
    output(&with_sink);
    return total;
}

/* Each chunk as it arrives, by a loop. */
static double reads(const procs_spawn_options *options) {
    static char buffer[CHUNK];
    procs_child *child = start(options);
    double total = 0;
    size_t count = 1;
    while (count > 0) {
        if (procs_child_read(child, 1, -1, buffer, sizeof buffer, &count) != PROCS_OK) fail("procs_child_read");
        total += (double)count;
    }
    finish(child);
    return total;
}

static double lines(const procs_spawn_options *options) {
    static procs_bytes batch[BATCH];
    procs_child *child = start(options);
    procs_lines *reader;
    size_t count = 1, total = 0;
    if (procs_lines_new(child, 1, 0, &reader) != PROCS_OK) fail("procs_lines_new");
    while (count > 0) {
        if (procs_lines_next_many(reader, -1, batch, BATCH, &count) != PROCS_OK) fail("procs_lines_next_many");
        for (size_t i = 0; i < count; i++) total += batch[i].len;
    }
    procs_lines_free(reader);
    finish(child);
    return (double)total;
}

static const struct {
    const char *name;
    double (*take)(const procs_spawn_options *options);
} CASES[] = {{"output", output}, {"chunks", chunks}, {"read", reads}, {"lines", lines}};

static void capture(const procs_spawn_options *options, double (*take)(const procs_spawn_options *), double count, bench_capture *result) {
    uint64_t begin = bench_now();
    double taken = take(options);
    double seconds = (double)(bench_now() - begin) / 1e9;
    /* Line cases leave out the newlines. */
    if (taken != result->bytes && taken != result->bytes - count) bench_fail("bytes or lines missing");
    bench_add(&result->rates, count / seconds);
}

int main(int argc, char **argv) {
    double count = bench_number(argv, "lines", 0);
    int by_line = count > 0, captures = (int)bench_number(argv, "captures", 1);
    const char *flood[] = {"producer", "flood", bench_text(argv, "bytes", ""), bench_text(argv, "block", "65536"), NULL};
    const char *text[] = {"producer", "lines", bench_text(argv, "lines", ""), "12", NULL};
    procs_spawn_options options;
    if (argc < 2) return 2;
    procs_spawn_options_init(&options, sizeof options);
    options.program = bench_text(argv, "producer", NULL);
    options.argv = by_line ? text : flood;
    options.stdout_limit.policy = PROCS_LIMIT_NONE;
    if (strcmp(argv[1], "output") != 0) options.stdout_to.kind = PROCS_STDIO_PIPE;
    bench_capture result = {.bytes = by_line ? count * 12 : bench_number(argv, "bytes", 0)};
    result.baseline = bench_memory("VmRSS");
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        if (strcmp(CASES[i].name, argv[1]) != 0) continue;
        for (int k = 0; k < captures; k++) capture(&options, CASES[i].take, by_line ? count : result.bytes, &result);
        result.cpu = bench_cpu() / captures;
        bench_report_capture(&result, by_line ? "mlines_s" : "gib_s", by_line ? 1e6 : 1024.0 * 1024 * 1024);
        return 0;
    }
    fprintf(stderr, "unknown case %s\n", argv[1]);
    return 2;
}
