/* The main of the programs of fault rows (docs/faults.md): each row runs in a process of its own, which must end in time and leave nothing behind.
 *
 * A program lists its rows before it includes this: #define ROWS(ROW) ROW(function, "A01", "what holds", where, rules) ...
 * `PROGRAM function` runs one of them. */
#ifndef ROWS_H
#define ROWS_H

#define _GNU_SOURCE
#include "check.h"
#include <ctype.h>
#include <ftw.h>
#include <grp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>

/* Where a row runs. NOT_VALGRIND: valgrind dies of an exec that fails, and counts its own descriptors. PLAIN: strace, root's tricks or exact
 * memory, which the sanitizer does not bear. HOST: only started by another row. */
enum { ANYWHERE, NOT_VALGRIND, PLAIN, HOST };

typedef struct {
    const char *function, *id, *text;
    void (*run)(void);
    int where;
    const char *rules; /* of strace's injection from the start of the process, separated by spaces; NULL: none */
} row;

#define ROW_DECLARE(function, id, text, where, rules) static void function(void);
#define ROW_ENTRY(function, id, text, where, rules) {#function, id, text, function, where, rules},
ROWS(ROW_DECLARE)
static const row rows[] = {ROWS(ROW_ENTRY)};

static char program[400];   /* this program, to start it again as a HOST */
static char folder[64];     /* of this row, removed after it */
static char cookie[64];     /* what every process of this row has in its environment as LP_TEST */

/* As count, but fewer where each start is slow. */
static int times(int full) {
    int n = count(full);
    return under_valgrind() ? (n + 9) / 10 : n;
}

static double now_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

/* Waits for something that comes soon, or fails. */
#define WAIT_UNTIL(condition)                 \
    for (int waits = 0; !(condition); waits++) { \
        CHECK(waits < 10000);                 \
        poll(NULL, 0, 3);                     \
    }

/* ---- Files ---- */

/* A path in the folder of this row; good for eight calls. */
static const char *in_folder(const char *name) {
    static char paths[8][400];
    static int next;
    char *path = paths[next++ % 8];
    snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

static const char *make_file(const char *name, const char *text, mode_t mode) {
    const char *path = in_folder(name);
    FILE *file = fopen(path, "w");
    CHECK(file != NULL);
    fputs(text, file);
    CHECK(fclose(file) == 0 && chmod(path, mode) == 0);
    return path;
}

/* The text of a small file, empty when it cannot be read; good until the next call. */
static const char *text_of(const char *path) {
    static char text[65536];
    size_t n = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    for (ssize_t got; fd >= 0 && n < sizeof text - 1 && (got = read(fd, text + n, sizeof text - 1 - n)) > 0;) n += (size_t)got;
    if (fd >= 0) close(fd);
    text[n] = '\0';
    return text;
}

static int remove_one(const char *path, const struct stat *info, int kind, struct FTW *where) {
    (void)info, (void)kind, (void)where;
    return remove(path);
}

/* ---- Processes ---- */

/* The state letter of a process; 0 when there is none. */
static char state_of(int pid) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    const char *after = strrchr(text_of(path), ')');
    return after == NULL ? 0 : after[2];
}

static int is_running(int pid) {
    char state = state_of(pid);
    return state != 0 && state != 'Z' && state != 'X';
}

static int has_cookie(int pid) {
    char path[64], wanted[96], block[65536];
    snprintf(path, sizeof path, "/proc/%d/environ", pid);
    snprintf(wanted, sizeof wanted, "LP_TEST=%s", cookie);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return 0;
    ssize_t n = read(fd, block, sizeof block);
    close(fd);
    return n > 0 && memmem(block, (size_t)n, wanted, strlen(wanted)) != NULL;
}

/* How many processes of this row live, with this program as their name or, for NULL, any. */
static int holders(const char *name) {
    int found = 0;
    DIR *processes = opendir("/proc");
    CHECK(processes != NULL);
    for (struct dirent *entry; (entry = readdir(processes)) != NULL;) {
        int pid = atoi(entry->d_name);
        char path[64];
        if (pid <= 0 || pid == getpid() || !has_cookie(pid) || !is_running(pid)) continue;
        snprintf(path, sizeof path, "/proc/%d/cmdline", pid);
        found += name == NULL || strstr(text_of(path), name) != NULL;
    }
    closedir(processes);
    return found;
}

static long rss_bytes(void) {
    long pages = 0;
    sscanf(text_of("/proc/self/statm"), "%*d %ld", &pages);
    return pages * sysconf(_SC_PAGESIZE);
}

/* ---- Starts ---- */

/* The folder of the library, as run.sh says or beside target/c-tests/KIND. */
static const char *build_folder(void) {
    static char beside[500];
    const char *given = getenv("PROCS_LIBDIR");
    if (given != NULL) return given;
    snprintf(beside, sizeof beside, "%.*s/../../shipped", (int)(strrchr(program, '/') - program), program);
    return beside;
}

