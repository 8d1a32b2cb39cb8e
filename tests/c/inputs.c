/* I07, A07, A10, A26 and the bad-input list of spawn, from C: exact errors with stage and errno, bytes arrive unchanged. */
#include "check.h"
#include <fcntl.h>
#include <sys/stat.h>

static procs_spawn_options fresh(const char *const *argv) { return options_for(argv); }

static void fails(procs_spawn_options *options, procs_status code, const char *stage, int os) {
    procs_child *child;
    procs_status status = procs_spawn(options, &child);
    if (status != code || procs_last_error_os() != os || procs_last_error_stage() == NULL || strcmp(procs_last_error_stage(), stage) != 0) {
        fprintf(stderr, "got %d errno %d stage %s: %s\n", status, procs_last_error_os(),
            procs_last_error_stage() ? procs_last_error_stage() : "none", procs_last_error_message());
        CHECK(!"the expected error");
    }
}

static void script(const char *path, const char *text, mode_t mode) {
    FILE *file = fopen(path, "w");
    CHECK(file != NULL);
    fputs(text, file);
    fclose(file);
    CHECK(chmod(path, mode) == 0);
}

static void exact_errors(const char *dir) {
    char path[300], folder[300];
    const char *argv[] = {path, NULL}, *missing[] = {"no-such-program-here", NULL}, *quick[] = {"true", NULL};
    procs_spawn_options o = fresh(missing);
    fails(&o, PROCS_E_NOT_FOUND, "exec", ENOENT);
    snprintf(path, sizeof path, "%s/plain", dir);
    script(path, "not a program\n", 0644);
    o = fresh(argv);
    fails(&o, PROCS_E_PERMISSION_DENIED, "exec", EACCES);
    CHECK(chmod(path, 0755) == 0);
    fails(&o, PROCS_E_IO, "exec", ENOEXEC);
    script(path, "#!/no/such/interpreter\n", 0755);
    /* valgrind itself dies of an exec that fails this late, so the child is seen to start. */
    if (!under_valgrind()) {
        fails(&o, PROCS_E_NOT_FOUND, "exec", ENOENT);
        CHECK(strstr(procs_last_error_message(), "/no/such/interpreter") != NULL);
    }
    snprintf(folder, sizeof folder, "%s/missing", dir);
    o = fresh(quick);
    o.cwd = folder;
    fails(&o, PROCS_E_NOT_FOUND, "directory", ENOENT);
    o.cwd = path;
    fails(&o, PROCS_E_NOT_FOUND, "directory", ENOTDIR);
    snprintf(path, sizeof path, "%s", dir);
    o = fresh(argv);
    fails(&o, PROCS_E_PERMISSION_DENIED, "exec", EACCES);
    const char *empty[] = {"", NULL}, *none[] = {NULL};
    o = fresh(empty);
    fails(&o, PROCS_E_INVALID_ARGUMENT, "prepare", EINVAL);
    o = fresh(none);
    CHECK(procs_spawn(&o, &(procs_child *){NULL}) == PROCS_E_INVALID_ARGUMENT);
    ok("errors name stage and errno");
}

static void long_ones(void) {
    const size_t limit = 131072;
    char *text = malloc(limit + 1);
    memset(text, 'a', limit);
    const char *argv[] = {"true", text, NULL};
    procs_output *output;
    text[limit - 1] = '\0';
    procs_spawn_options o = fresh(argv);
    CHECK(procs_run(&o, &output) == PROCS_OK);
    CHECK(procs_output_free(output) == PROCS_OK);
    text[limit - 1] = 'a';
    text[limit] = '\0';
    if (!under_valgrind()) fails(&o, PROCS_E_TOO_LARGE, "exec", E2BIG); /* as above */
    free(text);
    ok("128 KiB in one argument are too much, one byte less is not");
}

static void bytes_arrive(void) {
    char all[256];
    for (int i = 0; i < 255; i++) all[i] = (char)(i + 1);
    all[255] = '\0';
    const char *argv[] = {"printf", "%s\\n", "", "$(id)", ";", "*", "'", "\"", all, NULL};
    procs_spawn_options o = fresh(argv);
    procs_output *output;
    char expected[600];
    size_t len;
    int n = snprintf(expected, sizeof expected, "\n$(id)\n;\n*\n'\n\"\n%s\n", all);
    CHECK(procs_run(&o, &output) == PROCS_OK);
    const char *text = procs_output_stdout(output, &len);
    CHECK(len == (size_t)n && memcmp(text, expected, len) == 0);
    CHECK(procs_output_free(output) == PROCS_OK);
    ok("arguments arrive byte for byte");
}

static void bad_options(void) {
    const char *argv[] = {"true", NULL};
    const char *no_name[] = {"=x", NULL}, *nothing[] = {"", NULL};
    procs_extra_fd low = {.child_fd = 2, .stdio = {.kind = PROCS_STDIO_NULL}}, negative = {.child_fd = -1, .stdio = {.kind = PROCS_STDIO_NULL}};
    procs_rlimit backwards = {PROCS_RESOURCE_CPU, 0, 2, 1};
    uint32_t cpu = 1u << 30;
    procs_spawn_options o;
#define OPTION_REFUSED(set)                 \
    o = fresh(argv);                        \
    set;                                    \
    REFUSED(procs_spawn(&o, &(procs_child *){NULL})); \
    CHECK(strlen(procs_last_error_message()) > 10)
    OPTION_REFUSED(o.env = no_name);
    OPTION_REFUSED(o.env = nothing);
    OPTION_REFUSED((o.extra_fds = &negative, o.extra_fd_count = 1));
    OPTION_REFUSED((o.extra_fds = &low, o.extra_fd_count = 1));
    OPTION_REFUSED((o.rlimits = &backwards, o.rlimit_count = 1));
    OPTION_REFUSED(o.rlimit_count = 1);
    OPTION_REFUSED((o.cpus = &cpu, o.cpu_count = 1));
    OPTION_REFUSED(o.umask = 01000);
    OPTION_REFUSED(o.nice = 20);
    OPTION_REFUSED(o.uid = 0);
    OPTION_REFUSED(o.uid = 0xffffffff);
    OPTION_REFUSED(o.process_group = -2);
    OPTION_REFUSED(o.parent_death_signal = 65);
    OPTION_REFUSED((o.stdout_to.kind = PROCS_STDIO_WRITE_FILE, o.stdout_to.path = NULL));
    OPTION_REFUSED((o.stderr_to.kind = PROCS_STDIO_SAME_AS, o.stderr_to.fd = 17));
    OPTION_REFUSED(o.shell = "true");
    o = fresh(argv);
    o.stdout_to.kind = PROCS_STDIO_FD;
    o.stdout_to.fd = 999;
    fails(&o, PROCS_E_IO, "stdio", EBADF);
    ok("bad options are refused with the name of the field");
}

int main(void) {
    leftovers stock = take_stock();
    char dir[] = "/tmp/procs-c-XXXXXX", file[64];
    CHECK(mkdtemp(dir) != NULL);
    exact_errors(dir);
    long_ones();
    bytes_arrive();
    bad_options();
    snprintf(file, sizeof file, "%s/plain", dir);
    CHECK(unlink(file) == 0 && rmdir(dir) == 0);
    check_leftovers(stock);
    return 0;
}
