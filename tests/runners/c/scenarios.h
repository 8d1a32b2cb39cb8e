/* The scenarios that a runner has, by id. */
#ifndef SCENARIOS_H
#define SCENARIOS_H

struct scenario {
    const char *id;
    void (*run)(void);
};

/* Each ends with an entry whose id is NULL. */
extern const struct scenario run_scenarios[];
extern const struct scenario stop_scenarios[];
extern const struct scenario spawn_scenarios[];
extern const struct scenario ipc_scenarios[];
extern const struct scenario node_scenarios[];
extern const struct scenario node_fault_scenarios[];

/* What a child of a scenario does; its exit code. */
int ipc_child(const char *part);
int node_child(const char *part);

#endif
