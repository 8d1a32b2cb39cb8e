/* What cannot be started says exactly why, and nothing else is started instead. */
#define ROWS(ROW)                                                                                              \
    ROW(a07, "A07", "every cause is told apart", NOT_VALGRIND, NULL)                                           \
    ROW(a07_closed, "A07", "a directory that this user may not enter", NOT_VALGRIND, NULL)                     \
    ROW(a08, "A08", "no shell for a file without a format", NOT_VALGRIND, NULL)                                \
    ROW(a09, "A09", "sizes are the kernel's", NOT_VALGRIND, NULL)                                              \
    ROW(a10, "A10", "bad input starts nothing", PLAIN, NULL)                                                   \
    ROW(a11, "A11", "no program from the directory it starts in", NOT_VALGRIND, NULL)                          \
    ROW(a11_relative, "A11", "a relative program is the host's", ANYWHERE, NULL)                               \
    ROW(a22, "A22", "a fresh file can be executed while others start", NOT_VALGRIND, NULL)                     \
    ROW(a22_busy, "A22", "a file that stays open for writing is an error", NOT_VALGRIND, NULL)
#include "inject.h"

/* Options for one program without arguments. */
#define PROGRAM(path) options_for((const char *const[]){path, NULL})

static char *text(char byte, size_t length) {
    char *made = malloc(length + 1);
    memset(made, byte, length);
    made[length] = '\0';
    return made;
}

static void a07(void) {
    const char *missing = in_folder("missing"), *plain = make_file("plain", "#!/bin/sh\n", 0644);
    refused(PROGRAM(missing), PROCS_E_NOT_FOUND, "exec", ENOENT);
    CHECK(strcmp(procs_last_error_path(), missing) == 0);
    procs_spawn_options o = CHILD("exit", "0");
    o.cwd = missing;
    refused(o, PROCS_E_NOT_FOUND, "directory", ENOENT);
    CHECK(strcmp(procs_last_error_path(), missing) == 0);
    o.cwd = plain;
    refused(o, PROCS_E_NOT_FOUND, "directory", ENOTDIR);
    refused(PROGRAM(folder), PROCS_E_PERMISSION_DENIED, "exec", EACCES);
    refused(PROGRAM(plain), PROCS_E_PERMISSION_DENIED, "exec", EACCES);
    refused(PROGRAM(make_file("script", "#!/missing/interpreter -x\n", 0755)), PROCS_E_NOT_FOUND, "exec", ENOENT);
    CHECK(strstr(procs_last_error_message(), "/missing/interpreter") != NULL);
    refused(PROGRAM(make_file("no-format", "echo pwned\n", 0755)), PROCS_E_IO, "exec", ENOEXEC);
    int busy = open(make_file("busy", "#!/bin/sh\n", 0755), O_WRONLY | O_CLOEXEC);
    refused(PROGRAM(in_folder("busy")), PROCS_E_IO, "exec", ETXTBSY);
    close(busy);
    CHECK(symlink("loop", in_folder("loop")) == 0);
    refused(PROGRAM(in_folder("loop")), PROCS_E_IO, "exec", ELOOP);
    char *name = text('x', 300), *large = text('x', 131072), *huge = text('x', 3 << 20);
    name[0] = '/';
    memcpy(huge, "A=", 2);
    refused(PROGRAM(name), PROCS_E_TOO_LARGE, "exec", ENAMETOOLONG);
    refused(CHILD("echo", large), PROCS_E_TOO_LARGE, "exec", E2BIG);
    o = CHILD("exit", "0");
    o.env = (const char *const[]){huge, NULL};
    refused(o, PROCS_E_TOO_LARGE, "exec", E2BIG);
    refused(PROGRAM(""), PROCS_E_INVALID_ARGUMENT, "prepare", EINVAL);
    free(name);
    free(large);
    free(huge);
}

static void a07_closed(void) {
    const char *closed = in_folder("closed");
    procs_spawn_options o = options_for((const char *const[]){"true", NULL});
    CHECK(mkdir(closed, 0) == 0);
    o.cwd = closed;
    pid_t nobody = fork();
    if (nobody == 0) {
        CHECK(setgroups(0, NULL) == 0 && setresgid(65534, 65534, 65534) == 0 && setresuid(65534, 65534, 65534) == 0);
        refused(o, PROCS_E_PERMISSION_DENIED, "directory", EACCES);
        _exit(0);
    }
    CHECK(end_of_host(nobody) == 0 && rmdir(closed) == 0);
}

