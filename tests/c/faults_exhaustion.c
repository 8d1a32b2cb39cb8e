/* Descriptors, memory, processes and patience run out, at every step of a start. */
#define ROWS(ROW)                                                                                         \
    ROW(a04, "A04", "descriptors run out at every step", NOT_VALGRIND, NULL)                              \
    ROW(a05, "A05", "every step fails exactly", PLAIN, NULL)                                              \
    ROW(a05_stack, "A05", "no memory for the stack", PLAIN, NULL)                                         \
    ROW(a06, "A06", "the user's limit on processes", PLAIN, NULL)                                         \
    ROW(a06_cgroup, "A06", "the cgroup's limit on processes", PLAIN, NULL)                                \
    ROW(host_without_memory, "A05", "", HOST, NULL)                                                       \
    ROW(c05_memory, "C05", "output that there is no memory for is an error", PLAIN, NULL)                 \
    ROW(c02_input, "C02", "input is not copied by who waits, and a copy may be refused", PLAIN, NULL)     \
    ROW(a24, "A24", "a runaway loop meets the cap", NOT_VALGRIND, NULL)                                   \
    ROW(a24_limits, "A24", "resource limits reach the child", NOT_VALGRIND, NULL)
#include "inject.h"

/* Fills every hole and leaves exactly `left` descriptors; gives how many it opened. */
static int leave(int left, int *fillers) {
    int n = 0, top = 2;
    DIR *open_ones = opendir("/proc/self/fd");
    CHECK(open_ones != NULL);
    for (struct dirent *entry; (entry = readdir(open_ones)) != NULL;)
        if (atoi(entry->d_name) > top && atoi(entry->d_name) != dirfd(open_ones)) top = atoi(entry->d_name);
    closedir(open_ones);
    while ((fillers[n] = open("/dev/null", O_RDONLY | O_CLOEXEC)) < top) n++;
    int next = fillers[n];
    close(next);
    struct rlimit limit;
    CHECK(getrlimit(RLIMIT_NOFILE, &limit) == 0);
    limit.rlim_cur = (rlim_t)(next + left);
    CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
    return n;
}

static void a04(void) {
    struct rlimit old;
    int fillers[4096];
    CHECK(getrlimit(RLIMIT_NOFILE, &old) == 0);
    procs_extra_fd socket = {3, 0, {PROCS_STDIO_PIPE, 0, NULL}};
    for (int shape = 0; shape < 4; shape++) {
        int good = 0, bad = 0;
        for (int left = 0; left <= 12; left++) {
            procs_spawn_options o = CHILD("exit", "7");
            o.stdin_from.kind = o.stdout_to.kind = o.stderr_to.kind =
                shape == 0 ? PROCS_STDIO_INHERIT : shape == 1 ? PROCS_STDIO_NULL : PROCS_STDIO_PIPE;
            o.extra_fds = &socket;
            o.extra_fd_count = shape == 3;
            procs_child *child;
            int n = leave(left, fillers);
            procs_status status = procs_spawn(&o, &child);
            int code = -1;
            if (status == PROCS_OK) code = end_of(child).code;
            while (n > 0) close(fillers[--n]);
            CHECK(setrlimit(RLIMIT_NOFILE, &old) == 0);
            if (status == PROCS_OK) {
                CHECK(code == 7);
                good++;
            } else {
                CHECK(good == 0 && status == PROCS_E_EXHAUSTED && procs_last_error_os() == EMFILE);
                const char *stage = procs_last_error_stage();
                CHECK(strcmp(stage, "stdio") == 0 || strcmp(stage, "clone") == 0);
                bad++;
            }
        }
        CHECK(good > 0 && bad > 0);
    }
}

typedef struct {
    const char *call, *stage;
    void (*set)(procs_spawn_options *);
} step;

