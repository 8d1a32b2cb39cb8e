/* What a native module of Node can do: `start(program, callback)` clones and executes without waiting for that, has the event loop watch the
   child's pidfd and calls `callback(status)` once it has ended. One child at a time, no options, no errors: nothing that a library needs. */
#define _GNU_SOURCE
#include <node_api.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
#include <uv.h>

extern char **environ;

enum { STACK = 65536, PATH = 4096 };

typedef struct {
    uv_poll_t poll;
    int pidfd;
    napi_ref callback;
} child;

/* One of each: the child before has ended, or executes its program, when the next is started. */
static char program[PATH];
static char stack[STACK] __attribute__((aligned(16)));
static napi_env environment;
static napi_async_context context;

static int run(void *unused) {
    char *arguments[] = {program, NULL};
    (void)unused;
    execve(program, arguments, environ);
    _exit(127);
}

static void release(uv_handle_t *handle) {
    free(handle->data);
}

static void ended(uv_poll_t *poll, int status, int events) {
    child *c = poll->data;
    siginfo_t info;
    napi_handle_scope scope;
    napi_value callback, global, code, result;
    (void)status, (void)events;
    if (waitid(P_PIDFD, (id_t)c->pidfd, &info, WEXITED | WNOHANG) != 0) abort();
    napi_open_handle_scope(environment, &scope);
    napi_get_reference_value(environment, c->callback, &callback);
    napi_delete_reference(environment, c->callback);
    napi_get_global(environment, &global);
    napi_create_int32(environment, info.si_status, &code);
    napi_make_callback(environment, context, global, callback, 1, &code, &result);
    napi_close_handle_scope(environment, scope);
    /* Told first: what is left to do can wait. */
    uv_poll_stop(poll);
    close(c->pidfd);
    uv_close((uv_handle_t *)poll, release);
}

static napi_value start(napi_env env, napi_callback_info call) {
    size_t count = 2, length;
    napi_value arguments[2], pid;
    uv_loop_t *loop;
    child *c = malloc(sizeof *c);
    if (c == NULL) abort();
    napi_get_cb_info(env, call, &count, arguments, NULL, NULL);
    napi_get_value_string_utf8(env, arguments[0], program, sizeof program, &length);
    napi_create_reference(env, arguments[1], 1, &c->callback);
    napi_get_uv_event_loop(env, &loop);
    int number = clone(run, stack + STACK, CLONE_VM | CLONE_PIDFD | SIGCHLD, NULL, &c->pidfd);
    if (number < 0) abort();
    uv_poll_init(loop, &c->poll, c->pidfd);
    c->poll.data = c;
    uv_poll_start(&c->poll, UV_READABLE, ended);
    napi_create_int32(env, number, &pid);
    return pid;
}

NAPI_MODULE_INIT() {
    napi_value function, name;
    environment = env;
    napi_create_string_utf8(env, "procs-limit", NAPI_AUTO_LENGTH, &name);
    napi_async_init(env, NULL, name, &context);
    napi_create_function(env, "start", NAPI_AUTO_LENGTH, start, NULL, &function);
    napi_set_named_property(env, exports, "start", function);
    return exports;
}