static void a08(void) {
    char script[600], marker[400], path[400];
    uint32_t none = 0;
    procs_rlimit core = {PROCS_RESOURCE_CORE, 0, 0, 0};
    snprintf(marker, sizeof marker, "%s", in_folder("pwned"));
    snprintf(script, sizeof script, "echo pwned > %s\n", marker);
    snprintf(path, sizeof path, "PATH=%s", folder);
    const char *file = make_file("no-format", script, 0755), *env[] = {path, NULL};
    for (int way = 0; way < 6; way++) {
        for (int by_name = 0; by_name < 2; by_name++) {
            procs_spawn_options o = PROGRAM(by_name ? "no-format" : file);
            if (by_name) o.env = env;
            if (way == 1) o.cwd = "/";
            if (way == 2) o.new_session = 1;
            if (way == 3) o.umask = 077, o.nice = 1, o.rlimits = &core, o.rlimit_count = 1;
            if (way == 4) o.groups = &none, o.gid = 0, o.uid = 0;
            if (way == 5) o.offload = 1;
            refused(o, PROCS_E_IO, "exec", ENOEXEC);
        }
    }
    CHECK(access(marker, F_OK) != 0);
}

static void tells_the_limits(void) {
    CHECK(strstr(procs_last_error_message(), "128 KiB") != NULL && strstr(procs_last_error_message(), "stack limit") != NULL);
}

static void a09(void) {
    char *largest = text('x', 131071), *too_large = text('x', 131072), *word = text('x', 64);
    procs_output *output = run(CHILD("argv", largest));
    size_t len;
    CHECK(procs_output_stdout(output, &len) != NULL && len == 131072 && procs_output_free(output) == PROCS_OK);
    refused(CHILD("argv", too_large), PROCS_E_TOO_LARGE, "exec", E2BIG);
    tells_the_limits();
    const char **many = malloc(40003 * sizeof *many), *variables[31];
    many[0] = helper();
    many[1] = "argv";
    for (int i = 2; i < 40002; i++) many[i] = word;
    many[40002] = NULL;
    refused(options_for(many), PROCS_E_TOO_LARGE, "exec", E2BIG);
    tells_the_limits();
    for (int i = 0; i < 30; i++) {
        char *variable = text('x', 100 << 10);
        variable[0] = (char)('a' + i % 26);
        variable[1] = (char)('a' + i / 26);
        variable[2] = '=';
        variables[i] = variable;
    }
    variables[30] = NULL;
    procs_spawn_options o = CHILD("argv");
    o.env = variables;
    refused(o, PROCS_E_TOO_LARGE, "exec", E2BIG);
    tells_the_limits();
    for (int i = 0; i < 30; i++) free((void *)(uintptr_t)variables[i]);
    free(many);
    free(largest);
    free(too_large);
    free(word);
}

/* NUL cannot be said in C: a text ends there. */
static void a10(void) {
    const char *none[] = {NULL}, *empty[] = {"", NULL}, *no_name[] = {"=x", NULL}, *no_text[] = {"", NULL}, *good[] = {"true", NULL};
    /* The rules change nothing; they make strace write down each call. */
    const char *watch = "clone3:delay_enter=1 clone:delay_enter=1 fork:delay_enter=1 vfork:delay_enter=1";
    inject(watch, NULL);
    for (int i = 0; i < 7; i++) {
        procs_spawn_options o = options_for(i == 0 ? none : i == 1 ? empty : good);
        if (i == 2) o.env = no_name;
        if (i == 3) o.env = no_text;
        if (i == 4) o.program = "";
        if (i == 5) o.argv = NULL;
        if (i == 6) o.stdout_to = (procs_stdio){PROCS_STDIO_WRITE_FILE, 0, NULL};
        procs_child *child;
        procs_output *output;
        procs_status spawned = procs_spawn(&o, &child), ran = procs_run(&o, &output);
        if (spawned != PROCS_E_INVALID_ARGUMENT || ran != PROCS_E_INVALID_ARGUMENT) fprintf(stderr, "   input %d: %d, %d\n", i, spawned, ran);
        CHECK(spawned == PROCS_E_INVALID_ARGUMENT && ran == PROCS_E_INVALID_ARGUMENT && strlen(procs_last_error_message()) > 10);
    }
    end_injection();
    const char *log = injection_log();
    if (strstr(log, "clone") != NULL) fprintf(stderr, "%s", log);
    CHECK(strstr(log, "clone") == NULL);
    inject(watch, NULL);
    exits(CHILD("exit", "0"), 0);
    end_injection();
    CHECK(strstr(injection_log(), "clone3(") != NULL);
}