static void nothing(procs_spawn_options *o) { (void)o; }
static void two_pipes(procs_spawn_options *o) { o->stdin_from.kind = o->stdout_to.kind = PROCS_STDIO_PIPE; }
static void two_nulls(procs_spawn_options *o) { o->stdin_from.kind = o->stdout_to.kind = PROCS_STDIO_NULL; }
static void sockets(procs_spawn_options *o) {
    static const procs_extra_fd two[] = {{3, 0, {PROCS_STDIO_PIPE, 0, NULL}}, {4, 0, {PROCS_STDIO_PIPE, 0, NULL}}};
    o->extra_fds = two;
    o->extra_fd_count = 2;
}
static void session(procs_spawn_options *o) { o->new_session = 1; }
static void group(procs_spawn_options *o) { o->process_group = 0; }
static void directory(procs_spawn_options *o) { o->cwd = "/"; }
static void limits(procs_spawn_options *o) {
    static const procs_rlimit two[] = {{PROCS_RESOURCE_CORE, 0, 0, 0}, {PROCS_RESOURCE_OPEN_FILES, 0, 100, 100}};
    o->rlimits = two;
    o->rlimit_count = 2;
}
static void nicer(procs_spawn_options *o) { o->nice = 1; }
static void one_cpu(procs_spawn_options *o) {
    static const uint32_t cpu = 0;
    o->cpus = &cpu;
    o->cpu_count = 1;
}
static void no_groups(procs_spawn_options *o) {
    static const uint32_t none = 0;
    o->groups = &none;
}
static void same_gid(procs_spawn_options *o) { o->gid = 0; }
static void same_uid(procs_spawn_options *o) {
    no_groups(o);
    o->uid = 0;
}
static void no_privileges(procs_spawn_options *o) { o->no_new_privs = 1; }
static void dies_with_host(procs_spawn_options *o) { o->die_with_parent = 1; }

static const step steps[] = {
    {"pipe2", "stdio", two_pipes}, {"socketpair", "stdio", sockets}, {"openat", "stdio", two_nulls}, {"clone3", "clone", nothing},
    {"close_range", "descriptors", nothing}, {"dup3", "descriptors", two_nulls}, {"setsid", "session", session},
    {"setpgid", "process-group", group}, {"chdir", "directory", directory}, {"prlimit64", "limits", limits}, {"setpriority", "nice", nicer},
    {"sched_setaffinity", "affinity", one_cpu}, {"setgroups", "groups", no_groups}, {"setresgid", "gid", same_gid},
    {"setresuid", "uid", same_uid}, {"prctl", "no-new-privs", no_privileges}, {"prctl", "parent-death", dies_with_host},
    {"execve", "exec", nothing},
};
enum { STEPS = sizeof steps / sizeof steps[0] };

/* One injection into one start: the error is exact, or nothing happened at all. */
static void injected(const step *step, const char *name, int os, int when) {
    char rule[64];
    procs_child *child = NULL;
    procs_spawn_options o = CHILD("exit", "7");
    step->set(&o);
    snprintf(rule, sizeof rule, "%s:error=%s:when=%d", step->call, name, when);
    /* The program opens files, too, as soon as it runs. */
    inject(rule, strcmp(step->call, "openat") == 0 ? "/dev/null" : NULL);
    procs_status status = procs_spawn(&o, &child);
    int hit = end_injection();
    const char *stage = procs_last_error_stage();
    if (status == PROCS_OK ? hit && os != EINTR : procs_last_error_os() != os || strcmp(stage, step->stage) != 0)
        fprintf(stderr, "   %s: status %d, errno %d, stage %s\n", rule, status, procs_last_error_os(), stage);
    CHECK(hit || when > 1);
    if (status == PROCS_OK) {
        CHECK(!hit || os == EINTR);
        CHECK(end_of(child).code == 7);
    } else {
        CHECK(hit && os != EINTR && procs_last_error_os() == os && strcmp(stage, step->stage) == 0);
    }
}

static void a05(void) {
    static const struct {
        const char *name;
        int os;
    } errors[] = {{"EMFILE", EMFILE}, {"ENFILE", ENFILE}, {"EAGAIN", EAGAIN}, {"ENOMEM", ENOMEM}, {"EINTR", EINTR}, {"EPERM", EPERM}};
    int all = count(10) == 10;
    leftovers before = {open_descriptors(), own_threads()};
    for (int i = 0; i < STEPS; i++) {
        for (int e = 0; e < 6; e++) {
            /* A refused clone3 is not an error but the next rung of the ladder: A23. */
            if (errors[e].os == EPERM && strcmp(steps[i].call, "clone3") == 0) continue;
            if (!all && e != i % 6) continue;
            injected(&steps[i], errors[e].name, errors[e].os, 1);
            if (all) injected(&steps[i], errors[e].name, errors[e].os, 2);
        }
    }
    check_leftovers(before);
}

/* In a process that has not started anything: the stack and the report page are still to be mapped. */
static void a05_stack(void) {
    pid_t fresh = start_host("host_without_memory", folder, NULL);
    CHECK(end_of_host(fresh) == 0);
}

