/* What the kernel can do: `spawn CASE true=PATH seconds=S mb=M threads=T`, CASE one of the table at the end. */
#include "spawning.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>

extern char **environ;
static const char *program;
static char *arguments[] = {"true", NULL};
static int copies[3];

enum { STACK = 65536 };

typedef struct {
    char *stack;
    pid_t pid;
    int pidfd;
    sigset_t old_mask;
} state;

static char *stack_top(state *s) {
    if (s->stack == NULL) {
        s->stack = mmap(NULL, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
        if (s->stack == MAP_FAILED) bench_fail("mmap");
    }
    return s->stack + STACK;
}

static int child_bare(void *unused) {
    (void)unused;
    execve(program, arguments, environ);
    _exit(127);
}

static int start_clone(void *p) {
    state *s = p;
    s->pid = clone(child_bare, stack_top(s), CLONE_VM | CLONE_VFORK | SIGCHLD, NULL);
    return s->pid < 0;
}

static int start_clone_nowait(void *p) {
    state *s = p;
    s->pid = clone(child_bare, stack_top(s), CLONE_VM | SIGCHLD, NULL);
    return s->pid < 0;
}

/* Returns twice only in the child, so the frame that vfork shares is never left. */
static int start_vfork(void *p) {
    state *s = p;
    s->pid = vfork();
    if (s->pid == 0) child_bare(NULL);
    return s->pid < 0;
}

static int start_fork(void *p) {
    state *s = p;
    s->pid = fork();
    if (s->pid == 0) child_bare(NULL);
    return s->pid < 0;
}

static int start_posix_spawn(void *p) {
    state *s = p;
    return posix_spawn(&s->pid, program, NULL, NULL, arguments, environ);
}

static void wait_pid(void *p) {
    state *s = p;
    int status;
    while (waitpid(s->pid, &status, 0) < 0)
        if (errno != EINTR) bench_fail("waitpid");
    if (status != 0) bench_fail("child");
}

#if defined(__x86_64__)
/* What a careful library needs: mask, three streams, nothing else open. Handlers were cleared by the kernel. */
static int child_full(void *p) {
    state *s = p;
    for (int fd = 0; fd < 3; fd++)
        if (dup2(copies[fd], fd) < 0) _exit(126);
    syscall(SYS_close_range, 3u, ~0u, 0u);
    sigprocmask(SIG_SETMASK, &s->old_mask, NULL);
    return child_bare(NULL);
}

/* clone3 with a stack of its own cannot return through C: the child calls `run` and exits. */
static long clone3_run(struct clone_args *args, int (*run)(void *), void *argument) {
    long result;
    register int (*function)(void *) __asm__("r8") = run;
    register void *first __asm__("r9") = argument;
    __asm__ volatile("syscall\n\ttest %%rax, %%rax\n\tjnz 1f\n\txor %%ebp, %%ebp\n\tmov %%r9, %%rdi\n\tcall *%%r8\n\t"
                     "mov %%eax, %%edi\n\tmov %[exit], %%eax\n\tsyscall\n1:"
                     : "=a"(result)
                     : "0"((long)SYS_clone3), "D"(args), "S"(sizeof *args), "r"(function), "r"(first), [exit] "i"(SYS_exit_group)
                     : "rcx", "r11", "memory");
    return result;
}

static int start_clone3(void *p) {
    state *s = p;
    sigset_t all;
    struct clone_args args = {.flags = CLONE_VM | CLONE_VFORK | CLONE_PIDFD | CLONE_CLEAR_SIGHAND, .exit_signal = SIGCHLD};
    args.pidfd = (uintptr_t)&s->pidfd;
    args.stack = (uintptr_t)(stack_top(s) - STACK);
    args.stack_size = STACK;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &s->old_mask);
    long pid = clone3_run(&args, child_full, s);
    pthread_sigmask(SIG_SETMASK, &s->old_mask, NULL);
    return pid < 0;
}

static void wait_pidfd(void *p) {
    state *s = p;
    siginfo_t info;
    if (waitid(P_PIDFD, (id_t)s->pidfd, &info, WEXITED) != 0 || info.si_status != 0) bench_fail("waitid");
}

static void close_pidfd(void *p) {
    close(((state *)p)->pidfd);
}
#endif

static const bench_spawner SPAWNERS[] = {
    {"vfork", start_vfork, wait_pid, NULL},
    {"clone", start_clone, wait_pid, NULL},
#if defined(__x86_64__)
    {"clone3", start_clone3, wait_pidfd, close_pidfd},
#endif
    {"clone-nowait", start_clone_nowait, wait_pid, NULL},
    {"posix_spawn", start_posix_spawn, wait_pid, NULL},
    {"fork", start_fork, wait_pid, NULL},
};

int main(int argc, char **argv) {
    program = bench_text(argv, "true", NULL);
    if (argc < 2 || program == NULL) return 2;
    for (int fd = 0; fd < 3; fd++) copies[fd] = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    for (size_t i = 0; i < sizeof SPAWNERS / sizeof *SPAWNERS; i++)
        if (strcmp(SPAWNERS[i].name, argv[1]) == 0) return bench_spawn(&SPAWNERS[i], sizeof(state), argv);
    fprintf(stderr, "unknown case %s\n", argv[1]);
    return 2;
}
