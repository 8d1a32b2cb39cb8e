/* Runs one scenario of tests/scenarios with procs.h and prints its facts. `--list` prints the ids. */
#include "scenarios.h"
#include <stdio.h>
#include <string.h>

int main(int argc, char **argv) {
    const struct scenario *tables[] = {run_scenarios, stop_scenarios, spawn_scenarios, ipc_scenarios, node_scenarios, node_fault_scenarios};
    int list = argc == 2 && strcmp(argv[1], "--list") == 0;
    if (argc == 3 && strcmp(argv[1], "--child") == 0) return strncmp(argv[2], "node-", 5) == 0 ? node_child(argv[2]) : ipc_child(argv[2]);
    if (argc != 2) {
        fprintf(stderr, "usage: %s ID | --list\n", argv[0]);
        return 2;
    }
    for (size_t t = 0; t < sizeof tables / sizeof *tables; t++) {
        for (const struct scenario *s = tables[t]; s->id != NULL; s++) {
            if (list) printf("%s\n", s->id);
            if (!list && strcmp(s->id, argv[1]) == 0) {
                s->run();
                return 0;
            }
        }
    }
    if (!list) fprintf(stderr, "no such scenario: %s\n", argv[1]);
    return list ? 0 : 2;
}