static void host_without_memory(void) {
    snprintf(folder, sizeof folder, "%s", row_argv[0]);
    for (int when = 1; when <= 2; when++) {
        char rule[64];
        procs_child *child;
        procs_spawn_options o = CHILD("exit", "7");
        snprintf(rule, sizeof rule, "mmap:error=ENOMEM:when=%d", when);
        inject(rule, NULL);
        procs_status status = procs_spawn(&o, &child);
        CHECK(end_injection());
        CHECK(status == PROCS_E_EXHAUSTED && procs_last_error_os() == ENOMEM && strcmp(procs_last_error_stage(), "prepare") == 0);
    }
    exits(CHILD("exit", "7"), 7);
}

static void c05_memory(void) {
    struct rlimit old;
    int refused = 0;
    exits(CHILD("exit", "7"), 7);
    CHECK(getrlimit(RLIMIT_AS, &old) == 0);
    for (int step = 0; step < 24; step++) {
        struct rlimit lower = old;
        lower.rlim_cur = strtoull(text_of("/proc/self/statm"), NULL, 10) * 4096 + (rlim_t)step * 262144;
        procs_spawn_options o = CHILD("flood", "40000000", "1");
        procs_output *output = NULL;
        size_t length = 0;
        o.check = 1;
        CHECK(setrlimit(RLIMIT_AS, &lower) == 0);
        procs_status status = procs_run(&o, &output);
        CHECK(setrlimit(RLIMIT_AS, &old) == 0);
        if (status == PROCS_OK) {
            CHECK(procs_output_stdout(output, &length) != NULL && length == 40000000);
            CHECK(procs_output_free(output) == PROCS_OK);
        } else {
            CHECK(status == PROCS_E_EXHAUSTED);
            refused++;
        }
    }
    CHECK(refused > 0);
}

static void c02_input(void) {
    enum { LEN = 64 << 20 };
    char *input = calloc(LEN, 1);
    struct rlimit old, lower;
    procs_spawn_options o;
    procs_output *output = NULL, *many[2] = {NULL, NULL};
    int statuses[2];
    procs_capture *capture = NULL;
    size_t length = 0;
    CHECK(input != NULL && procs_spawn_options_init(&o, sizeof o) == PROCS_OK);
    o.shell = "wc -c";
    o.input = input;
    o.input_len = LEN;
    o.check = 1;
    exits(CHILD("exit", "7"), 7);
    CHECK(getrlimit(RLIMIT_AS, &old) == 0);
    lower = old;
    lower.rlim_cur = strtoull(text_of("/proc/self/statm"), NULL, 10) * 4096 + (16 << 20);
    CHECK(setrlimit(RLIMIT_AS, &lower) == 0);
    CHECK(procs_run(&o, &output) == PROCS_OK);
    CHECK(procs_capture_start(&o, &capture) == PROCS_E_EXHAUSTED);
    CHECK(procs_run_many((const procs_spawn_options *const[]){&o, &o}, 2, 2, many, statuses, NULL, NULL) == PROCS_OK);
    CHECK(setrlimit(RLIMIT_AS, &old) == 0);
    for (int i = 0; i < 3; i++) {
        procs_output *each = i < 2 ? many[i] : output;
        const char *text = procs_output_stdout(each, &length);
        CHECK(i == 2 || statuses[i] == PROCS_OK);
        CHECK(length == 9 && memcmp(text, "67108864\n", 9) == 0 && procs_output_free(each) == PROCS_OK);
    }
    free(input);
}

static void a06(void) {
    char copy[400];
    long tasks = 0;
    snprintf(copy, sizeof copy, "%s", in_folder("child"));
    prints(options_for((const char *const[]){"cp", helper(), copy, NULL}), "", 0);
    CHECK(setgroups(0, NULL) == 0 && setresgid(65534, 65534, 65534) == 0 && setresuid(65534, 65534, 65534) == 0);
    DIR *processes = opendir("/proc");
    for (struct dirent *entry; (entry = readdir(processes)) != NULL;) {
        char path[64];
        if (atoi(entry->d_name) <= 0) continue;
        snprintf(path, sizeof path, "/proc/%d/status", atoi(entry->d_name));
        const char *text = text_of(path), *threads = strstr(text, "\nThreads:");
        if (strstr(text, "\nUid:\t65534\t") != NULL && threads != NULL) tasks += atol(threads + 9);
    }
    closedir(processes);
    struct rlimit limit = {(rlim_t)tasks + 5, (rlim_t)tasks + 5};
    CHECK(setrlimit(RLIMIT_NPROC, &limit) == 0);
    procs_child *started[20];
    int n = 0;
    procs_spawn_options o = options_for((const char *const[]){copy, "sleep", "60", NULL});
    while (n < 20 && procs_spawn(&o, &started[n]) == PROCS_OK) n++;
    CHECK(n >= 1 && n < 20);
    CHECK(procs_last_error() == PROCS_E_EXHAUSTED && procs_last_error_os() == EAGAIN && strcmp(procs_last_error_stage(), "clone") == 0);
    CHECK(strstr(procs_last_error_message(), "RLIMIT_NPROC") != NULL && strstr(procs_last_error_message(), "pids.max") != NULL);
    while (n > 0) kill_it(started[--n]);
    exits(options_for((const char *const[]){copy, "exit", "7", NULL}), 7);
}