static const char *helper(void) {
    static char beside[600];
    const char *given = getenv("PROCS_TEST_CHILD");
    if (given != NULL) return given;
    snprintf(beside, sizeof beside, "%s/../release/procs-child", build_folder());
    return beside;
}

/* Options for the helper child with these arguments, which live as long as the block around. */
#define CHILD(...) options_for((const char *const[]){helper(), __VA_ARGS__, NULL})

static procs_child *start(procs_spawn_options options) {
    procs_child *child;
    CHECK(procs_spawn(&options, &child) == PROCS_OK);
    return child;
}

static procs_exit_status end_of(procs_child *child) {
    procs_exit_status status = {.size = sizeof status};
    CHECK(procs_child_wait(child, 60000, &status) == PROCS_OK);
    CHECK(procs_child_free(child) == PROCS_OK);
    return status;
}

/* Starts it and waits for its exit with this code. */
static void exits(procs_spawn_options options, int code) {
    procs_exit_status status = end_of(start(options));
    CHECK(status.kind == PROCS_EXIT_CODE && status.code == code);
}

static void kill_it(procs_child *child) {
    CHECK(procs_child_kill(child) == PROCS_OK);
    CHECK(end_of(child).signal == SIGKILL);
}

static procs_output *run(procs_spawn_options options) {
    procs_output *output;
    CHECK(procs_run(&options, &output) == PROCS_OK);
    return output;
}

/* Runs it and compares all of its standard output. */
static void prints(procs_spawn_options options, const char *expected, size_t length) {
    procs_output *output = run(options);
    size_t len;
    const char *text = procs_output_stdout(output, &len);
    if (len != length || memcmp(text, expected, len) != 0) fprintf(stderr, "printed: %.*s\n", (int)len, text);
    CHECK(len == length && memcmp(text, expected, len) == 0);
    CHECK(procs_output_free(output) == PROCS_OK);
}

/* Runs it and gives its standard output as a text; good until the next call. */
static const char *printed(procs_spawn_options options) {
    static char text[65536];
    procs_output *output = run(options);
    size_t len;
    const char *found = procs_output_stdout(output, &len);
    CHECK(found != NULL && len < sizeof text);
    memcpy(text, found, len);
    text[len] = '\0';
    CHECK(procs_output_free(output) == PROCS_OK);
    return text;
}

/* It cannot be started, for exactly this reason; neither by procs_spawn nor by procs_run. */
static void refused(procs_spawn_options options, procs_status code, const char *stage, int os) {
    procs_child *child;
    procs_output *output;
    for (int way = 0; way < 2; way++) {
        procs_status status = way == 0 ? procs_spawn(&options, &child) : procs_run(&options, &output);
        const char *found = procs_last_error_stage();
        if (status != code || procs_last_error_os() != os || found == NULL || strcmp(found, stage) != 0)
            fprintf(stderr, "got %d, errno %d, stage %s\n", status, procs_last_error_os(), found != NULL ? found : "none");
        CHECK(status == code && procs_last_error_os() == os && found != NULL && strcmp(found, stage) == 0);
    }
}

/* Waits for the word that the helper prints once it is set up. */
static void await_ready(procs_child *child) {
    char word[16];
    size_t n;
    CHECK(procs_child_read(child, 1, 20000, word, sizeof word, &n) == PROCS_OK && n == 6 && memcmp(word, "ready\n", 6) == 0);
}

static void in_threads(int number, void *(*body)(void *), pthread_t *ids) {
    for (int i = 0; i < number; i++) CHECK(pthread_create(&ids[i], NULL, body, (void *)(intptr_t)i) == 0);
}

static void join(int number, const pthread_t *ids) {
    for (int i = 0; i < number; i++) CHECK(pthread_join(ids[i], NULL) == 0);
}

/* Starts this program again as the row `function`, a HOST, with up to two arguments in row_argv. */
static const char *row_argv[2];

static pid_t start_host(const char *function, const char *first, const char *second) {
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        execl(program, program, "--bare", function, first, second, (char *)NULL);
        _exit(127);
    }
    return pid;
}

static int end_of_host(pid_t pid) {
    int status;
    CHECK(waitpid(pid, &status, 0) == pid);
    return status;
}

/* A host is killed after a random part of `longest` milliseconds, `rounds` times; `after` looks at what is left. */
static void kill_loop(int rounds, int longest, const char *function, const char *argument, void (*after)(void)) {
    for (int round = 0; round < rounds; round++) {
        pid_t host = start_host(function, argument, NULL);
        usleep((useconds_t)(rand() % (longest * 1000)));
        CHECK(kill(host, SIGKILL) == 0);
        end_of_host(host);
        after();
    }
}

/* ---- Running the rows ---- */