/* Runs `tool` in the folder of traps with this PATH; NULL: without one. */
static procs_spawn_options search(const char *path) {
    static char variable[700];
    static const char *env[] = {variable, NULL}, *argv[] = {"tool", NULL};
    procs_spawn_options o = options_for(argv);
    if (path == NULL) strcpy(variable, "PATH");
    else snprintf(variable, sizeof variable, "PATH=%s", path);
    o.env = env;
    o.cwd = folder;
    return o;
}

static void a11(void) {
    const char *folders[] = {"bin", "good", "other"}, *traps[] = {":", "", ".", "bin", "..", "./bin:.", "::"};
    char path[700], good[400];
    snprintf(good, sizeof good, "%s", in_folder("good"));
    for (int i = 0; i < 3; i++) {
        char name[32], script[64];
        CHECK(mkdir(in_folder(folders[i]), 0755) == 0);
        snprintf(name, sizeof name, "%s/tool", folders[i]);
        snprintf(script, sizeof script, "#!/bin/sh\necho %s\n", folders[i]);
        make_file(name, script, 0755);
    }
    make_file("tool", "#!/bin/sh\necho evil\n", 0755);
    CHECK(chdir(folder) == 0);
    for (int i = 0; i < 7; i++) refused(search(traps[i]), PROCS_E_NOT_FOUND, "exec", ENOENT);
    refused(search(NULL), PROCS_E_NOT_FOUND, "exec", ENOENT);
    for (int i = 0; i < 4; i++) {
        const char *shapes[] = {":%s", ".:%s", "bin:%s:", "/missing:%s"};
        snprintf(path, sizeof path, shapes[i], good);
        prints(search(path), "good\n", 5);
    }
    /* The PATH that counts is the child's own. */
    CHECK(setenv("PATH", in_folder("bin"), 1) == 0);
    prints(search(good), "good\n", 5);
    /* The host's own counts as it is now, also where it was changed in place: putenv(3) keeps the caller's string. */
    static char own[700];
    for (int i = 1; i < 3; i++) {
        snprintf(own, sizeof own, "PATH=%s", in_folder(folders[i]));
        CHECK(i > 1 || putenv(own) == 0);
        prints(options_for((const char *const[]){"tool", NULL}), i == 1 ? "good\n" : "other\n", (size_t)(i + 4));
    }
    CHECK(chdir("/") == 0);
}

static void a11_relative(void) {
    CHECK(mkdir(in_folder("elsewhere"), 0755) == 0 && chdir(folder) == 0);
    make_file("elsewhere/tool", "#!/bin/sh\necho child\n", 0755);
    make_file("tool", "#!/bin/sh\necho host\n", 0755);
    procs_spawn_options o = PROGRAM("./tool");
    o.cwd = "elsewhere";
    prints(o, "host\n", 5);
    o.program_after_chdir = 1;
    prints(o, "child\n", 6);
    o = PROGRAM("tool");
    o.env = (const char *const[]){"PATH=:elsewhere", NULL};
    o.allow_relative_path = 1;
    o.cwd = "elsewhere";
    prints(o, "child\n", 6);
    CHECK(chdir("/") == 0);
}

static _Atomic int running;

static void *starters(void *unused) {
    while (running) exits(CHILD("exit", "0"), 0);
    return unused;
}

static void a22(void) {
    pthread_t others[2];
    int total = times(500), repeated = 0;
    running = 1;
    in_threads(2, starters, others);
    for (int i = 0; i < total; i++) {
        const char *path = make_file("fresh", "#!/bin/sh\nexit 7\n", 0755);
        procs_child *child = start(PROGRAM(path));
        repeated += procs_child_spawn_retries(child) > 0;
        CHECK(end_of(child).code == 7 && unlink(path) == 0);
    }
    running = 0;
    join(2, others);
    CHECK(repeated <= 1 + total / 20);
}

static void a22_busy(void) {
    const char *path = make_file("busy", "#!/bin/sh\nexit 7\n", 0755);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    procs_spawn_options o = PROGRAM(path);
    procs_child *child;
    double began = now_ms();
    CHECK(procs_spawn(&o, &child) == PROCS_E_IO && procs_last_error_os() == ETXTBSY && strcmp(procs_last_error_stage(), "exec") == 0);
    CHECK(now_ms() - began >= 30 && now_ms() - began < 20000);
    close(fd);
    exits(o, 7);
}
