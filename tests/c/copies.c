/* I11, I15: three copies of the library in one process, two opened and closed again and again while children run, one linked. */
#include "check.h"
#include <dlfcn.h>

typedef struct {
    void *library;
    procs_status (*init)(procs_spawn_options *, size_t);
    procs_status (*run)(const procs_spawn_options *, procs_output **);
    procs_status (*spawn)(const procs_spawn_options *, procs_child **);
    procs_status (*wait)(const procs_child *, int64_t, procs_exit_status *);
    procs_status (*usage)(const procs_child *, procs_usage *);
    procs_status (*kill_tree)(const procs_child *, procs_stop_report *);
    int (*success)(const procs_output *);
    const char *(*message)(void);
    procs_status (*output_free)(procs_output *);
    procs_status (*child_free)(procs_child *);
} copy;

static void *symbol(void *library, const char *name) {
    void *found = dlsym(library, name);
    if (found == NULL) {
        fprintf(stderr, "%s\n", dlerror());
        exit(1);
    }
    return found;
}

#define LOAD(field, name) *(void **)&c.field = symbol(c.library, name)

static copy open_copy(const char *path) {
    copy c = {.library = dlopen(path, RTLD_NOW | RTLD_LOCAL)};
    if (c.library == NULL) {
        fprintf(stderr, "%s\n", dlerror());
        exit(1);
    }
    LOAD(init, "procs_spawn_options_init");
    LOAD(run, "procs_run");
    LOAD(spawn, "procs_spawn");
    LOAD(wait, "procs_child_wait");
    LOAD(usage, "procs_child_usage");
    LOAD(kill_tree, "procs_child_kill_tree");
    LOAD(success, "procs_output_success");
    LOAD(message, "procs_last_error_message");
    LOAD(output_free, "procs_output_free");
    LOAD(child_free, "procs_child_free");
    return c;
}

static void use(const copy *c) {
    const char *argv[] = {"true", NULL};
    procs_spawn_options options;
    procs_output *output;
    CHECK(c->init(&options, sizeof options) == PROCS_OK);
    options.argv = argv;
    CHECK(c->run(&options, &output) == PROCS_OK && c->success(output));
    CHECK(c->output_free(output) == PROCS_OK);
}

/* The end of a child and what it used belong to the copy that started it: used times are -1 where somebody else reaped it. */
static void use_child(const copy *c) {
    const char *argv[] = {"sh", "-c", "exit 7", NULL};
    procs_spawn_options options;
    procs_child *child;
    procs_exit_status status = {.size = sizeof status};
    procs_usage usage = {.size = sizeof usage};
    CHECK(c->init(&options, sizeof options) == PROCS_OK);
    options.argv = argv;
    CHECK(c->spawn(&options, &child) == PROCS_OK);
    CHECK(c->wait(child, 20000, &status) == PROCS_OK && status.kind == PROCS_EXIT_CODE && status.code == 7);
    CHECK(c->usage(child, &usage) == PROCS_OK && usage.user_time_us >= 0);
    CHECK(c->child_free(child) == PROCS_OK);
}

static void *use_in_thread(void *c) {
    for (int i = 0; i < count(300); i++) {
        use(c);
        use_child(c);
    }
    return NULL;
}

/* A handle means nothing to another copy, and neither does an error. */
static void apart(const copy *first, const copy *second) {
    const char *argv[] = {"sleep", "100", NULL};
    procs_child *mine, *others;
    procs_spawn_options options;
    procs_exit_status status = {.size = sizeof status};
    CHECK(first->init(&options, sizeof options) == PROCS_OK);
    options.argv = argv;
    CHECK(first->spawn(&options, &mine) == PROCS_OK && second->spawn(&options, &others) == PROCS_OK);
    CHECK(second->child_free(mine) == PROCS_E_INVALID_ARGUMENT && second->kill_tree(mine, NULL) == PROCS_E_INVALID_ARGUMENT);
    CHECK(first->child_free(others) == PROCS_E_INVALID_ARGUMENT && first->kill_tree(others, NULL) == PROCS_E_INVALID_ARGUMENT);
    CHECK(first->wait(mine, 0, &status) == PROCS_E_WOULD_BLOCK && second->wait(others, 0, &status) == PROCS_E_WOULD_BLOCK);
    options.argv = NULL;
    CHECK(first->spawn(&options, &mine) == PROCS_E_INVALID_ARGUMENT);
    CHECK(strstr(first->message(), "procs_spawn") != NULL && strstr(second->message(), "procs_spawn") == NULL);
    CHECK(first->kill_tree(mine, NULL) == PROCS_OK && first->child_free(mine) == PROCS_OK);
    CHECK(second->kill_tree(others, NULL) == PROCS_OK && second->child_free(others) == PROCS_OK);
}

/* copies FIRST SECOND: paths of two copies of libprocs.so. */
int main(int argc, char **argv) {
    CHECK(argc == 3);
    leftovers stock = {open_descriptors(), own_threads()};
    copy first = open_copy(argv[1]), second = open_copy(argv[2]);
    /* The one that this program is linked with: the shared library, or all of it in the program itself. */
    copy linked = {NULL, procs_spawn_options_init, procs_run, procs_spawn, procs_child_wait, procs_child_usage, procs_child_kill_tree,
        procs_output_success, procs_last_error_message, procs_output_free, procs_child_free};
    CHECK(first.run != second.run && first.run != linked.run && second.run != linked.run);
    pthread_t threads[3];
    copy *all[3] = {&first, &second, &linked};
    for (int i = 0; i < 3; i++) CHECK(pthread_create(&threads[i], NULL, use_in_thread, all[i]) == 0);
    for (int i = 0; i < 3; i++) pthread_join(threads[i], NULL);
    ok("three copies work side by side");
    apart(&first, &second);
    apart(&second, &linked);
    apart(&linked, &first);
    ok("a handle of one copy is none of another");

    const char *sleep[] = {"sleep", "100", NULL};
    procs_spawn_options options;
    procs_child *child;
    CHECK(first.init(&options, sizeof options) == PROCS_OK);
    options.argv = sleep;
    CHECK(first.spawn(&options, &child) == PROCS_OK);
    for (int i = 0; i < count(100); i++) {
        copy again = open_copy(argv[1]);
        use(&again);
        CHECK(dlclose(again.library) == 0);
    }
    CHECK(first.kill_tree(child, NULL) == PROCS_OK && first.child_free(child) == PROCS_OK);
    CHECK(dlclose(first.library) == 0 && dlclose(second.library) == 0);
    ok("opening and closing again and again does no harm");
    check_leftovers(stock);
    return 0;
}
