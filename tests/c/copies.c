/* I11, I15: two copies of the library in one process, opened and closed again and again while children run. */
#include "check.h"
#include <dlfcn.h>

typedef struct {
    void *library;
    procs_status (*init)(procs_spawn_options *, size_t);
    procs_status (*run)(const procs_spawn_options *, procs_output **);
    procs_status (*spawn)(const procs_spawn_options *, procs_child **);
    procs_status (*kill_tree)(const procs_child *, procs_stop_report *);
    int (*success)(const procs_output *);
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
    LOAD(kill_tree, "procs_child_kill_tree");
    LOAD(success, "procs_output_success");
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

static void *use_in_thread(void *c) {
    for (int i = 0; i < count(100); i++) use(c);
    return NULL;
}

/* copies FIRST SECOND: paths of two copies of libprocs.so. */
int main(int argc, char **argv) {
    CHECK(argc == 3);
    leftovers stock = {open_descriptors(), own_threads()};
    copy first = open_copy(argv[1]), second = open_copy(argv[2]);
    CHECK(first.run != second.run);
    pthread_t a, b;
    CHECK(pthread_create(&a, NULL, use_in_thread, &first) == 0 && pthread_create(&b, NULL, use_in_thread, &second) == 0);
    pthread_join(a, NULL);
    pthread_join(b, NULL);
    ok("two copies work side by side");

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