/* The row itself, in its own process. */
static int bare(const row *row) {
    if (row->where == HOST) {
        row->run();
        return 0;
    }
    snprintf(cookie, sizeof cookie, "%s-%d", row->function, (int)getpid());
    snprintf(folder, sizeof folder, "/tmp/procs-c-XXXXXX");
    CHECK(mkdtemp(folder) != NULL && chmod(folder, 0755) == 0);
    CHECK(setenv("LP_TEST", cookie, 1) == 0);
    /* The library keeps what this option needs: a thread and a descriptor. */
    procs_spawn_options o = options_for((const char *const[]){"true", NULL});
    o.die_with_parent = 1;
    exits(o, 0);
    leftovers stock = take_stock();
    row->run();
    check_leftovers(stock);
    WAIT_UNTIL(holders(NULL) == 0);
    nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    return 0;
}

/* The options of strace for these rules, such as "pipe2:error=EMFILE:when=1", separated by spaces; gives how many there are now. */
static int injection(const char *rules, const char **argv, int n) {
    char *copy = strdup(rules), *trace = calloc(1, strlen(rules) + 8), *rest = NULL;
    strcpy(trace, "trace=");
    argv[n++] = "-e";
    argv[n++] = trace;
    for (char *rule = strtok_r(copy, " ", &rest); rule != NULL; rule = strtok_r(NULL, " ", &rest)) {
        char *option = malloc(strlen(rule) + 10);
        sprintf(option, "inject=%s", rule);
        argv[n++] = "-e";
        argv[n++] = option;
        if (trace[6] != '\0') strcat(trace, ",");
        strncat(trace, rule, strcspn(rule, ":"));
    }
    free(copy);
    return n;
}

static pid_t start_row(const row *row) {
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid != 0) return pid;
    setpgid(0, 0); /* to end it with whatever it started */
    if (row->rules == NULL) exit(bare(row));
    const char *argv[40] = {"strace", "-f", "-qq", "--seccomp-bpf", "-o", "/dev/null"};
    int n = injection(row->rules, argv, 6);
    argv[n++] = program;
    argv[n++] = "--bare";
    argv[n++] = row->function;
    execvp("strace", (char *const *)argv);
    perror("strace");
    _exit(127);
}

/* Shows where all threads of a process are. */
static void show_stacks(pid_t pid) {
    char command[200];
    /* gdb cannot attach to a process that waits in the kernel for its child's exec, and would wait, too. */
    snprintf(command, sizeof command, "timeout -k 5 20 gdb -p %d -batch -ex 'thread apply all bt' 2>/dev/null | grep -v '^\\[' >&2", (int)pid);
    if (system(command) != 0) fprintf(stderr, "no stacks: is gdb installed?\n");
}

/* Ends what a process started, whatever its group: a process that waits for its child's exec ends only after the child. */
static void end_children(pid_t parent) {
    DIR *folder = opendir("/proc");
    CHECK(folder != NULL);
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        char path[300];
        int pid = atoi(entry->d_name), of = 0;
        snprintf(path, sizeof path, "/proc/%d/stat", pid);
        FILE *file = pid > 0 ? fopen(path, "r") : NULL;
        if (file == NULL) continue;
        int found = fscanf(file, "%*d (%*[^)]) %*c %d", &of) == 1 && of == parent;
        fclose(file);
        if (!found) continue;
        end_children(pid);
        kill(pid, SIGKILL);
    }
    closedir(folder);
}

static int passes(const row *row) {
    double deadline = now_ms() + slowly(120e3) * (count(10) == 10 ? 10 : 1);
    int status, timed_out = 0;
    pid_t pid = start_row(row);
    while (waitpid(pid, &status, WNOHANG) == 0) {
        if (!timed_out && now_ms() > deadline) {
            timed_out = 1;
            show_stacks(pid);
            end_children(pid);
            kill(-pid, SIGKILL);
        }
        poll(NULL, 0, 2);
    }
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return 1;
    fprintf(stderr, "%s (%s): %s, status %x\n", row->function, row->id, timed_out ? "not in time" : "failed", (unsigned)status);
    return 0;
}

int main(int argc, char **argv) {
    const char *kind = getenv("PROCS_TEST_KIND");
    int failed = 0, matched = 0, is_plain = kind == NULL || strcmp(kind, "plain") == 0;
    CHECK(readlink("/proc/self/exe", program, sizeof program - 1) > 0);
    srand((unsigned)getpid());
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const row *row = &rows[i];
        if (argc > 2 && strcmp(argv[1], "--bare") == 0) {
            row_argv[0] = argc > 3 ? argv[3] : NULL;
            row_argv[1] = argc > 4 ? argv[4] : NULL;
            if (strcmp(argv[2], row->function) == 0) return bare(row);
            continue;
        }
        if (row->where == HOST || (argc > 1 && strcmp(argv[1], row->function) != 0)) continue;
        matched++;
        if ((row->where == PLAIN && !is_plain) || (row->where == NOT_VALGRIND && under_valgrind())) continue;
        double began = now_ms();
        if (!passes(row)) failed++;
        else printf("ok %s %s (%.1f s)\n", row->id, row->text, (now_ms() - began) / 1e3);
        fflush(stdout);
    }
    return failed > 0 || matched == 0;
}

#endif