static void write_text(const char *path, const char *text) {
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    CHECK(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text) && close(fd) == 0);
}

static void a06_cgroup(void) {
    char dir[300], path[400], own[64];
    const char *line = strstr(text_of("/proc/self/cgroup"), ":pids:");
    CHECK(line != NULL); /* needs cgroup v1 with the pids controller */
    char back[300];
    snprintf(back, sizeof back, "/sys/fs/cgroup/pids%.*s/cgroup.procs", (int)strcspn(line + 6, "\n"), line + 6);
    snprintf(dir, sizeof dir, "/sys/fs/cgroup/pids/procs-test-%s", cookie);
    CHECK(mkdir(dir, 0755) == 0);
    snprintf(path, sizeof path, "%s/pids.max", dir);
    write_text(path, "20");
    snprintf(path, sizeof path, "%s/cgroup.procs", dir);
    snprintf(own, sizeof own, "%d", (int)getpid());
    write_text(path, own);
    int threads = 0, n = 0;
    DIR *tasks = opendir("/proc/self/task");
    for (struct dirent *entry; (entry = readdir(tasks)) != NULL;) threads += entry->d_name[0] != '.';
    closedir(tasks);
    procs_child *started[30];
    procs_spawn_options o = CHILD("sleep", "60");
    while (n < 30 && procs_spawn(&o, &started[n]) == PROCS_OK) n++;
    procs_status code = procs_last_error();
    int os = procs_last_error_os(), hint = strstr(procs_last_error_message(), "pids.max") != NULL;
    for (int i = 0; i < n; i++) kill_it(started[i]);
    write_text(back, own);
    CHECK(rmdir(dir) == 0);
    CHECK(n == 20 - threads && code == PROCS_E_EXHAUSTED && os == EAGAIN && hint);
}

static void a24(void) {
    size_t cap = (size_t)times(2000), n = 0;
    struct rlimit limit = {cap + 200, cap + 200};
    CHECK(procs_max_children() <= 4096 && procs_set_max_children(cap) == PROCS_OK && procs_max_children() == cap);
    CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
    procs_child **started = malloc((cap + 1) * sizeof *started);
    procs_spawn_options o = CHILD("sleep", "60");
    while (n <= cap && procs_spawn(&o, &started[n]) == PROCS_OK) n++;
    char wanted[40];
    snprintf(wanted, sizeof wanted, "limit = %zu", cap);
    CHECK(n == cap && procs_last_error() == PROCS_E_EXHAUSTED && strcmp(procs_last_error_stage(), "prepare") == 0);
    CHECK(strstr(procs_last_error_message(), wanted) != NULL);
    /* Those that were waited for do not count. */
    kill_it(started[--n]);
    started[n++] = start(o);
    for (size_t i = 0; i < n; i++) CHECK(procs_child_kill(started[i]) == PROCS_OK);
    for (size_t i = 0; i < n; i++) CHECK(end_of(started[i]).signal == SIGKILL);
    free(started);
    exits(CHILD("exit", "0"), 0);
    CHECK(procs_set_max_children(0) == PROCS_OK);
}

static void a24_limits(void) {
    static const char expected[] = "nproc 1000 2000\nas 1073741824 2147483648\nnofile 64 128\ncpu 5 9\ncore 0 0\n";
    procs_rlimit five[] = {{PROCS_RESOURCE_PROCESSES, 0, 1000, 2000}, {PROCS_RESOURCE_ADDRESS_SPACE, 0, 1u << 30, 1u << 31},
        {PROCS_RESOURCE_OPEN_FILES, 0, 64, 128}, {PROCS_RESOURCE_CPU, 0, 5, 9}, {PROCS_RESOURCE_CORE, 0, 0, 0}};
    procs_spawn_options o = CHILD("limits", "nproc", "as", "nofile", "cpu", "core");
    o.rlimits = five;
    o.rlimit_count = 5;
    prints(o, expected, sizeof expected - 1);
}
